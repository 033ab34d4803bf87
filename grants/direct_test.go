package grants

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// directFixture is a fixture whose store redeems codes in one statement, before it reads their
// login.
type directFixture struct {
	*fixture
	redeemed, restored int
	restoreErr         error
}

func (fx *directFixture) DigestByName(key storage.LoginKey, code string) storage.Digest {
	return storage.Digest{PepperID: key.UsernameKey, Sum: []byte(code)}
}

func (fx *directFixture) CodeLength(presented string) int { return len(presented) }

func (fx *directFixture) RedeemCode(_ context.Context, r storage.Redemption) (storage.Redeemed, bool, error) {
	p := fx.Logins[storage.LoginKey{ProfileID: r.Key.ProfileID, UsernameKey: r.Key.UsernameKey}]
	if p == nil || !p.Login.Code.Live(r.Now) || string(p.Login.Code.Digest.Sum) != string(r.NameDigest.Sum) || p.Lockout.Failures > 0 {
		return storage.Redeemed{}, false, nil
	}
	for _, g := range r.Grants {
		if g.RoleSource == p.RoleSource {
			fx.redeemed++
			p.Login.Code.UsedAt = r.Now
			if r.Family != nil {
				f := *r.Family
				f.UserUID, f.LoginID, f.Scope = p.User.UID, p.Login.ID, g.Scope
				fx.Families[f.ID] = &storage.FamilyState{Family: f}
			}
			return storage.Redeemed{Principal: *p, Scope: g.Scope, CodeID: p.Login.Code.ID}, true, nil
		}
	}
	return storage.Redeemed{}, false, nil
}

func (fx *directFixture) RestoreCode(_ context.Context, r storage.Redemption, _ storage.Redeemed) error {
	if fx.restoreErr != nil {
		return fx.restoreErr
	}
	fx.restored++
	fx.Bob().Login.Code.UsedAt = time.Time{}
	delete(fx.Families, r.Family.ID)
	return nil
}

func (fx *directFixture) Prepare(ctx context.Context, _ *storage.Client, _ []string) (func(AccessToken) (string, error), error) {
	return func(t AccessToken) (string, error) { return fx.Mint(ctx, t) }, nil
}

// newDirect returns a password grant that knows the roles of Bob, and a function that signs in
// with a new code of Bob.
func newDirect(t *testing.T) (*directFixture, *storage.Client, *Password, func(confirm func(context.Context) error) error) {
	t.Helper()
	plain, client := newFixture(t)
	fx := &directFixture{fixture: plain}
	a, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: fx, Codes: fx, Passwords: fx, Recorder: fx, Now: fx.Clock})
	if err != nil {
		t.Fatal(err)
	}
	h := &Password{Authenticator: a, AccessTokens: fx, RefreshTokens: refreshTokens(), Now: fx.Clock}
	signIn := func(confirm func(context.Context) error) error {
		fx.NewCode("otc_next")
		_, err := askIn(&Session{Confirm: confirm}, h, client, GrantPassword, form("username=bob password=12345678"))
		return err
	}
	if err := signIn(nil); err != nil || fx.redeemed != 0 || fx.Settled != 1 {
		t.Fatalf("first sign-in: got error %v and %d redeemed, want 0 redeemed", err, fx.redeemed)
	}
	fx.Events, fx.minted = nil, nil
	return fx, client, h, signIn
}

