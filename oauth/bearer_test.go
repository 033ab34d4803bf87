package oauth

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/storage"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.members[0].Membership.Roles = []string{"BuyerAdmin", "Shopper"}
	token := w.issue(t, &w.members[0])
	got, err := w.provider.Bearer(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &Caller{
		Client: w.clients["shop"], Principal: &w.login, Member: &w.members[0], Roles: []string{"Shopper"}, AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword,
		TokenID: claimsIn(t, token)["jti"].(string), FamilyID: "fam", SessionID: "fam",
		IssuedAt: start, ExpiresAt: start.Truncate(time.Second).Add(10 * time.Minute), AuthTime: start.Truncate(time.Second),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	asked := []storage.TokenRef{{JTI: want.TokenID, FamilyID: "fam", UserUID: "usr_jane", LoginID: "lgn_jane", AccountUID: "acc_one"}}
	if diff := cmp.Diff(asked, w.refs); diff != "" {
		t.Errorf("the one statement: %s", diff)
	}
}

// reader is one of the two places that take a token for a user.
type reader struct {
	typ, otherAudience string
	issue              func(*world, *testing.T) string
	read               func(*world, *testing.T, string) error
}

func readers() map[string]reader {
	return map[string]reader{
		"Bearer": {
			keys.TypeAccessToken, testIssuer + "/v2",
			func(w *world, t *testing.T) string { t.Helper(); return w.issue(t, &w.members[0]) },
			func(w *world, t *testing.T, token string) error {
				t.Helper()
				_, err := w.provider.Bearer(t.Context(), token)
				return err
			},
		},
		"AccountHolder": {
			typeAccountToken, testIssuer,
			func(w *world, t *testing.T) string { t.Helper(); return w.issueAccount(t) },
			func(w *world, t *testing.T, token string) error {
				t.Helper()
				_, err := w.provider.AccountHolder(t.Context(), token)
				return err
			},
		},
		"Selection": {
			typeSelectionToken, testIssuer,
			func(w *world, t *testing.T) string { t.Helper(); return w.issueSelection(t) },
			func(w *world, t *testing.T, token string) error {
				t.Helper()
				_, err := w.provider.VerifySelection(t.Context(), &storage.Client{ID: "shop"}, token)
				return err
			},
		},
	}
}

// TestHostileTokens: nothing but a genuine token of its own kind gets in.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	for name, r := range readers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.login.User.TokensValidFrom = start.Add(-time.Minute)
			f := w.forge(t, r.typ, r.issue(w, t))
			for what, token := range map[string]string{"genuine": f.real, "signed here": f.as(r.typ), "long typ": f.as("application/" + r.typ)} {
				if err := r.read(w, t, token); err != nil {
					t.Errorf("%s: %v, so the forgeries prove nothing", what, err)
				}
			}
			for what, token := range f.hostile(r.otherAudience) {
				if err := r.read(w, t, token); err == nil {
					t.Errorf("%s: taken", what)
				}
			}
			for other, issuer := range readers() {
				if err := r.read(w, t, issuer.issue(w, t)); other != name && err == nil {
					t.Errorf("a token for %s was taken", other)
				}
			}
		})
	}
}

// TestAccountTokenNeedsItsClaims: one that names no user, login or account says
// nothing.
func TestAccountTokenNeedsItsClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.forge(t, typeAccountToken, w.issueAccount(t))
	for _, claim := range []string{"sub", "login_id", "account_uid"} {
		if _, err := w.provider.AccountHolder(t.Context(), f.with(claim, nil)); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("without %s: %v", claim, err)
		}
	}
}

