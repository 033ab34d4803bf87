package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// TestAccountMemberGrant tests which requests get a token, and for which account.
func TestAccountMemberGrant(t *testing.T) {
	t.Parallel()
	again := func(fx *fixture) { fx.join("usr_bob", "beta", "Sell") }
	tests := map[string]struct {
		form    string
		change  func(*fixture, *storage.Client)
		code    string
		wantErr error
		account string
		scope   []string
		amr     string
		settled int
		refresh bool
	}{
		"code, only account":        {form: "username=bob one_time_password=12345678", account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1, refresh: true},
		"password, only account":    {form: "username=bob password=Tr0ub4dor&3", account: "acme", scope: []string{"Buy", "Approve"}, amr: "pwd", settled: 1, refresh: true},
		"code as password":          {form: "username=bob password=12345678", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"password as code":          {form: "username=bob one_time_password=Tr0ub4dor&3", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"code for a password reset": {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) { fx.Bob().Login.Code.Purpose = storage.PurposeResetPassword }, account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1, refresh: true},
		"named account":             {form: "username=bob one_time_password=12345678 account_id=beta", change: func(fx *fixture, _ *storage.Client) { again(fx) }, account: "beta", scope: []string{"Sell"}, amr: "otp", settled: 1, refresh: true},
		"no such account":           {form: "username=bob one_time_password=12345678 account_id=nowhere", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"account of others":         {form: "username=bob one_time_password=12345678 account_id=beta", change: func(fx *fixture, _ *storage.Client) { fx.join("usr_eve", "beta", "Sell") }, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"other letter case":         {form: "username=bob one_time_password=12345678 account_id=ACME", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"no account at all":         {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) { fx.members = nil }, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"part of the roles":         {form: "username=bob one_time_password=12345678 scope=Approve+Shopper", account: "acme", scope: []string{"Approve"}, amr: "otp", settled: 1, refresh: true},
		"only roles it has elsewhere": {
			form: "username=bob one_time_password=12345678 scope=Shopper", code: "invalid_scope", wantErr: ErrInsufficientRoles,
		},
		"the client's ceiling":     {form: "username=bob one_time_password=12345678", change: func(_ *fixture, c *storage.Client) { c.MaximumRoles = []string{"Buy", "Shopper"} }, account: "acme", scope: []string{"Buy"}, amr: "otp", settled: 1, refresh: true},
		"minimum met by both":      {form: "username=bob one_time_password=12345678", change: func(_ *fixture, c *storage.Client) { c.MinimumRoles = []string{"Buy", "Shopper"} }, account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1, refresh: true},
		"minimum missed":           {form: "username=bob one_time_password=12345678", change: func(_ *fixture, c *storage.Client) { c.MinimumRoles = []string{"Sell"} }, code: "invalid_grant", wantErr: ErrInsufficientRoles},
		"no roles":                 {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) { fx.members["usr_bob"][0].Membership.Roles = nil }, account: "acme", amr: "otp", settled: 1, refresh: true},
		"client without refresh":   {form: "username=bob one_time_password=12345678", change: func(_ *fixture, c *storage.Client) { c.RefreshTokenTTL = 0 }, account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1},
		"client without the grant": {form: "username=bob one_time_password=12345678", change: func(_ *fixture, c *storage.Client) { c.GrantTypes = []string{GrantPassword} }, code: "unauthorized_client"},
		"codes are locked":         {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) { fx.Bob().Lockout.Codes.LockedUntil = start.Add(1) }, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"passwords are locked":     {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) { fx.Bob().Lockout.LockedUntil = start.Add(1) }, account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1, refresh: true},
		"locked":                   {form: "username=bob password=Tr0ub4dor&3", change: func(fx *fixture, _ *storage.Client) { fx.Bob().Lockout.LockedUntil = start.Add(1) }, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"profile of the realm":     {form: "username=bob one_time_password=12345678 password_profile_id=second", change: func(fx *fixture, _ *storage.Client) { fx.AddUser("second", "bob"); fx.Bob().Login.Code.UsedAt = start }, account: "acme", scope: []string{"Buy", "Approve"}, amr: "otp", settled: 1, refresh: true},
		"code of another profile":  {form: "username=bob one_time_password=12345678 password_profile_id=second", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"profile of another realm": {form: "username=bob one_time_password=12345678 password_profile_id=foreign", change: func(fx *fixture, _ *storage.Client) { fx.AddUser("foreign", "bob") }, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"no such profile":          {form: "username=bob one_time_password=12345678 password_profile_id=none", code: "invalid_grant", wantErr: signin.ErrCredentials},
		"expired password":         {form: "username=bob password=Tr0ub4dor&3", change: func(fx *fixture, _ *storage.Client) { fx.Bob().Rules.MaxAge = 1 }, code: "invalid_grant", wantErr: signin.ErrPasswordExpired},
		"locked at the last moment": {form: "username=bob one_time_password=12345678", change: func(fx *fixture, _ *storage.Client) {
			fx.BeforeSettle = func(p *storage.Principal) { p.Login.Active = false }
		}, code: "invalid_grant", wantErr: signin.ErrCredentials},
		"nothing presented":          {form: "username=bob", code: "invalid_request"},
		"two things presented":       {form: "username=bob password=x one_time_password=y", code: "invalid_request"},
		"a password and a token":     {form: "username=bob password=x member_token=held", code: "invalid_request"},
		"no username":                {form: "one_time_password=12345678", code: "invalid_request"},
		"a username with a token":    {form: "username=bob member_token=held", code: "invalid_request"},
		"a profile with a token":     {form: "password_profile_id=main member_token=held", code: "invalid_request"},
		"a selection without choice": {form: "selection_token=choice", code: "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			if tt.change != nil {
				tt.change(fx, client)
			}
			v := form(tt.form)
			answer, err := ask(fx.accountMember(t), client, GrantAccountMember, v)
			if code(err) != tt.code || tt.wantErr != nil && !errors.Is(err, tt.wantErr) {
				t.Fatalf("got error %v, want %s, %v", err, tt.code, tt.wantErr)
			}
			if fx.Settled != tt.settled {
				t.Errorf("got %d settled sign-ins, want %d", fx.Settled, tt.settled)
			}
			for _, secret := range []string{"one_time_password", "password", "member_token", "selection_token"} {
				if v.Has(secret) && tt.code != "unauthorized_client" {
					t.Errorf("%s remains in the form, want it removed", secret)
				}
			}
			if err != nil {
				return
			}
			token := fx.minted[0]
			if token.Member == nil || token.Member.Account.ID != tt.account || token.Principal.User.UID != "usr_bob" {
				t.Errorf("got the token %+v, want one of usr_bob for %s", token, tt.account)
			}
			if diff := cmp.Diff(tt.scope, token.Scope); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{tt.amr}, token.AMR); diff != "" {
				t.Error(diff)
			}
			if answer.GetExtra("account_id") != tt.account || answer.GetExtra("account_name") != "The "+tt.account {
				t.Errorf("got the answer %v", answer.ToMap())
			}
			family := fx.Families[token.FamilyID]
			if (answer.GetExtra("refresh_token") != nil) != tt.refresh || (family != nil) != tt.refresh {
				t.Errorf("got refresh token %v, want one: %v", answer.GetExtra("refresh_token"), tt.refresh)
			}
			if family != nil && family.Family.AccountUID != "acc_"+tt.account {
				t.Errorf("got a family for account %q", family.Family.AccountUID)
			}
		})
	}
}

// TestAccountMemberRefusalsAreAlike tests that a right code with an account of other users gets
// exactly the answer to a wrong code.
func TestAccountMemberRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	h := fx.accountMember(t)
	_, wrong := ask(h, client, GrantAccountMember, form("username=bob one_time_password=00000000 account_id=acme"))
	_, foreign := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678 account_id=beta"))
	_, unknown := ask(h, client, GrantAccountMember, form("username=eve one_time_password=12345678 account_id=beta"))
	if wrong.Error() != foreign.Error() || wrong.Error() != unknown.Error() {
		t.Errorf("answers differ: %v, %v, %v", wrong, foreign, unknown)
	}
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678")); err != nil {
		t.Errorf("the code after the refusals: got %v, want no error", err)
	}
}

