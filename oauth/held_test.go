package oauth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/storage"
)

func TestHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := start.Truncate(time.Second)
	want := grants.Held{Principal: w.login, Member: &w.members[0], AMR: []string{"otp"}, AuthTime: whole, ExpiresAt: whole.Add(10 * time.Minute)}
	account, err := w.provider.Held(t.Context(), w.clients["shop"], w.issueAccount(t))
	if diff := cmp.Diff(want, account); err != nil || diff != "" {
		t.Errorf("account token: %v %s", err, diff)
	}
	want.Access, want.Scope, want.FamilyID = true, []string{"Shopper"}, "fam"
	access, err := w.provider.Held(t.Context(), w.clients["shop"], w.issue(t, &w.members[0]))
	if diff := cmp.Diff(want, access); err != nil || diff != "" {
		t.Errorf("access token: %v %s", err, diff)
	}
	want = grants.Held{Principal: w.login, AMR: []string{"otp"}, AuthTime: whole, ExpiresAt: whole.Add(selectionTokenTTL + time.Second)}
	choice, err := w.provider.Selection(t.Context(), w.clients["shop"], w.issueSelection(t))
	if diff := cmp.Diff(want, choice); err != nil || diff != "" {
		t.Errorf("selection token: %v %s", err, diff)
	}
}

// TestHeldRefuses: each kind only where it belongs, for its own client only.
func TestHeldRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addClient("other", func(*storage.Client) {})
	shop, other := w.clients["shop"], w.clients["other"]
	own, err := w.provider.Mint(t.Context(), grants.AccessToken{Client: shop, IssuedAt: start, ExpiresAt: start.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		read   func(c *storage.Client, token string) (grants.Held, error)
		client *storage.Client
		token  string
	}{
		{"selection token as held", w.held, shop, w.issueSelection(t)},
		{"access token as selection", w.selection, shop, w.issue(t, nil)},
		{"account token as selection", w.selection, shop, w.issueAccount(t)},
		{"another client's access token", w.held, other, w.issue(t, nil)},
		{"another client's account token", w.held, other, w.issueAccount(t)},
		{"another client's selection token", w.selection, other, w.issueSelection(t)},
		{"the client's own token", w.held, shop, own},
		{"nothing", w.held, shop, ""},
	}
	for _, test := range tests {
		if _, err := test.read(test.client, test.token); !errors.Is(err, grants.ErrHeldToken) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	w.fail = storage.ErrUnavailable
	if _, err := w.held(shop, w.issue(t, nil)); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, grants.ErrHeldToken) {
		t.Errorf("the database is away: %v", err)
	}
}
