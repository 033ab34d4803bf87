package keys_test

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys"
)

// A ring makes its first keys itself. Tokens that were signed before a rotation
// verify after it.
func ExampleRing() {
	ctx := context.Background()
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize)) // 32 secret random bytes
	if err != nil {
		panic(err)
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ring, err := keys.NewRing(ctx, keys.RingConfig{
		Store:  &memory{}, // where the signing keys are kept
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