// TestWhatEndsATokenBeforeItsTime holds for every kind of token.
func TestWhatEndsATokenBeforeItsTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*world)
		want   error
	}{
		{"nothing", func(*world) {}, nil},
		{"expired", func(w *world) { w.now = start.Add(10 * time.Minute) }, ErrInvalidToken},
		{"client inactive", func(w *world) { w.clients["shop"].Active = false }, ErrInvalidToken},
		{"client gone", func(w *world) { delete(w.clients, "shop") }, ErrInvalidToken},
		{"client admits no buyers", func(w *world) { w.clients["shop"].AllowAnyBuyer = false }, ErrInvalidToken},
		{"user inactive", func(w *world) { w.login.User.Active = false }, ErrInvalidToken},
		{"user gone", func(w *world) { w.login = storage.Principal{} }, ErrInvalidToken},
		{"login inactive", func(w *world) { w.login.Login.Active = false }, ErrInvalidToken},
		{"login locked", func(w *world) { w.login.Lockout.LockedUntil = start.Add(time.Hour) }, ErrInvalidToken},
		{"home account inactive", func(w *world) { w.login.Account.Active = false }, ErrInvalidToken},
		{"tokens valid from the issue", func(w *world) { w.login.User.TokensValidFrom = start }, nil},
		{"tokens valid from a microsecond later", func(w *world) { w.login.User.TokensValidFrom = start.Add(time.Microsecond) }, ErrTokenRevoked},
		{"sessions valid from the issue", func(w *world) { w.login.Login.SessionsValidFrom = start }, nil},
		{"sessions valid from a microsecond later", func(w *world) { w.login.Login.SessionsValidFrom = start.Add(time.Microsecond) }, ErrTokenRevoked},
		{"the database is away", func(w *world) { w.fail = storage.ErrUnavailable }, storage.ErrUnavailable},
	}
	for name, r := range readers() {
		for _, test := range tests {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				token := r.issue(w, t)
				test.change(w)
				if err := r.read(w, t, token); !errors.Is(err, test.want) || test.want == nil && err != nil {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if test.want == nil {
					w.revoked[claimsIn(t, token)["jti"].(string)] = true
					if err := r.read(w, t, token); !errors.Is(err, ErrTokenRevoked) {
						t.Errorf("revoked: %v", err)
					}
				}
			})
		}
	}
}