// TestAccountSelection signs in a user with several accounts. The sign-in uses the code, and
// the choice of an account needs no second code.
func TestAccountSelection(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.join("usr_bob", "beta", "Sell")
	h := fx.accountMember(t)

	fx.mintErr = errors.New("no key")
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678")); !errors.Is(err, fx.mintErr) || fx.Settled != 0 {
		t.Fatalf("got error %v and %d settled; want the error of Mint and none", err, fx.Settled)
	}
	fx.mintErr = nil
	_, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678"))
	var required *SelectionRequired
	if !errors.As(err, &required) || code(err) != "account_selection_required" {
		t.Fatalf("got error %v, want a selection", err)
	}
	if required.Token != "choice" || required.ExpiresIn != 5*time.Minute || required.Total != 2 || required.Accounts[1].Account.ID != "beta" {
		t.Errorf("got the selection %+v", required)
	}
	if fx.Settled != 1 || len(fx.Families) != 0 || len(fx.minted) != 0 {
		t.Errorf("got %d settled, %d families, %d tokens; want 1, 0, 0", fx.Settled, len(fx.Families), len(fx.minted))
	}
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678 account_id=beta")); !errors.Is(err, signin.ErrCredentials) {
		t.Errorf("the second use of the code: got %v, want ErrCredentials", err)
	}

	fx.Now = fx.Now.Add(time.Minute)
	if _, err := ask(h, client, GrantAccountMember, form("selection_token=choice account_id=nowhere")); !errors.Is(err, ErrSubjectToken) || code(err) != "invalid_grant" {
		t.Errorf("an unknown account: got %v, want ErrSubjectToken", err)
	}
	if _, err := ask(h, client, GrantAccountMember, form("selection_token=forged account_id=beta")); !errors.Is(err, ErrSubjectToken) {
		t.Errorf("a forged selection token: got %v, want ErrSubjectToken", err)
	}
	answer, err := ask(h, client, GrantAccountMember, form("selection_token=choice account_id=beta"))
	if err != nil {
		t.Fatal(err)
	}
	token := fx.minted[0]
	if !token.AuthTime.Equal(start) || !token.ExpiresAt.Equal(fx.Now.Truncate(time.Second).Add(10*time.Minute)) || token.AMR[0] != "otp" {
		t.Errorf("the token does not continue the sign-in: %+v", token)
	}
	if answer.GetExtra("refresh_token") == nil || fx.Families[token.FamilyID].Family.AccountUID != "acc_beta" {
		t.Errorf("got the answer %v", answer.ToMap())
	}
	want := []string{
		"sign_in not_settled", "sign_in success", "sign_in repeated", "account.chosen not_a_member", "account.chosen success",
	}
	if diff := cmp.Diff(want, fx.Outcomes()); diff != "" {
		t.Error(diff)
	}
}

