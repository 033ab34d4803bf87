package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys"
)

// A ring creates its first keys itself. Tokens from before a rotation are verified after it.
func ExampleRing() {
	ctx := context.Background()
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize)) // use 32 secret random bytes
	if err != nil {
		panic(err)
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ring, err := keys.NewRing(ctx, keys.RingConfig{
		Store:  &fakeStore{}, // stores the signing keys
		Sealer: sealer,
		Algs:   []string{keys.ES256},
		Now:    func() time.Time { return now },
	})
	if err != nil {
		panic(err)
	}

	token, err := ring.Sign(keys.ES256, keys.TypeAccessToken, map[string]any{
		"iss": "https://id.example", "sub": "usr_1", "iat": now.Unix(), "exp": now.Add(2 * time.Hour).Unix(),
	})
	if err != nil {
		panic(err)
	}
	successor, err := ring.Rotate(ctx, keys.ES256)
	if err != nil {
		panic(err)
	}
	fmt.Println("successor:", successor.State)

	now = now.Add(keys.DefaultPublishAhead)
	var claims jwt.RegisteredClaims
	fmt.Println("old token:", ring.Parse(token, keys.TypeAccessToken, &claims, "https://id.example"), claims.Subject)
	fmt.Println("published:", len(ring.PublicSet().Keys))
	// Output:
	// successor: announced
	// old token: <nil> usr_1
	// published: 2
}

// keyService is in place of a key management service or a hardware security module. It signs,
// counts its calls, and does not reveal its private key.
type keyService struct {
	private *ecdsa.PrivateKey
	calls   int
}

func (s *keyService) Public() crypto.PublicKey { return s.private.Public() }

// Sign signs the SHA-256 digest of a token and returns the signature in ASN.1, as such services
// do.
func (s *keyService) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.calls++
	return s.private.Sign(random, digest, opts)
}

// An external key replaces the stored keys of its algorithm. It is published and verifies
// tokens, and it is not stored.
func ExampleExternalKey() {
	ctx := context.Background()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	service := &keyService{private: private}
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize)) // use 32 secret random bytes
	if err != nil {
		panic(err)
	}
	store := &fakeStore{} // stores the signing keys
	ring, err := keys.NewRing(ctx, keys.RingConfig{
		Store: store, Sealer: sealer, Algs: []string{keys.ES256},
		External: []keys.ExternalKey{{KID: "kms-2030", Alg: keys.ES256, Public: service.Public(), Signer: service}},
	})
	if err != nil {
		panic(err)
	}

	now := time.Now()
	token, err := ring.Sign(keys.ES256, keys.TypeAccessToken, map[string]any{
		"iss": "https://id.example", "sub": "usr_1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		panic(err)
	}
	var claims jwt.RegisteredClaims
	fmt.Println("verifies:", ring.Parse(token, keys.TypeAccessToken, &claims, "https://id.example") == nil)
	fmt.Println("published:", ring.PublicSet().Keys[0].KeyID)
	fmt.Println("calls of the service:", service.calls, "stored keys:", len(store.keys))
	// Output:
	// verifies: true
	// published: kms-2030
	// calls of the service: 1 stored keys: 0
}
