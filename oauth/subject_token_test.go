package oauth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/storage"
)

func TestHeld(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	whole := start.Truncate(time.Second)
	want := grants.SubjectToken{Principal: w.login, Member: &w.members[0], AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, SessionID: "ses", AuthTime: whole, IssuedAt: start, ExpiresAt: whole.Add(10 * time.Minute)}
	issued := w.issueAccount(t)
	want.TokenID, _ = claimsIn(t, issued)["jti"].(string)
	account, err := w.endpoints.tokens.VerifySubject(t.Context(), w.clients["shop"], issued)
	if diff := cmp.Diff(want, account); err != nil || diff != "" {
		t.Errorf("account token: %v (-want +got):\n%s", err, diff)
	}
	want.Access, want.Scope, want.FamilyID, want.SessionID, want.Resources = true, []string{"Shopper"}, "fam", "fam", []string{testIssuer}
	issued = w.issue(t, &w.members[0])
	want.TokenID, _ = claimsIn(t, issued)["jti"].(string)
	access, err := w.endpoints.tokens.VerifySubject(t.Context(), w.clients["shop"], issued)
	if diff := cmp.Diff(want, access); err != nil || diff != "" {
		t.Errorf("access token: %v (-want +got):\n%s", err, diff)
	}
	want = grants.SubjectToken{Principal: w.login, AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: whole, IssuedAt: start, ExpiresAt: whole.Add(5*time.Minute + time.Second)}
	issued = w.issueSelection(t)
	want.TokenID, _ = claimsIn(t, issued)["jti"].(string)
	want.SessionID = want.TokenID
	choice, err := w.endpoints.tokens.VerifySelection(t.Context(), w.clients["shop"], issued)
	if diff := cmp.Diff(want, choice); err != nil || diff != "" {
		t.Errorf("selection token: %v (-want +got):\n%s", err, diff)
	}
}

// TestSpentIsRememberedByAllClocks tests that a server whose clock is ahead keeps used or
// revoked tokens until a server whose clock is behind no longer accepts them.
func TestSpentIsRememberedByAllClocks(t *testing.T) {
	t.Parallel()
	const apart = time.Minute
	w := newFixture(t)
	shop, issued := w.clients["shop"], w.issueSelection(t)
	choice, err := w.endpoints.tokens.VerifySelection(t.Context(), shop, issued)
	if err == nil {
		err = w.endpoints.tokens.SpendSelection(t.Context(), choice, func(context.Context) error { return nil })
	}
	if err == nil {
		err = w.endpoints.revoke(t.Context(), shop, issued)
	}
	access := w.issue(t, nil)
	if err == nil {
		err = w.endpoints.revoke(t.Context(), shop, access)
	}
	if err != nil || len(w.rememberedUntil) != 3 {
		t.Fatalf("got error %v, remembered until %v; want three times", err, w.rememberedUntil)
	}
	clear(w.revoked)
	for i, read := range []func() error{
		func() error { _, err := w.endpoints.tokens.VerifySelection(t.Context(), shop, issued); return err },
		func() error { _, err := w.endpoints.tokens.VerifySelection(t.Context(), shop, issued); return err },
		func() error { _, err := w.endpoints.tokens.VerifySubject(t.Context(), shop, access); return err },
	} {
		w.now = w.rememberedUntil[i].Add(-apart)
		if err := read(); !errors.Is(err, grants.ErrSubjectToken) {
			t.Errorf("token %d, which another server has forgotten: got %v, want grants.ErrSubjectToken", i, err)
		}
	}
}

// TestHeldRefuses tests that each type of token is accepted only where it belongs, and only for
// its own client.
func TestHeldRefuses(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.addClient("other", func(*storage.Client) {})
	shop, other := w.clients["shop"], w.clients["other"]
	own, err := w.endpoints.tokens.Mint(t.Context(), grants.AccessToken{Client: shop, IssuedAt: start, ExpiresAt: start.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		read   func(c *storage.Client, issued string) (grants.SubjectToken, error)
		client *storage.Client
		issued string
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
		if _, err := test.read(test.client, test.issued); !errors.Is(err, grants.ErrSubjectToken) {
			t.Errorf("%s: got %v, want grants.ErrSubjectToken", test.name, err)
		}
	}
	w.fail = storage.ErrUnavailable
	if _, err := w.held(shop, w.issue(t, nil)); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, grants.ErrSubjectToken) {
		t.Errorf("without the database: got %v, want ErrUnavailable", err)
	}
}
