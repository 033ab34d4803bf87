package oauth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/oauth/token"
	"latchkey/storage"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.members[0].Membership.Roles = []string{"BuyerAdmin", "Shopper"}
	issued := w.issue(t, &w.members[0])
	got, err := w.endpoints.tokens.Bearer(t.Context(), issued)
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Caller{
		Client: w.clients["shop"], Principal: &w.login, Member: &w.members[0], Roles: []string{"Shopper"}, AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword,
		TokenID: claimsIn(t, issued)["jti"].(string), FamilyID: "fam", SessionID: "fam",
		IssuedAt: start, ExpiresAt: start.Truncate(time.Second).Add(10 * time.Minute), AuthTime: start.Truncate(time.Second),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	asked := []storage.TokenRef{{JTI: want.TokenID, FamilyID: "fam", UserUID: "usr_jane", LoginID: "lgn_jane", AccountUID: "acc_one"}}
	if diff := cmp.Diff(asked, w.refs); diff != "" {
		t.Errorf("the single statement: %s", diff)
	}
}

// reader is a method that accepts tokens of one type for a user.
type reader struct {
	typ, otherAudience string
	issue              func(*fixture, *testing.T) string
	read               func(*fixture, *testing.T, string) error
}

func readers() map[string]reader {
	return map[string]reader{
		"Bearer": {
			keys.TypeAccessToken, testIssuer + "/v2",
			func(w *fixture, t *testing.T) string { t.Helper(); return w.issue(t, &w.members[0]) },
			func(w *fixture, t *testing.T, issued string) error {
				t.Helper()
				_, err := w.endpoints.tokens.Bearer(t.Context(), issued)
				return err
			},
		},
		"AccountHolder": {
			"account+jwt", testIssuer,
			func(w *fixture, t *testing.T) string { t.Helper(); return w.issueAccount(t) },
			func(w *fixture, t *testing.T, issued string) error {
				t.Helper()
				_, err := w.endpoints.tokens.AccountHolder(t.Context(), issued)
				return err
			},
		},
		"Selection": {
			"selection+jwt", testIssuer,
			func(w *fixture, t *testing.T) string { t.Helper(); return w.issueSelection(t) },
			func(w *fixture, t *testing.T, issued string) error {
				t.Helper()
				_, err := w.endpoints.tokens.VerifySelection(t.Context(), &storage.Client{ID: "shop"}, issued)
				return err
			},
		},
	}
}

// TestHostileTokens tests that each reader accepts only genuine tokens of its own type.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	for name, r := range readers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.login.User.TokensValidFrom = start.Add(-time.Minute)
			f := w.forge(t, r.typ, r.issue(w, t))
			for what, issued := range map[string]string{"genuine": f.real, "signed here": f.as(r.typ), "long typ": f.as("application/" + r.typ)} {
				if err := r.read(w, t, issued); err != nil {
					t.Errorf("%s: got %v for a genuine token, want no error", what, err)
				}
			}
			for what, issued := range f.forgeries(r.otherAudience) {
				if err := r.read(w, t, issued); err == nil {
					t.Errorf("%s was accepted, want an error", what)
				}
			}
			for other, issuer := range readers() {
				if err := r.read(w, t, issuer.issue(w, t)); other != name && err == nil {
					t.Errorf("a token for %s was accepted, want an error", other)
				}
			}
		})
	}
}

// TestAccountTokenNeedsItsClaims tests that an account token without a user, a login or an
// account is refused.
func TestAccountTokenNeedsItsClaims(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	f := w.forge(t, "account+jwt", w.issueAccount(t))
	for _, claim := range []string{"sub", "login_id", "account_uid"} {
		if _, err := w.endpoints.tokens.AccountHolder(t.Context(), f.with(claim, nil)); !errors.Is(err, token.ErrInvalidToken) {
			t.Errorf("without %s: got %v, want token.ErrInvalidToken", claim, err)
		}
	}
}

