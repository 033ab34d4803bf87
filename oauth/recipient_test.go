package oauth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/token"
	"latchkey/storage"
)

func TestRecipient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request token.RecipientRequest
		want    []string // roles of the issued token; nil if there is none
	}{
		{"through a client", token.RecipientRequest{ClientID: "shop", Username: " JANE", Elevated: []string{"Elevated", "Shopper"}}, []string{"Shopper", "MeAdmin", "Elevated"}},
		{"of the client's profile", token.RecipientRequest{ClientID: "shop", ProfileID: "default", Username: "jane"}, []string{"Shopper", "MeAdmin"}},
		{"only some roles", token.RecipientRequest{ClientID: "shop", Username: "jane", Elevated: []string{"Elevated"}, OnlyRoles: []string{"PasswordReset"}}, []string{"PasswordReset"}},
		{"through no client", token.RecipientRequest{ProfileID: "default", Username: "jane", Elevated: []string{"Elevated"}}, nil},
	}
	for _, test := range tests {
		w := newFixture(t)
		got, issued, err := w.endpoints.Recipients().Recipient(t.Context(), test.request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(w.login, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if test.want == nil {
			if issued != "" {
				t.Errorf("%s: got a token, want none", test.name)
			}
			continue
		}
		caller, err := w.endpoints.tokens.Bearer(t.Context(), issued)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, caller.Roles); diff != "" || len(caller.AMR) > 0 || !caller.AuthTime.IsZero() || caller.FamilyID != "" {
			t.Errorf("%s: roles (-want +got):\n%s\ncaller %+v, want no sign-in", test.name, diff, caller)
		}
		if life := caller.ExpiresAt.Sub(start.Truncate(time.Second)); life != 10*time.Minute {
			t.Errorf("%s: got a lifetime of %s, want 10m", test.name, life)
		}
	}
}

func TestRecipientRefuses(t *testing.T) {
	t.Parallel()
	through := token.RecipientRequest{ClientID: "shop", Username: "jane"}
	without := token.RecipientRequest{ProfileID: "default", Username: "jane"}
	tests := []struct {
		name    string
		request token.RecipientRequest
		change  func(*fixture)
		want    error
	}{
		{"client gone", token.RecipientRequest{ClientID: "nobody", Username: "jane"}, nil, storage.ErrNotFound},
		{"client inactive", through, func(w *fixture) { w.clients["shop"].Active = false }, storage.ErrNotFound},
		{"client admits no buyers", through, func(w *fixture) { w.clients["shop"].AllowAnyBuyer = false }, storage.ErrNotFound},
		{"another profile", token.RecipientRequest{ClientID: "shop", ProfileID: "other", Username: "jane"}, nil, storage.ErrNotFound},
		{"user gone", token.RecipientRequest{ClientID: "shop", Username: "joe"}, nil, storage.ErrNotFound},
		{"user inactive", without, func(w *fixture) { w.login.User.Active = false }, storage.ErrNotFound},
		{"company inactive", without, func(w *fixture) { w.login.Account.Active = false }, storage.ErrNotFound},
		{"user gone, no client", token.RecipientRequest{ProfileID: "default", Username: "joe"}, nil, storage.ErrNotFound},
		{"the database is away", through, func(w *fixture) { w.fail = storage.ErrUnavailable }, storage.ErrUnavailable},
	}
	for _, test := range tests {
		w := newFixture(t)
		if test.change != nil {
			test.change(w)
		}
		if _, issued, err := w.endpoints.Recipients().Recipient(t.Context(), test.request); !errors.Is(err, test.want) || issued != "" {
			t.Errorf("%s: got %q %v, want %v", test.name, issued, err, test.want)
		}
	}
}
