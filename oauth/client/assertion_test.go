package client

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/storage"
)

// TestDecoysVerify tests that verification with a decoy fails at the signature. If a decoy were
// refused earlier, it would be faster than the key of a client.
func TestDecoysVerify(t *testing.T) {
	t.Parallel()
	decoys, err := newDecoys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, size := range map[string]int{"ES256": 64, "RS256": 256, "PS256": 256, "EdDSA": 64} {
		signature := make([]byte, size)
		signature[size-1] = 1
		err := jwt.GetSigningMethod(alg).Verify("a.b", signature, decoys[alg])
		if !errors.Is(err, rsa.ErrVerification) && !errors.Is(err, jwt.ErrECDSAVerification) && !errors.Is(err, jwt.ErrEd25519Verification) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// FuzzAssertion tests that no assertion is accepted without a signature, and that no text
// causes a panic.
func FuzzAssertion(f *testing.F) {
	for _, seed := range []string{
		"", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzaWduZXIifQ.AAAA",
		"eyJhbGciOiJFUzI1NiIsImtpZCI6N30.eyJzdWIiOiJzaWduZXIifQ.AAAA", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzaWduZXIiLCJleHAiOjFlMzAwfQ.AAAA",
	} {
		f.Add(seed)
	}
	decoys, err := newDecoys(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	au := &Authenticator{cfg: Config{Issuer: "https://id.example", Now: func() time.Time { return start }}, decoys: decoys}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAssertion(text)
		if err != nil {
			return
		}
		client := storage.Client{ID: a.claims.Subject}
		if au.verifyAssertion(a, &client, "") == nil {
			t.Errorf("accepted without a signature: %q", text)
		}
		if strings.ContainsAny(text, "\r\n") || len(text) > maxAssertionBytes {
			t.Errorf("accepted as an assertion: %q", text)
		}
	})
}
