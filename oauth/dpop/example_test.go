package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"latchkey/oauth/dpop"
)

// A client proves a key with each request. The server compares the thumbprint of the key with
// the one in the token (RFC 9449 §7.1).
func ExampleVerifier_Verify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{
		EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt"},
	})
	if err != nil {
		panic(err)
	}
	proof, err := jwt.Signed(signer).Claims(map[string]any{
		"jti": rand.Text(), "htm": "POST", "htu": "https://id.example/token", "iat": time.Now().Unix(),
	}).Serialize()
	if err != nil {
		panic(err)
	}
	var verifier dpop.Verifier
	proven, err := verifier.Verify(proof, dpop.Request{Method: "POST", URL: "https://id.example/token"})
	fmt.Println(len(proven.JKT), err)
	_, err = verifier.Verify(proof, dpop.Request{Method: "POST", URL: "https://other.example/token"})
	fmt.Println(err != nil)
	// Output:
	// 43 <nil>
	// true
}
