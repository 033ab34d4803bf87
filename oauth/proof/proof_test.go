package proof

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"latchkey/keys"
	"latchkey/storage"
)

// start is the time at which every test begins.
var start = time.Date(2026, 5, 4, 12, 0, 0, 250_007_000, time.UTC)

// pepperStore keeps peppers in memory.
type pepperStore struct{ peppers []storage.Pepper }

func (s *pepperStore) Peppers(context.Context) ([]storage.Pepper, error) { return s.peppers, nil }

func (s *pepperStore) AddFirstPepper(_ context.Context, p storage.Pepper) error {
	s.peppers = append(s.peppers, p)
	return nil
}

func newPeppers(t *testing.T) *keys.Peppers {
	t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{1}, keys.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	peppers, err := keys.LoadPeppers(t.Context(), &pepperStore{}, sealer, nil, start)
	if err != nil {
		t.Fatal(err)
	}
	return peppers
}

// TestNonceAges tests that a nonce is accepted for five to ten minutes.
func TestNonceAges(t *testing.T) {
	t.Parallel()
	now := start
	v := &Verifier{Config{Issuer: "https://id.example", Peppers: newPeppers(t), Now: func() time.Time { return now }}}
	nonce := v.Nonce()
	for _, test := range []struct {
		later time.Duration
		good  bool
	}{{0, true}, {nonceLife, true}, {2 * nonceLife, false}, {-nonceLife, true}, {-2 * nonceLife, false}} {
		now = start.Add(test.later)
		if got := v.isNonce(nonce); got != test.good {
			t.Errorf("after %v: got %v, want %v", test.later, got, test.good)
		}
	}
}

// TestTargets tests which URLs a request may have been sent to. A proxy may remove the path of
// the issuer and nothing else.
func TestTargets(t *testing.T) {
	t.Parallel()
	for issuer, tests := range map[string]map[string][]string{
		"https://id.example": {"/v1/me": {"https://id.example/v1/me"}, "/v1/a%2Fb": {"https://id.example/v1/a%2Fb"}},
		"https://id.example/auth": {
			"/auth/oauth/token":   {"https://id.example/auth/oauth/token"},
			"/oauth/token":        {"https://id.example/auth/oauth/token", "https://id.example/oauth/token"},
			"/authors/auth/token": {"https://id.example/auth/authors/auth/token", "https://id.example/authors/auth/token"},
		},
	} {
		v := &Verifier{Config{Issuer: issuer}}
		for path, want := range tests {
			if got := v.targets(httptest.NewRequest(http.MethodGet, path, nil)); !slices.Equal(got, want) {
				t.Errorf("%s at %s: got %v, want %v", path, issuer, got, want)
			}
		}
	}
}
