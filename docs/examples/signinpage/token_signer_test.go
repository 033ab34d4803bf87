package main

import (
	"context"
	"errors"
	"testing"
	"time"

	fosite "github.com/ory/fosite/token/jwt"

	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/keys"
	"latchkey/storage"
)

// TestSigner tests that fosite's strategies can verify the tokens that they sign, and that they
// get the errors that they expect.
func TestSigner(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store, err := statestore.New(statestore.Config{
		States: new(granttest.Memory), User: func(context.Context, string) (statestore.User, error) { return statestore.User{}, storage.ErrNotFound },
	})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.NewRing(t.Context(), keys.RingConfig{Store: store, Sealer: sealer, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s := signer{ring, "https://id.example"}
	claims := fosite.MapClaims{"iss": s.issuer, "sub": "bob", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	token, signature, err := s.Generate(t.Context(), claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Validate(t.Context(), token); err != nil || got != signature {
		t.Errorf("Validate: got %q, %v, want %q", got, err, signature)
	}
	if decoded, err := s.Decode(t.Context(), token); err != nil || decoded.Claims["sub"] != "bob" {
		t.Errorf("Decode: got %v, error %v", decoded, err)
	}
	for text, want := range map[string]uint32{
		"x.y":                             fosite.ValidationErrorMalformed,
		token[:len(token)-8] + "AAAAAAAA": fosite.ValidationErrorSignatureInvalid,
	} {
		var invalid *fosite.ValidationError
		if _, err := s.Decode(t.Context(), text); !errors.As(err, &invalid) || invalid.Errors != want {
			t.Errorf("%s: got %v, want bits %b", text, err, want)
		}
	}
	now = now.Add(time.Hour)
	var invalid *fosite.ValidationError
	if _, err := s.Decode(t.Context(), token); !errors.As(err, &invalid) || invalid.Errors != fosite.ValidationErrorExpired {
		t.Errorf("an expired token: got %v, want ValidationErrorExpired", err)
	}
}
