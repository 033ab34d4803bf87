package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/oauth/client"
	"latchkey/storage"
)

// newStore returns a fixture with a confidential client that is an Elastic Path application
// key.
func newStore(t *testing.T) *fixture {
	t.Helper()
	w := newFixture(t)
	w.addClient("key", func(c *storage.Client) {
		c.GrantTypes = []string{grants.GrantClientCredentials, grants.GrantImplicit}
		c.Roles, c.AccessTokenTTL = []string{"FullAccess"}, 10*time.Hour
	})
	w.addSecret(w.clients["key"], "secret")
	return w
}

func TestClientToken(t *testing.T) {
	t.Parallel()
	w := newStore(t)
	got, err := w.endpoints.ClientToken(t.Context(), url.Values{"client_id": {"KEY"}, "client_secret": {"secret"}, "grant_type": {"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	want := ClientToken{ExpiresAt: start.Truncate(time.Second).Add(time.Hour), ExpiresIn: time.Hour, Identifier: "client_credentials"}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ClientToken{}, "AccessToken")); diff != "" {
		t.Error(diff)
	}
	caller, err := w.endpoints.tokens.Bearer(t.Context(), got.AccessToken)
	if err != nil || !caller.SellerSide() || !caller.Has("ApiClientAdmin") || caller.ExpiresAt.Before(got.ExpiresAt) {
		t.Errorf("got %+v, error %v", caller, err)
	}
}

func TestClientTokenRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		id, secret string
		change     func(*storage.Client)
		want       error
		status     int
	}{
		{"wrong secret", "key", "x", nil, client.ErrInvalid, 400},
		{"no secret", "key", "", nil, client.ErrInvalid, 400},
		{"unknown client", "nobody", "secret", nil, client.ErrInvalid, 400},
		{"no client", "", "", nil, client.ErrInvalid, 400},
		{"public client", "shop", "", nil, fosite.ErrUnauthorizedClient, 400},
		{"inactive client", "key", "secret", func(c *storage.Client) { c.Active = false }, client.ErrInactive, 400},
		{"grant not allowed", "key", "secret", func(c *storage.Client) { c.GrantTypes = nil }, fosite.ErrUnauthorizedClient, 400},
	}
	for _, test := range tests {
		w := newStore(t)
		if test.change != nil {
			test.change(w.clients["key"])
		}
		_, err := w.endpoints.ClientToken(t.Context(), url.Values{"client_id": {test.id}, "client_secret": {test.secret}})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if status, description, known := Explain(err); status != test.status || description == "" || !known {
			t.Errorf("%s: got the explanation %d %q %v", test.name, status, description, known)
		}
	}
	w := newStore(t)
	w.fail = storage.ErrUnavailable
	_, err := w.endpoints.ClientToken(t.Context(), url.Values{"client_id": {"key"}, "client_secret": {"secret"}})
	if status, _, _ := Explain(err); status != http.StatusServiceUnavailable {
		t.Errorf("without the database: got %d %v, want 503", status, err)
	}
}

func TestImplicitToken(t *testing.T) {
	t.Parallel()
	w := newStore(t)
	issued, expires, err := w.endpoints.ImplicitToken(t.Context(), "Key")
	if want := start.Truncate(time.Second).Add(time.Hour); err != nil || !expires.Equal(want) {
		t.Fatalf("got expiry %s, error %v", expires, err)
	}
	caller, err := w.endpoints.tokens.Bearer(t.Context(), issued)
	if err != nil {
		t.Fatal(err)
	}
	if caller.Principal != nil || caller.Client.ID != "key" || len(caller.Roles) > 0 || caller.SellerSide() || caller.Has("MeAdmin") {
		t.Errorf("got %+v", caller)
	}
	w.clients["key"].AccessTokenTTL = 10 * time.Minute
	if _, expires, err = w.endpoints.ImplicitToken(t.Context(), "key"); err != nil || expires.After(start.Add(10*time.Minute)) {
		t.Errorf("a client with shorter tokens: got expiry %s, error %v", expires, err)
	}
}

func TestImplicitTokenRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, id string
		change   func(*storage.Client)
		want     error
	}{
		{"unknown client", "nobody", nil, client.ErrInvalid},
		{"no client", "", nil, client.ErrInvalid},
		{"malformed", "a\x00b", nil, client.ErrInvalid},
		{"inactive client", "key", func(c *storage.Client) { c.Active = false }, client.ErrInactive},
		{"grant not allowed", "shop", nil, fosite.ErrUnauthorizedClient},
	}
	for _, test := range tests {
		w := newStore(t)
		if test.change != nil {
			test.change(w.clients["key"])
		}
		if _, _, err := w.endpoints.ImplicitToken(t.Context(), test.id); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if got := newStore(t).post("/oauth/token", nil, "grant_type", "implicit", "client_id", "key", "client_secret", "secret"); !strings.Contains(got.Body.String(), "unsupported_grant_type") {
		t.Errorf("the token endpoint: got %s", got.Body)
	}
}