// TestAccountSelectionEnds tests that an event that ends sessions also ends the selection
// token, if it happens between the sign-in and the choice, even at the last moment.
func TestAccountSelectionEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, meanwhile func(*storage.Principal)
	}{
		"locked":                     {before: func(p *storage.Principal) { p.Lockout.LockedUntil = start.Add(time.Hour) }},
		"inactive":                   {before: func(p *storage.Principal) { p.User.Active = false }},
		"locked meanwhile":           {meanwhile: func(p *storage.Principal) { p.Lockout.LockedUntil = start.Add(time.Hour) }},
		"disabled meanwhile":         {meanwhile: func(p *storage.Principal) { p.Login.Active = false }},
		"password changed meanwhile": {meanwhile: func(p *storage.Principal) { p.Login.PasswordSetAt = start }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			fx.choices["choice"] = SelectionToken{Client: client, AMR: []string{"otp"}, AuthTime: start, IssuedAt: start}
			if tt.before != nil {
				tt.before(fx.Bob())
			}
			fx.BeforeSettle = tt.meanwhile
			_, err := ask(fx.accountMember(t), client, GrantAccountMember, form("selection_token=choice account_id=acme"))
			if !errors.Is(err, ErrSubjectToken) || len(fx.Families) != 0 {
				t.Errorf("got error %v and %d families; want ErrSubjectToken and none", err, len(fx.Families))
			}
		})
	}
}