// TestRevokedTokens tests for every type of token what ends it before it expires.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*fixture)
		want   error
	}{
		{"nothing", func(*fixture) {}, nil},
		{"expired", func(w *fixture) { w.now = start.Add(10 * time.Minute) }, token.ErrInvalidToken},
		{"client inactive", func(w *fixture) { w.clients["shop"].Active = false }, token.ErrInvalidToken},
		{"client gone", func(w *fixture) { delete(w.clients, "shop") }, token.ErrInvalidToken},
		{"client admits no buyers", func(w *fixture) { w.clients["shop"].AllowAnyBuyer = false }, token.ErrInvalidToken},
		{"user inactive", func(w *fixture) { w.login.User.Active = false }, token.ErrInvalidToken},
		{"user gone", func(w *fixture) { w.login = storage.Principal{} }, token.ErrInvalidToken},
		{"login inactive", func(w *fixture) { w.login.Login.Active = false }, token.ErrInvalidToken},
		{"login locked", func(w *fixture) { w.login.Lockout.LockedUntil = start.Add(time.Hour) }, token.ErrInvalidToken},
		{"home account inactive", func(w *fixture) { w.login.Account.Active = false }, token.ErrInvalidToken},
		{"tokens valid from the issue", func(w *fixture) { w.login.User.TokensValidFrom = start }, nil},
		{"tokens valid from a microsecond later", func(w *fixture) { w.login.User.TokensValidFrom = start.Add(time.Microsecond) }, token.ErrTokenRevoked},
		{"sessions valid from the issue", func(w *fixture) { w.login.Login.SessionsValidFrom = start }, nil},
		{"sessions valid from a microsecond later", func(w *fixture) { w.login.Login.SessionsValidFrom = start.Add(time.Microsecond) }, token.ErrTokenRevoked},
		{"the database is away", func(w *fixture) { w.fail = storage.ErrUnavailable }, storage.ErrUnavailable},
	}
	for name, r := range readers() {
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				w := newFixture(t)
				issued := r.issue(w, t)
				test.change(w)
				if err := r.read(w, t, issued); !errors.Is(err, test.want) || test.want == nil && err != nil {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if test.want == nil {
					w.revoked[claimsIn(t, issued)["jti"].(string)] = true
					if err := r.read(w, t, issued); !errors.Is(err, token.ErrTokenRevoked) {
						t.Errorf("revoked: got %v, want token.ErrTokenRevoked", err)
					}
				}
			})
		}
	}
}

// TestTokensEndWithMembership tests that a token for an account ends with the membership.
func TestTokensEndWithMembership(t *testing.T) {
	t.Parallel()
	for name, r := range readers() {
		if name == "Selection" {
			continue // selection tokens are for no account
		}
		for what, change := range map[string]func(*fixture){
			"membership gone":  func(w *fixture) { w.members = w.members[1:] },
			"account inactive": func(w *fixture) { w.members[0].Account.Active = false },
		} {
			w := newFixture(t)
			issued := r.issue(w, t)
			change(w)
			if err := r.read(w, t, issued); !errors.Is(err, token.ErrInvalidToken) {
				t.Errorf("%s, %s: got %v, want token.ErrInvalidToken", name, what, err)
			}
		}
	}
}

// TestBearerOfAFamily tests that the sign-in of a refreshed token is as old as its family.
func TestBearerOfAFamily(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*storage.TokenFamily, *fixture)
		want   error
	}{
		{"family older than the sessions", func(f *storage.TokenFamily, w *fixture) {
			f.CreatedAt, w.login.Login.SessionsValidFrom = start.Add(-time.Hour), start.Add(-time.Minute)
		}, token.ErrTokenRevoked},
		{"family as old as the sessions", func(f *storage.TokenFamily, w *fixture) {
			f.CreatedAt, w.login.Login.SessionsValidFrom = start.Add(-time.Minute), start.Add(-time.Minute)
		}, nil},
		{"family older than the sessions, but kept", func(f *storage.TokenFamily, w *fixture) {
			f.CreatedAt, w.login.Login.SessionsValidFrom, w.login.Login.KeptSession = start.Add(-time.Hour), start.Add(-time.Minute), "fam"
		}, nil},
		{"another family is kept", func(f *storage.TokenFamily, w *fixture) {
			f.CreatedAt, w.login.Login.SessionsValidFrom, w.login.Login.KeptSession = start.Add(-time.Hour), start.Add(-time.Minute), "other"
		}, token.ErrTokenRevoked},
		{"all tokens of the user revoked, but kept", func(_ *storage.TokenFamily, w *fixture) {
			w.login.User.TokensValidFrom, w.login.Login.KeptSession = start.Add(time.Minute), "fam"
		}, token.ErrTokenRevoked},
		{"family revoked", func(f *storage.TokenFamily, _ *fixture) { f.RevokedAt = start }, token.ErrTokenRevoked},
		{"family gone", func(_ *storage.TokenFamily, w *fixture) { delete(w.families, "fam") }, token.ErrTokenRevoked},
	}
	for _, test := range tests {
		w := newFixture(t)
		issued := w.issue(t, nil)
		test.change(w.families["fam"], w)
		if _, err := w.endpoints.tokens.Bearer(t.Context(), issued); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}
