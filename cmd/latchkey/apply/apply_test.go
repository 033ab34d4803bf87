package apply_test

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/cmd/latchkey/apply"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

//go:embed testdata/shop.yaml
var shop string

var shopChanges = []string{
	"update password_profile default: code_length",
	"create authentication_realm partners",
	"create password_profile partners-otp",
	"create Buyer b1",
	"create User b1/jane",
	"create User b1/joe-example-org",
	"create Supplier s1",
	"create User s1/sam",
	"create AdminUser root",
	"create SecurityProfile shopper",
	"create SecurityProfile All-admins",
	"create ApiClient storefront",
	"create ApiClient Back-office",
	"create MessageSender console",
	"create MessageSender hook",
	"create account_membership s1/jane",
}

func TestApplyIsIdempotent(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	if diff := cmp.Diff(shopChanges, db.apply(shop)); diff != "" {
		t.Error(diff)
	}
	db.written()
	if again := db.apply(shop); len(again) > 0 {
		t.Errorf("a second run: got the changes %q, want none", again)
	}
	if sql := db.written(); len(sql) > 0 {
		t.Errorf("a second run: got the writes %q, want none", sql)
	}
	if c, err := db.store.Client(t.Context(), "storefront"); err != nil || c.Version != 1 {
		t.Errorf("got version %d, error %v; want 1", c.Version, err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.written()
	result, err := db.run(shop, true)
	must(t, err)
	if diff := cmp.Diff(shopChanges, lines(result)); diff != "" || !result.DryRun {
		t.Errorf("got dry run %v; changes (-want +got):\n%s", result.DryRun, diff)
	}
	if sql := db.written(); len(sql) > 0 {
		t.Errorf("a dry run: got the writes %q, want none", sql)
	}
}

// TestApplyTakesEffect tests that sign-ins use the applied records.
func TestApplyTakesEffect(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(shop)
	jane := db.principal("jane")
	if diff := cmp.Diff([]string{"MeAdmin", "Shopper", "vip"}, jane.Roles); diff != "" {
		t.Errorf("roles of jane (-want +got):\n%s", diff)
	}
	if jane.Policy.Threshold != 5 || jane.Account.ID != "b1" || jane.Login.Username != "Jane" || jane.User.EmailKey != "jane@example.org" {
		t.Errorf("got %+v", jane)
	}
	if diff := cmp.Diff([]string{"FullAccess"}, db.principal("root").Roles); diff != "" {
		t.Errorf("roles of root (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"MeAdmin", "Shopper", "vip"}, db.principal("sam").Roles); diff != "" {
		t.Errorf("roles of sam (-want +got):\n%s", diff)
	}
	supplier, err := db.store.Account(t.Context(), "default", storage.Supplier, "s1")
	must(t, err)
	m, err := db.store.Membership(t.Context(), supplier.UID, jane.User.UID)
	if err != nil || !slices.Equal(m.Roles, []string{"buyer-admin"}) {
		t.Errorf("got the membership %+v, error %v", m, err)
	}
	hook, err := db.store.Sender(t.Context(), "hook")
	must(t, err)
	if !hook.AllowSeller || !slices.Equal(hook.AccountUIDs, []string{supplier.UID}) {
		t.Errorf("got the sender %+v", hook)
	}
	key, err := db.cfg.Sealer.Open(hook.SharedKey, wire.SharedKeyContext)
	if err != nil || string(key) != "key of the hook" {
		t.Errorf("got the shared key %q, error %v", key, err)
	}
	c, err := db.store.Client(t.Context(), "Back-OFFICE")
	must(t, err)
	if !c.Public || c.ReuseRefreshTokens || c.Credentials != (storage.Credentials{OTP: true}) {
		t.Errorf("got the client %+v", c)
	}
}

func TestApplyUpdates(t *testing.T) {
	t.Parallel()
	const before = `
SecurityProfiles: [{ID: p, Name: P, Roles: [MeAdmin], Assignments: [{BuyerID: b}, {}]}]
Buyers: [{ID: b, Name: B, xp: {a: 1, b: 2}, Users: [{ID: u, Username: u, Email: u@x.org}]}]
ApiClients: [{ID: c, AppName: C, AllowSeller: true, Assignments: [{BuyerID: b}]}]
MessageSenders: [{ID: m, Name: M, MessageTypes: [OneTimePassword], URL: "https://x.org", SharedKey: k, AllowAllBuyers: true}]
authentication_realms: [{id: default, password_profiles: [{id: default, lockout_threshold: 3}]}]
account_memberships: [{account_id: b, account_member_id: u, roles: [x]}]
`
	tests := []struct {
		name, from, to string
		want           []string
	}{
		{"order of members in xp", "{a: 1, b: 2}", "{b: 2, a: 1}", nil},
		{"left out default", "Name: B,", "Name: B, Active: true,", nil},
		{"xp", "{a: 1, b: 2}", "{a: 1}", []string{"update Buyer b: xp"}},
		{"name", "Name: B,", "Name: New,", []string{"update Buyer b: Name"}},
		{"user", "Email: u@x.org", "Email: v@x.org, Active: false", []string{"update User b/u: Email, Active"}},
		{"rename", "Username: u,", "Username: V,", []string{"update User b/u: Username"}},
		{"spelling of the name", "Username: u,", "Username: U,", []string{"update User b/u: Username"}},
		{"profile", "[MeAdmin]", "[MeAdmin, Shopper]", []string{"update SecurityProfile p: Roles"}},
		{"one assignment less", "[{BuyerID: b}, {}]", "[{}]", []string{"update SecurityProfile p: Assignments"}},
		{"no assignments given", ", Assignments: [{BuyerID: b}, {}]", "", nil},
		{"client", "AllowSeller: true", "RefreshTokenDuration: 5", []string{"update ApiClient c: RefreshTokenDuration, AllowSeller"}},
		{"client's assignments", "AllowSeller: true, Assignments: [{BuyerID: b}]", "AllowSeller: true, Assignments: []", []string{"update ApiClient c: Assignments"}},
		{"client's assignments not given", ", Assignments: [{BuyerID: b}]", "", nil},
		{"sender", "AllowAllBuyers: true", "ElevatedRoles: [MeAdmin]", []string{"update MessageSender m: ElevatedRoles, AllowAllBuyers"}},
		{"sender without its key", "SharedKey: k, ", "", nil},
		{"sender's key", "SharedKey: k", "SharedKey: l", []string{"update MessageSender m: SharedKey"}},
		{"password profile keeps what is left out", "lockout_threshold: 3", "code_length: 9", []string{"update password_profile default: code_length"}},
		{"membership", "roles: [x]", "roles: [y, x]", []string{"update account_membership b/u: roles"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			db.apply(before)
			after := strings.Replace(before, tt.from, tt.to, 1)
			if after == before {
				t.Fatalf("%q is not in the document", tt.from)
			}
			if diff := cmp.Diff(tt.want, db.apply(after)); diff != "" {
				t.Error(diff)
			}
			if again := db.apply(after); again != nil {
				t.Errorf("a second run: got the changes %q, want none", again)
			}
		})
	}
}

func TestApplyUnassigns(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(`
SecurityProfiles: [{ID: p, Name: P, Roles: [MeAdmin], Assignments: [{BuyerID: b}]}]
Buyers: [{ID: b, Name: B, Users: [{ID: u, Username: u}]}]`)
	if got := db.principal("u").Roles; !slices.Equal(got, []string{"MeAdmin"}) {
		t.Fatalf("got the roles %q, want MeAdmin", got)
	}
	db.apply(`SecurityProfiles: [{ID: p, Name: P, Roles: [MeAdmin], Assignments: []}]`)
	if got := db.principal("u").Roles; len(got) > 0 {
		t.Errorf("without the assignment: got the roles %q, want none", got)
	}
}

func TestApplyFaults(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(shop)
	db.written()
	_, err := db.run(`
authentication_realms:
- {id: default, password_profiles: [{id: partners-otp}, {id: short, code_length: 3}, {id: mail, username_format: email}]}
SecurityProfiles:
- {ID: p, Name: P, Assignments: [{BuyerID: none}, {BuyerID: b1, UserID: none}, {UserID: jane}]}
Buyers:
- ID: b2
  Name: B2
  Users:
  - {ID: a, Username: " JANE "}
  - {ID: b, Username: ann}
  - {ID: c, Username: Ann}
  - {ID: d, Username: dan, PasswordProfileID: none}
  - {ID: e, Username: eve, PasswordProfileID: partners-otp}
  - {ID: f, Username: fay, PasswordProfileID: mail}
ApiClients:
- {AppName: A, AllowSeller: true, PasswordProfileID: none}
MessageSenders:
- {Name: M, MessageTypes: [OneTimePassword], URL: "https://x.org", Assignments: [{SupplierID: none}]}
account_memberships:
- {account_id: none, account_member_id: jane}
- {account_id: b1, account_member_id: none}
`, false)
	checkFaults(t, err, []string{
		"authentication_realms[0].password_profiles[0].id: belongs to realm partners",
		"authentication_realms[0].password_profiles[1].code_length: unusable code format",
		"Buyers[0].Users[0].Username: belongs to another user",
		"Buyers[0].Users[2].Username: is that of Buyers[0].Users[1]",
		"Buyers[0].Users[3].PasswordProfileID: there is no password profile none",
		"Buyers[0].Users[4].PasswordProfileID: belongs to realm partners",
		"Buyers[0].Users[5].Username: must be an e-mail address",
		"SecurityProfiles[0].Assignments[0].BuyerID: there is no buyer none",
		"SecurityProfiles[0].Assignments[1].UserID: there is no such user",
		"SecurityProfiles[0].Assignments[2].UserID: there is no such user",
		"ApiClients[0].PasswordProfileID: there is no password profile none",
		"MessageSenders[0].SharedKey: SharedKey is required",
		"MessageSenders[0].Assignments[0].SupplierID: there is no supplier none",
		"account_memberships[0].account_id: there is no account none",
		"account_memberships[1].account_member_id: there is no user none",
	})
	if sql := db.written(); len(sql) > 0 {
		t.Errorf("a document with faults: got the writes %q, want none", sql)
	}
}

type failingClients struct {
	apply.ClientStore
	err error
}

func (f failingClients) PutClient(context.Context, storage.Client) (storage.Client, error) {
	return storage.Client{}, f.err
}

func TestApplyAllOrNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	fault := errors.New("fault")
	db.cfg.Clients = failingClients{db.store, fault}
	if _, err := db.run(shop, false); !errors.Is(err, fault) {
		t.Fatalf("got %v, want %v", err, fault)
	}
	if _, err := db.store.Account(t.Context(), "default", storage.Buyer, "b1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the buyer before the fault: got %v; want none", err)
	}
}

// TestApplyStale tests that a change between reading and writing is not overwritten.
func TestApplyStale(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(shop)
	db.cfg.Tx = beforeTransaction{db.store, func(ctx context.Context) {
		c, err := db.store.Client(ctx, "storefront")
		must(t, err)
		c.Active = false
		_, err = db.store.PutClient(ctx, c)
		must(t, err)
	}}
	_, err := db.run(strings.Replace(shop, "AppName: Storefront", "AppName: New", 1), false)
	if !errors.Is(err, storage.ErrStale) {
		t.Errorf("got %v; want storage.ErrStale", err)
	}
}

type beforeTransaction struct {
	apply.Transactor
	do func(ctx context.Context)
}

func (b beforeTransaction) InTx(ctx context.Context, fn func(ctx context.Context) error) error {
	b.do(ctx)
	return b.Transactor.InTx(ctx, fn)
}

func TestApplyWarnings(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	result, err := db.run(`
ApiClients: [{ID: c, AppName: C, ClientSecret: short, DefaultContextUserName: nobody}]
MessageSenders: [{ID: m, Name: M, MessageTypes: [OneTimePassword], Kind: console}]
`, false)
	must(t, err)
	if len(result.Warnings) != 4 {
		t.Fatalf("got the warnings %q, want 4", result.Warnings)
	}
	for i, want := range []string{
		"ApiClients[0]: nobody may sign in",
		"ApiClients[0].ClientSecret: is shorter",
		"ApiClients[0].DefaultContextUserName: there is no such user",
		"MessageSenders[0]: MessageSender m serves nobody",
	} {
		if !strings.HasPrefix(result.Warnings[i], want) {
			t.Errorf("got the warning %q, want it to begin with %q", result.Warnings[i], want)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	const people = `
Buyers:
- {ID: b1, Name: B1, Users: [{ID: ann, Username: ann1}, {ID: bob, Username: bob}]}
- {ID: b2, Name: B2, Users: [{ID: ann, Username: ann2}]}
Suppliers: [{ID: s1, Name: S1}, {ID: b2, Name: both}]
`
	tests := []struct{ account, member, username, fault string }{
		{"b1", "ann", "ann1", ""},
		{"s1", "bob", "bob", ""},
		{"s1", "b1/ann", "ann1", ""},
		{"s1", "ann", "", "account_memberships[0].account_member_id: there is no user ann"},
		{"s1", "b1/bo", "", "account_memberships[0].account_member_id: there is no user bo"},
		{"b2", "ann", "", "account_memberships[0].account_id: b2 is both"},
	}
	for _, tt := range tests {
		t.Run(tt.account+" "+tt.member, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			_, err := db.run(people+"account_memberships: [{account_id: "+tt.account+", account_member_id: "+tt.member+"}]", false)
			if tt.fault != "" {
				checkFaults(t, err, []string{tt.fault})
				return
			}
			must(t, err)
			account, err := db.store.Account(t.Context(), "default", storage.Buyer, tt.account)
			if errors.Is(err, storage.ErrNotFound) {
				account, err = db.store.Account(t.Context(), "default", storage.Supplier, tt.account)
			}
			must(t, err)
			_, err = db.store.Membership(t.Context(), account.UID, db.principal(tt.username).User.UID)
			must(t, err)
		})
	}
}

func TestNewNeedsEverything(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.cfg.Hasher = nil
	if _, err := apply.New(db.cfg); err == nil {
		t.Error("without a hasher: got no error, want one")
	}
}
