package resource

import (
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// verifierWithKeys returns a verifier that has fetched the given number of keys, and a token
// that is signed with one of them.
func verifierWithKeys(t testing.TB, keys int) (*Verifier, string) {
	t.Helper()
	i := newIssuer(t)
	set := []jose.JSONWebKey{es256Key(t).public("k1")}
	for len(set) < keys {
		set = append(set, anotherKey(t).public(fmt.Sprintf("other-%d", len(set))))
	}
	i.publish(set...)
	v, token := i.verifier(t, nil), i.sign(t, i.claims(), nil)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if n := len(v.keys.current.Load().keys); n != keys {
		t.Fatalf("got %d keys, want %d", n, keys)
	}
	return v, token
}

// TestAllocationsDoNotGrow tests that Verify allocates the same for any number of keys.
func TestAllocationsDoNotGrow(t *testing.T) { // not parallel, because it counts the allocations of the process
	allocations := map[int]float64{}
	for _, n := range []int{1, 10, 100} {
		v, token := verifierWithKeys(t, n)
		allocations[n] = testing.AllocsPerRun(200, func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	if allocations[1] != allocations[10] || allocations[1] != allocations[100] {
		t.Errorf("got the allocations %v by number of keys, want the same for all", allocations)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d keys", n), func(b *testing.B) {
			v, token := verifierWithKeys(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSignatureAlone measures only the verification of the signature in BenchmarkVerify.
func BenchmarkSignatureAlone(b *testing.B) {
	v, token := verifierWithKeys(b, 1)
	k, err := v.keys.find(b.Context(), "k1")
	if err != nil {
		b.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := signed.Verify(k.public); err != nil {
			b.Fatal(err)
		}
	}
}