// TestPasswordGrantRedeemsDirectly tests that the second sign-in reads no login and begins a
// family.
func TestPasswordGrantRedeemsDirectly(t *testing.T) {
	t.Parallel()
	fx, _, _, signIn := newDirect(t)
	reads := fx.Reads
	if err := signIn(nil); err != nil {
		t.Fatal(err)
	}
	if fx.redeemed != 1 || fx.Reads != reads || fx.Settled != 1 || fx.Writes != 0 {
		t.Errorf("got %d redeemed, %d reads, %d settled, %d writes; want 1, 0, 1 in total and 0", fx.redeemed, fx.Reads-reads, fx.Settled, fx.Writes)
	}
	token := fx.minted[0]
	family := fx.Families[token.FamilyID]
	if family == nil || cmp.Diff(token.Scope, family.Family.Scope) != "" || family.Family.AMR[0] != "otp" || token.Principal.User.UID != "usr_bob" {
		t.Errorf("got token %+v, family %+v", token, family)
	}
	if diff := cmp.Diff([]string{"sign_in success"}, fx.Outcomes()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestPasswordGrantTakesBack tests that the redemption is undone if minting fails, or if the
// roles have changed since they were cached.
func TestPasswordGrantTakesBack(t *testing.T) {
	t.Parallel()
	fx, _, h, signIn := newDirect(t)
	families := len(fx.Families)
	fx.mintErr = errors.New("no key")
	if err := signIn(nil); !errors.Is(err, fx.mintErr) {
		t.Fatalf("got error %v, want the error of Mint", err)
	}
	if fx.restored != 1 || !fx.Bob().Login.Code.Live(fx.Now) || len(fx.Families) != families {
		t.Errorf("got %d restored, code %+v, %d families; want one restored and a live code", fx.restored, fx.Bob().Login.Code, len(fx.Families))
	}
	if diff := cmp.Diff([]string{"sign_in not_settled"}, fx.Outcomes()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	fx.restoreErr = storage.ErrUnavailable
	if err := signIn(nil); !errors.Is(err, fx.mintErr) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got error %v, want the errors of Mint and RestoreCode", err)
	}
	fx.mintErr, fx.restoreErr = nil, nil
	fx.Bob().Roles = []string{"Buyer"} // as after the change of a security profile
	settled, redeemed := fx.Settled, fx.redeemed
	if err := signIn(nil); err != nil {
		t.Fatal(err)
	}
	if fx.restored != 2 || fx.Settled != settled+1 {
		t.Errorf("got %d restored, %d settled; want 2 and 1", fx.restored, fx.Settled-settled)
	}
	if got := fx.minted[len(fx.minted)-1].Scope; cmp.Diff([]string{"Buyer"}, got) != "" {
		t.Errorf("got the scope %v, want Buyer", got)
	}
	if err := signIn(nil); err != nil || fx.redeemed != redeemed+2 || fx.restored != 2 {
		t.Errorf("with the new roles cached: got error %v, %d redeemed, %d restored", err, fx.redeemed-redeemed, fx.restored)
	}
	_ = h
}

// TestPasswordGrantTakesTwoSteps tests that any other request gets the same decision, and
// counts the same failures, as on a store that never redeems in one statement.
func TestPasswordGrantTakesTwoSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(fx *directFixture, c *storage.Client)
		confirm func(context.Context) error
		form    string
		want    string // code of the error
		writes  int    // failures counted
	}{
		"a proof to confirm":    {confirm: func(context.Context) error { return nil }},
		"a permanent password":  {form: "username=bob password=" + rightPassword},
		"a wrong code":          {form: "username=bob password=99999999", want: "invalid_grant", writes: 1},
		"an unknown name":       {form: "username=nobody password=12345678", want: "invalid_grant", writes: 1},
		"other requested roles": {form: "username=bob password=12345678 scope=Shopper"},
		"an inactive client":    {change: func(_ *directFixture, c *storage.Client) { c.Active = false }, want: "invalid_grant", writes: 1},
		"a changed client":      {change: func(_ *directFixture, c *storage.Client) { c.Version++ }},
		"a client changed by a clock ahead": {change: func(fx *directFixture, c *storage.Client) {
			c.PermittedSince = map[string]time.Time{"seller": fx.Now.Add(time.Second)}
		}},
		"a client of many accounts": {change: func(_ *directFixture, c *storage.Client) { c.AccountUIDs = make([]string, 101) }},
		"a failure counted":         {change: func(fx *directFixture, _ *storage.Client) { fx.Bob().Lockout.Failures = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client, h, _ := newDirect(t)
			fx.NewCode("otc_2")
			if c.change != nil {
				c.change(fx, client)
			}
			if c.form == "" {
				c.form = "username=bob password=12345678"
			}
			_, err := askIn(&Session{Confirm: c.confirm}, h, client, GrantPassword, form(c.form))
			if code(err) != c.want || fx.redeemed != 0 || fx.Writes != c.writes {
				t.Errorf("got error %v, %d redeemed, %d failures counted; want %q, 0 and %d", err, fx.redeemed, fx.Writes, c.want, c.writes)
			}
		})
	}
}