// TestWhatEndsAnAccountsTokens: without the membership there is no token for the
// account.
func TestWhatEndsAnAccountsTokens(t *testing.T) {
	t.Parallel()
	for name, r := range readers() {
		if name == "Selection" {
			continue // scoped to no account
		}
		for what, change := range map[string]func(*world){
			"membership gone":  func(w *world) { w.members = w.members[1:] },
			"account inactive": func(w *world) { w.members[0].Account.Active = false },
		} {
			w := newWorld(t)
			token := r.issue(w, t)
			change(w)
			if err := r.read(w, t, token); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// TestBearerOfAFamily: a refreshed token's sign-in is as old as its family.
func TestBearerOfAFamily(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*storage.TokenFamily, *world)
		want   error
	}{
		{"family older than the sessions", func(f *storage.TokenFamily, w *world) {
			f.CreatedAt, w.login.Login.SessionsValidFrom = start.Add(-time.Hour), start.Add(-time.Minute)
		}, ErrTokenRevoked},
		{"family as old as the sessions", func(f *storage.TokenFamily, w *world) {
			f.CreatedAt, w.login.Login.SessionsValidFrom = start.Add(-time.Minute), start.Add(-time.Minute)
		}, nil},
		{"family older than the sessions, but kept", func(f *storage.TokenFamily, w *world) {
			f.CreatedAt, w.login.Login.SessionsValidFrom, w.login.Login.KeptSession = start.Add(-time.Hour), start.Add(-time.Minute), "fam"
		}, nil},
		{"another family is kept", func(f *storage.TokenFamily, w *world) {
			f.CreatedAt, w.login.Login.SessionsValidFrom, w.login.Login.KeptSession = start.Add(-time.Hour), start.Add(-time.Minute), "other"
		}, ErrTokenRevoked},
		{"all tokens of the user revoked, but kept", func(_ *storage.TokenFamily, w *world) {
			w.login.User.TokensValidFrom, w.login.Login.KeptSession = start.Add(time.Minute), "fam"
		}, ErrTokenRevoked},
		{"family revoked", func(f *storage.TokenFamily, _ *world) { f.RevokedAt = start }, ErrTokenRevoked},
		{"family gone", func(_ *storage.TokenFamily, w *world) { delete(w.families, "fam") }, ErrTokenRevoked},
	}
	for _, test := range tests {
		w := newWorld(t)
		token := w.issue(t, nil)
		test.change(w.families["fam"], w)
		if _, err := w.provider.Bearer(t.Context(), token); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		headers []string
		want    string
	}{
		{[]string{"Bearer abc"}, "abc"},
		{[]string{"bearer abc"}, "abc"},
		{[]string{"BEARER  abc "}, "abc"},
		{[]string{"Bearer"}, ""},
		{[]string{"Bearer "}, ""},
		{[]string{"Bearer a b"}, ""},
		{[]string{"Bearer a, Bearer b"}, ""},
		{[]string{"Bearera"}, ""},
		{[]string{"Basic abc"}, ""},
		{[]string{"abc"}, ""},
		{[]string{""}, ""},
		{[]string{"Bearer abc", "Bearer abc"}, ""},
		{nil, ""},
	}
	for _, test := range tests {
		got, ok := BearerToken(http.Header{"Authorization": test.headers})
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%q: %q, %v", test.headers, got, ok)
		}
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	const revoked = `Bearer realm="latchkey", error="invalid_token", error_description="The access token was revoked."`
	tests := []struct {
		err  error
		want string
	}{
		{nil, `Bearer realm="latchkey"`},
		{ErrNoToken, `Bearer realm="latchkey"`},
		{ErrInvalidToken, `Bearer realm="latchkey", error="invalid_token", error_description="The access token is invalid or expired."`},
		{ErrTokenRevoked, revoked},
		{errors.Join(errors.New("detail"), ErrTokenRevoked), revoked},
		{ErrInsufficientRoles, `Bearer realm="latchkey", error="insufficient_scope", error_description="The access token lacks a role."`},
	}
	for _, test := range tests {
		if got := Challenge(test.err); got != test.want {
			t.Errorf("%v: %s", test.err, got)
		}
	}
	if !errors.Is(ErrTokenRevoked, ErrInvalidToken) || !errors.Is(ErrNoToken, ErrInvalidToken) {
		t.Error("whoever tells an invalid token only does not tell the others")
	}
}

func TestCallerHas(t *testing.T) {
	t.Parallel()
	tests := []struct {
		has, asked []string
		want       bool
	}{
		{nil, nil, true},
		{nil, []string{"A"}, false},
		{[]string{"A"}, []string{"A"}, true},
		{[]string{"B"}, []string{"A", "B"}, true},
		{[]string{"a"}, []string{"A"}, false},
		{[]string{"FullAccess"}, []string{"A"}, true},
	}
	for _, test := range tests {
		if got := (&Caller{Roles: test.has}).Has(test.asked...); got != test.want {
			t.Errorf("%q has %q: %v", test.has, test.asked, got)
		}
	}
}

func TestCallerSellerSide(t *testing.T) {
	t.Parallel()
	user := func(kind storage.UserKind) *storage.Principal {
		return &storage.Principal{User: storage.User{Kind: kind}}
	}
	tests := []struct {
		name   string
		caller Caller
		want   bool
	}{
		{"client", Caller{Roles: []string{"FullAccess"}}, true},
		{"client without a secret", Caller{}, false},
		{"admin user", Caller{Principal: user(storage.Admin)}, true},
		{"admin user in an account", Caller{Principal: user(storage.Admin), Member: &storage.Member{}, Roles: []string{"FullAccess"}}, false},
		{"buyer user", Caller{Principal: user(storage.Buyer), Roles: []string{"FullAccess"}}, false},
		{"supplier user", Caller{Principal: user(storage.Supplier), Roles: []string{"FullAccess"}}, false},
	}
	for _, test := range tests {
		if got := test.caller.SellerSide(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
