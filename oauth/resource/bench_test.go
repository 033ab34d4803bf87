package resource

import (
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// warm returns a verifier whose issuer has so many keys, and a token of one of
// them.
func warm(t testing.TB, keys int) (*Verifier, string) {
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
		t.Fatalf("%d keys, want %d", n, keys)
	}
	return v, token
}

// TestAllocationsDoNotGrow: the number of keys costs nothing.
func TestAllocationsDoNotGrow(t *testing.T) { // alone, since it counts what the process allocates
	allocations := map[int]float64{}
	for _, n := range []int{1, 10, 100} {
		v, token := warm(t, n)
		allocations[n] = testing.AllocsPerRun(200, func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	if allocations[1] != allocations[10] || allocations[1] != allocations[100] {
		t.Errorf("allocations by number of keys: %v", allocations)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d keys", n), func(b *testing.B) {
			v, token := warm(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSignatureAlone is what BenchmarkVerify cannot do without.
func BenchmarkSignatureAlone(b *testing.B) {
	v, token := warm(b, 1)
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