func (fx *directFixture) UseFamily(ctx context.Context, use storage.FamilyUse) (storage.FamilyState, bool, error) {
	state, err := fx.Family(ctx, use.FamilyID)
	f := &state.Family
	if err != nil || f.Generation != use.Generation || string(f.SeedDigest) != string(use.SeedDigest) || f.ClientID != use.ClientID {
		return storage.FamilyState{}, false, nil //nolint:nilerr // a family that does not exist cannot be used
	}
	fx.redeemed++
	f.Generation++
	fx.Families[f.ID].Family = *f
	return state, true, nil
}

func (fx *directFixture) RestoreFamily(_ context.Context, f storage.TokenFamily) error {
	if fx.restoreErr != nil {
		return fx.restoreErr
	}
	fx.restored++
	fx.Families[f.ID].Family.Generation = f.Generation - 1
	return nil
}

// TestRefreshUsesDirectly tests that an ordinary refresh is one use of the family. If minting
// fails, the use is undone. All other refreshes take two steps.
func TestRefreshUsesDirectly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		session Session
		change  func(fx *directFixture, c *storage.Client)
		scope   string
		used    int
		err     error
	}{
		"ordinary":   {used: 1},
		"mint fails": {change: func(fx *directFixture, _ *storage.Client) { fx.mintErr = errNoKey }, used: 1, err: errNoKey},
		"mint and restore fail": {change: func(fx *directFixture, _ *storage.Client) {
			fx.mintErr, fx.restoreErr = errNoKey, storage.ErrUnavailable
		}, used: 1, err: storage.ErrUnavailable},
		"a scope":                   {scope: " scope=Shopper"},
		"a resource":                {session: Session{Resources: []string{"https://api.example"}, Audience: []string{"https://api.example"}}},
		"a key":                     {session: Session{JKT: "thumbprint"}},
		"a proof to confirm":        {session: Session{Confirm: func(context.Context) error { return nil }}},
		"minimum roles":             {change: func(_ *directFixture, c *storage.Client) { c.MinimumRoles = []string{"Shopper"} }},
		"no rotation":               {change: func(_ *directFixture, c *storage.Client) { c.ReuseRefreshTokens = true }},
		"an inactive client":        {change: func(_ *directFixture, c *storage.Client) { c.Active = false }, err: ErrRefreshToken},
		"a client of many accounts": {change: func(_ *directFixture, c *storage.Client) { c.AccountUIDs = make([]string, 101) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client, h, _ := newDirect(t)
			fx.NewCode("otc_2")
			first, err := ask(h, client, GrantPassword, form("username=bob password=12345678"))
			if err != nil {
				t.Fatal(err)
			}
			fx.redeemed, fx.minted = 0, nil
			if c.change != nil {
				c.change(fx, client)
			}
			refresh := &Refresh{Families: fx, AccessTokens: fx, RefreshTokens: h.RefreshTokens, Recorder: fx, Now: fx.Clock}
			presented, _ := first.GetExtra("refresh_token").(string)
			answer, err := askIn(&c.session, refresh, client, GrantRefreshToken, form("refresh_token="+presented+c.scope))
			if fx.redeemed != c.used || !errors.Is(err, c.err) {
				t.Fatalf("got %d used, error %v; want %d, %v", fx.redeemed, err, c.used, c.err)
			}
			if restored := errors.Is(c.err, errNoKey); restored != (fx.restored == 1) {
				t.Errorf("got %d restored", fx.restored)
			}
			if c.err != nil {
				return
			}
			next, err := h.RefreshTokens.Parse(answer.GetExtra("refresh_token").(string))
			if err != nil || (next.Generation == 2) == client.ReuseRefreshTokens || cmp.Diff([]string{"Shopper"}, fx.minted[0].Scope) != "" {
				t.Errorf("got the next token %+v, error %v, minted %+v", next, err, fx.minted[0])
			}
		})
	}
}

var errNoKey = errors.New("no key")