// TestAccountMemberByMemberToken tests that a member_token gets a token for another account.
// The new token does not live longer than the member_token. In the same account it does not
// have more roles.
func TestAccountMemberByMemberToken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form    string
		account string // of the member_token
		change  func(*fixture, *SubjectToken)
		wantErr error
		want    string
		scope   []string
	}{
		"same account":                  {form: "member_token=held", account: "acme", want: "acme", scope: []string{"Buy"}},
		"same account by name":          {form: "member_token=held account_id=acme", account: "acme", want: "acme", scope: []string{"Buy"}},
		"same account, wider":           {form: "member_token=held scope=Approve", account: "acme", wantErr: ErrScopeExceeded},
		"another account":               {form: "member_token=held account_id=beta", account: "acme", want: "beta", scope: []string{"Sell", "Buy"}},
		"another account, part":         {form: "member_token=held account_id=beta scope=Sell", account: "acme", want: "beta", scope: []string{"Sell"}},
		"first account":                 {form: "member_token=held account_id=beta", want: "beta", scope: []string{"Sell", "Buy"}},
		"account management token":      {form: "member_token=held account_id=acme", account: "acme", change: func(_ *fixture, h *SubjectToken) { h.Access, h.Scope = false, nil }, want: "acme", scope: []string{"Buy", "Approve"}},
		"foreign account":               {form: "member_token=held account_id=nowhere", account: "acme", wantErr: ErrSubjectToken},
		"forged":                        {form: "member_token=forged account_id=acme", account: "acme", wantErr: ErrSubjectToken},
		"locked":                        {form: "member_token=held", account: "acme", change: func(_ *fixture, h *SubjectToken) { h.Principal.Lockout.LockedUntil = start.Add(1) }, wantErr: ErrSubjectToken},
		"of no sign-in":                 {form: "member_token=held", account: "acme", change: func(_ *fixture, h *SubjectToken) { h.AuthTime = time.Time{} }, wantErr: ErrSubjectToken},
		"of no user":                    {form: "member_token=held", change: func(_ *fixture, h *SubjectToken) { h.Principal = storage.Principal{} }, wantErr: ErrSubjectToken},
		"role lost meanwhile, same":     {form: "member_token=held", account: "acme", change: func(_ *fixture, h *SubjectToken) { h.Member.Membership.Roles = []string{"Approve"} }, want: "acme"},
		"no account, several to choose": {form: "member_token=held", wantErr: &SelectionRequired{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			fx.join("usr_bob", "beta", "Sell", "Buy")
			held := fx.hold(tt.account, "Buy")
			if tt.change != nil {
				tt.change(fx, held)
				fx.held["held"] = *held
			}
			answer, err := ask(fx.accountMember(t), client, GrantAccountMember, form(tt.form))
			var choose *SelectionRequired
			if errors.As(tt.wantErr, &choose) {
				if !errors.As(err, &choose) || choose.Token != "" || len(choose.Accounts) != 2 {
					t.Errorf("got error %+v, want a selection without a token", err)
				}
				return
			}
			if tt.wantErr != nil {
				if !errors.Is(err, tt.wantErr) || len(fx.minted) != 0 {
					t.Errorf("got error %v, want %v", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			token := fx.minted[0]
			if token.Member.Account.ID != tt.want || answer.GetExtra("account_id") != tt.want {
				t.Errorf("got a token for account %s, want %s", token.Member.Account.ID, tt.want)
			}
			if diff := cmp.Diff(tt.scope, token.Scope); diff != "" {
				t.Error(diff)
			}
			if answer.GetExtra("refresh_token") != nil || token.FamilyID != "fam" || !token.ExpiresAt.Equal(held.ExpiresAt) || !token.AuthTime.Equal(held.AuthTime) {
				t.Errorf("the token exceeds the member_token: %+v", token)
			}
		})
	}
}

// TestAccountMemberWithoutTokens tests that a server without SubjectTokens refuses subject
// tokens. It lists the accounts of a user who has several, and does not use the code.
func TestAccountMemberWithoutTokens(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.join("usr_bob", "beta", "Sell")
	h := fx.accountMember(t)
	h.SubjectTokens, h.Profiles = nil, nil
	for _, presented := range []string{"member_token=held", "selection_token=choice account_id=acme"} {
		if _, err := ask(h, client, GrantAccountMember, form(presented)); !errors.Is(err, ErrSubjectToken) {
			t.Errorf("%s: got %v, want ErrSubjectToken", presented, err)
		}
	}
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678 password_profile_id=second")); !errors.Is(err, signin.ErrCredentials) {
		t.Errorf("another profile: got %v, want signin.ErrCredentials", err)
	}
	var required *SelectionRequired
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678")); !errors.As(err, &required) || required.Token != "" {
		t.Errorf("several accounts: got %v, want a selection without a token", err)
	}
	if _, err := ask(h, client, GrantAccountMember, form("username=bob one_time_password=12345678 account_id=beta")); err != nil {
		t.Errorf("the code after the list: got %v, want no error", err)
	}
}

// TestSelectionClearsNoFailures tests that the choice of an account does not clear the failures
// since the sign-in, because it presents no credential.
func TestSelectionClearsNoFailures(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.choices["choice"] = SelectionToken{Client: client, AMR: []string{"otp"}, AuthTime: start, IssuedAt: start}
	failed := storage.Lockout{Failures: 3, LastFailureAt: start.Add(-time.Second), Version: 3}
	fx.Bob().Lockout = failed
	if _, err := ask(fx.accountMember(t), client, GrantAccountMember, form("selection_token=choice account_id=acme")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(failed, fx.Bob().Lockout); diff != "" {
		t.Error(diff)
	}
}
