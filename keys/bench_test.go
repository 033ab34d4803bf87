package keys_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys"
)

// accessToken has the claims of an access token of the server.
type accessToken struct {
	jwt.RegisteredClaims
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	AuthTime int64    `json:"auth_time"`
	AMR      []string `json:"amr"`
}

func accessClaims() *accessToken {
	now := newClock().Now()
	return &accessToken{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: "usr_0123456789abcdefghjkmnpqrs", Audience: jwt.ClaimStrings{"api"},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)), ID: "0123456789abcdefghjkmnpqrs",
		},
		ClientID: "client-1", Scope: "MeAdmin Shopper", AuthTime: now.Unix(), AMR: []string{"otp"},
	}
}

func BenchmarkSign(b *testing.B) {
	r := replica(b, &fakeStore{}, newClock(), allAlgs...)
	for _, alg := range allAlgs {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			claims := accessClaims()
			for b.Loop() {
				if _, err := r.Sign(alg, keys.TypeAccessToken, claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	r := replica(b, &fakeStore{}, newClock(), allAlgs...)
	for _, alg := range allAlgs {
		token := mustSign(b, r, alg, accessClaims())
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var claims accessToken
				if err := r.Parse(token, keys.TypeAccessToken, &claims, issuer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	p := loadPeppers(b, &fakeStore{})
	b.ReportAllocs()
	for b.Loop() {
		p.Digest("code", "log_0123456789abcdefghjkmnpqrs", "ABCD2345")
	}
}

func BenchmarkSigningKey(b *testing.B) {
	r := replica(b, &fakeStore{}, newClock(), allAlgs...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.SigningKey(keys.ES256); err != nil {
			b.Fatal(err)
		}
	}
}
