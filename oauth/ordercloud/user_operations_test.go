package ordercloud

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// decoded decodes the body of an answer.
func decoded[W any](t *testing.T, a answer) (w W) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &w); err != nil {
		t.Fatalf("decode %[2]s: %[1]v", err, a.body)
	}
	return w
}

// TestUserSearch tests that a search finds users of all companies, but not those of a kind that
// the caller may not read.
func TestUserSearch(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", "/v1/buyers/acme/users", `{"ID":"anna","Username":"Anna","LastName":"Lasting"}`)
	find := func(token, query string) string {
		var found []string
		for _, u := range decoded[wire.List[wire.FoundUser]](t, srv.expect(200, token, "GET", "/v1/users"+query, "")).Items {
			company := "-"
			if u.CompanyID != nil {
				company = *u.CompanyID
			}
			found = append(found, u.UserType+"/"+company+"/"+u.ID)
		}
		return strings.Join(found, " ")
	}
	srv.clientToken("buyers", "back-office", "BuyerUserReader")
	srv.clientToken("suppliers", "back-office", "SupplierUserAdmin")
	srv.clientToken("admins", "back-office", "AdminUserReader")
	for _, test := range []struct{ token, query, want string }{
		{"root", "?search=AN", "Buyer/acme/ann Buyer/acme/anna"},
		{"root", "", "Admin/-/ada Buyer/acme/ann Buyer/acme/anna Buyer/globex/gus Supplier/smith/sue"},
		{"root", "?search=sue@&searchOn=Email", "Supplier/smith/sue"},
		{"root", "?search=lasti&searchOn=LastName", "Buyer/acme/anna"},
		{"root", "?search=nn", ""},
		{"buyers", "", "Buyer/acme/ann Buyer/acme/anna Buyer/globex/gus"},
		{"suppliers", "", "Supplier/smith/sue"},
		{"suppliers", "?search=ad", ""},
		{"admins", "", "Admin/-/ada"},
	} {
		if got := find(test.token, test.query); got != test.want {
			t.Errorf("%s as %s: got %q, want %q", test.query, test.token, got, test.want)
		}
	}
	first := decoded[wire.List[wire.FoundUser]](t, srv.expect(200, "root", "GET", "/v1/users?search=a&pageSize=2", ""))
	if first.Meta.TotalCount != 3 || first.Meta.NextPageKey == nil || find("root", "?search=a&pageSize=2&pageKey="+*first.Meta.NextPageKey) != "Buyer/acme/anna" {
		t.Errorf("got the first page %+v", first.Meta)
	}
	srv.refuses(400, "ValidationFailure", "buyers", "GET", "/v1/users?search=a&pageSize=2&pageKey=x", "")
	srv.refuses(400, "InvalidQuery", "buyers", "GET", "/v1/users?search=a&pageSize=2&pageKey="+*first.Meta.NextPageKey, "") // this key belongs to the list of another caller
	srv.refuses(400, "ValidationFailure", "root", "GET", "/v1/users?searchOn=PasswordHash", "")
	srv.clientToken("auditor", "back-office", "AuditReader")
	srv.refuses(403, "Auth.InsufficientRoles", "auditor", "GET", "/v1/users", "")
	srv.userToken("ann", "shop", "ann", "BuyerUserAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "ann", "GET", "/v1/users", "")
}

// TestUserLockout tests that each counter of a login is shown with its lock, until an
// administrator unlocks the login.
func TestUserLockout(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	login, home := srv.login("ann"), storage.Source{ID: "src_1", Address: "192.0.2.8", SeenAt: srv.now()}
	srv.must(srv.store.SettleLogin(srv.ctx, storage.Settlement{LoginID: login.ID, PasswordSetAt: login.PasswordSetAt, Remember: &home, Now: srv.now()}))
	const path = acmeUsers + "/ann/lockout"
	free := decoded[wire.UserLockout](t, srv.expect(200, "root", "GET", path, ""))
	if free.Locked || len(free.Logins) != 1 || len(free.Logins[0].Sources) != 1 || free.Logins[0].Passwords.LockedUntil != nil {
		t.Errorf("before: got %+v", free)
	}
	p, err := srv.store.Principal(srv.ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "ann", Source: home.Address})
	srv.must(err)
	failed := storage.Counter{Failures: 3, LastFailureAt: srv.now(), LockedUntil: srv.now().Add(time.Hour)}
	srv.must(srv.store.RecordFailure(srv.ctx, p, storage.Lockout{
		Failures: 12, LastFailureAt: srv.now(), LockedUntil: srv.now().Add(2 * time.Hour),
		Codes: storage.Counter{Failures: 1, LastFailureAt: srv.now()}, Source: failed,
	}, nil))
	want := `{"Locked":true,"Logins":[{"Username":"ann","PasswordProfileID":"default","Threshold":10,` +
		`"Passwords":{"FailedAttempts":12,"LastFailedAt":"2026-03-01T12:00:00Z","LockedUntil":"2026-03-01T14:00:00Z"},` +
		`"Codes":{"FailedAttempts":1,"LastFailedAt":"2026-03-01T12:00:00Z","LockedUntil":null},` +
		`"Sources":[{"Address":"192.0.2.8","LastSignedInAt":"2026-03-01T12:00:00Z","FailedAttempts":3,"LastFailedAt":"2026-03-01T12:00:00Z","LockedUntil":"2026-03-01T13:00:00Z"}]}]}`
	if got := srv.expect(200, "root", "GET", path, "").body; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	found := decoded[wire.List[wire.FoundUser]](t, srv.expect(200, "root", "GET", "/v1/users?search=ann", ""))
	if until := found.Items[0].LockedUntil; until == nil || !until.Equal(srv.now().Add(2*time.Hour)) {
		t.Errorf("got %+v", found.Items)
	}
	srv.clientToken("reader", "back-office", "BuyerUserReader")
	srv.expect(200, "reader", "GET", path, "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", acmeUsers+"/ann/unlock", "")
	srv.expect(204, "root", "POST", acmeUsers+"/ann/unlock", "")
	if after := decoded[wire.UserLockout](t, srv.expect(200, "root", "GET", path, "")); after.Locked || after.Logins[0].Sources[0].FailedAttempts != 0 {
		t.Errorf("after: got %+v", after)
	}
	srv.refuses(404, "NotFound", "root", "GET", acmeUsers+"/gus/lockout", "")
}

// TestUserMessages tests that an administrator learns why a message would have no recipient.
// Users do not learn it.
func TestUserMessages(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.client("staff", func(c *storage.Client) { c.AllowAnyBuyer = false })
	srv.client("passwords", func(c *storage.Client) { c.Credentials.OTP = false })
	const code, invitation = acmeUsers + "/ann/onetimepassword", acmeUsers + "/ann/invitation"
	because := func(path, body, reason string) {
		t.Helper()
		if a := srv.refuses(409, "User.NoMessage", "root", "POST", path, body); !strings.Contains(a.body, reason) {
			t.Errorf("%s: got %s, want %q", path, a.body, reason)
		}
	}
	because(code, `{"ClientID":"shop"}`, "no message sender serves the user with OneTimePassword")
	because(invitation, "", "no message sender serves the user with NewUserInvitation")
	srv.expect(201, "root", "POST", senderPath, `{"ID":"mail","Name":"m","MessageTypes":["OneTimePassword","NewUserInvitation"],"URL":"https://m.example","SharedKey":"k","AllowAllBuyers":true}`)
	srv.recorded()
	srv.expect(204, "root", "POST", code, `{"ClientID":"shop"}`)
	srv.expect(204, "root", "POST", invitation, "")
	requests := srv.expect(200, "root", "GET", "/v1/onetimepasswordrequests?sortBy=Type", "").body
	for _, want := range []string{`"Type":"NewUserInvitation"`, `"Type":"OneTimePassword","ClientID":"shop","Username":"ann"`, `"TraceID":"trace-1"`} {
		if !strings.Contains(requests, want) {
			t.Errorf("got the requests %s, want %s", requests, want)
		}
	}
	if diff := cmp.Diff([]string{"user.code_requested User/acme/ann", "user.invited User/acme/ann"}, srv.recorded()); diff != "" {
		t.Error(diff)
	}
	because(code, `{"ClientID":"staff"}`, "the client does not admit the user")
	srv.refuses(400, "OneTimePasswordRequest.NotEnabled", "root", "POST", code, `{"ClientID":"passwords"}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", code, `{}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", code, `{"ClientID":"shop","Username":"gus"}`)
	srv.refuses(404, "NotFound", "root", "POST", code, `{"ClientID":"none"}`)
	srv.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"Active":false}`)
	because(code, `{"ClientID":"shop"}`, "the user is not active")
	because(invitation, "", "the user is not active")
	srv.clientToken("reader", "back-office", "BuyerUserReader")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", code, `{"ClientID":"shop"}`)
}

func TestMemberships(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	const path = acmeUsers + "/ann/memberships"
	own := decoded[wire.List[wire.Membership]](t, srv.expect(200, "root", "GET", path, "")).Items
	if len(own) != 1 || !own[0].Own || own[0].CompanyID != "acme" {
		t.Fatalf("got the own memberships %+v", own)
	}
	srv.recorded()
	made := srv.expect(201, "root", "POST", path, `{"ID":"m1","CompanyID":"globex","Roles":["Shopper","Buyer","Shopper"]}`)
	if want := `{"ID":"m1","CompanyID":"globex","Roles":["Buyer","Shopper"],"CompanyName":"globex Ltd","Own":false,"DateCreated":"2026-03-01T12:00:00Z"}`; made.body != want {
		t.Errorf("created: got %s, want %s", made.body, want)
	}
	srv.refuses(409, "IdExists", "root", "POST", path, `{"CompanyID":"globex"}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", path, `{}`)
	srv.refuses(404, "NotFound", "root", "POST", path, `{"CompanyID":"smith"}`)
	srv.refuses(400, "ValidationFailure", "root", "PATCH", path+"/m1", `{"CompanyID":"acme"}`)
	srv.refuses(412, "PreconditionFailed", "root", "DELETE", path+"/m1", "", "If-Match", `"7"`)
	srv.expect(200, "root", "PATCH", path+"/m1", `{"Roles":["Shopper"]}`, "If-Match", made.header.Get("ETag"))
	srv.refuses(404, "NotFound", "root", "GET", "/v1/buyers/globex/users/gus/memberships/m1", "")

	// The rules are those of /v2: a caller may give only roles that it has, and only if it may
	// assign roles.
	srv.clientToken("lesser", "back-office", "BuyerAdmin")
	srv.clientToken("namer", "back-office", "BuyerAdmin", "SecurityProfileAdmin", "Shopper")
	srv.refuses(403, "Auth.InsufficientRoles", "lesser", "PATCH", path+"/m1", `{"Roles":[]}`)
	srv.refuses(403, "Auth.InsufficientRoles", "namer", "PATCH", path+"/m1", `{"Roles":["Shopper","FullAccess"]}`)
	srv.refuses(403, "Auth.InsufficientRoles", "lesser", "DELETE", path+"/m1", "")
	srv.refuses(403, "Auth.InsufficientRoles", "lesser", "POST", "/v1/buyers/globex/users/gus/memberships", `{"CompanyID":"acme","Roles":["Shopper"]}`)
	srv.expect(200, "namer", "PATCH", path+"/m1", `{"Roles":[]}`)
	srv.expect(204, "lesser", "DELETE", path+"/m1", "")
	srv.expect(201, "lesser", "POST", path, `{"ID":"m2","CompanyID":"globex"}`)
	srv.userToken("ann", "shop", "ann", "FullAccess")
	srv.refuses(403, "Auth.InsufficientRoles", "ann", "GET", path, "")
	if diff := cmp.Diff([]string{
		"membership.created Membership/acme/ann/m1", "membership.updated Membership/acme/ann/m1", "membership.updated Membership/acme/ann/m1",
		"membership.deleted Membership/acme/ann/m1", "membership.created Membership/acme/ann/m2",
	}, srv.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestConsents(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	const path = acmeUsers + "/ann/consents"
	for _, client := range []string{"Partner", "other"} {
		srv.must(srv.store.PutConsent(srv.ctx, storage.Consent{UserUID: srv.user("ann").UID, ClientID: client, Scope: []string{"openid", "Shopper"}, GrantedAt: srv.now()}))
	}
	if got, want := srv.expect(200, "root", "GET", path+"?ClientID=part*", "").body, `"Items":[{"ClientID":"Partner","Scope":["openid","Shopper"],"GrantedAt":"2026-03-01T12:00:00Z"}]`; !strings.Contains(got, want) {
		t.Errorf("got the consents %s", got)
	}
	srv.clientToken("reader", "back-office", "BuyerUserReader")
	srv.expect(200, "reader", "GET", path, "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "DELETE", path+"/partner", "")
	srv.refuses(404, "NotFound", "root", "DELETE", "/v1/buyers/globex/users/gus/consents/partner", "")
	srv.recorded()
	srv.expect(204, "root", "DELETE", path+"/partner", "")
	srv.refuses(404, "NotFound", "root", "DELETE", path+"/partner", "")
	if got := srv.recorded(); len(got) != 1 || got[0] != "user.consent_ended User/acme/ann/ApiClient/Partner" {
		t.Errorf("got the events %q", got)
	}
	if got := srv.expect(200, "root", "GET", path, "").get(t, "Meta.TotalCount"); fmt.Sprint(got) != "1" {
		t.Errorf("got %v consents, want 1", got)
	}
}

// TestKeyPlans tests that a plan shows what a rotation and a revocation would do, and changes
// nothing.
func TestKeyPlans(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	const path = "/v1/signingkeys"
	before := srv.expect(200, "root", "GET", path, "").body
	kid := decoded[wire.List[wire.SigningKey]](t, srv.expect(200, "root", "GET", path, "")).Items[0].ID
	rotation := decoded[wire.KeyPlan](t, srv.expect(200, "root", "GET", path+"/rotate/plan?alg=ES256", ""))
	if rotation.Alg == nil || *rotation.Alg != "ES256" || !rotation.IsNew || rotation.Successor.ID != "" || len(rotation.Changed) != 1 || rotation.Changed[0].RetiresAt == nil {
		t.Errorf("got the rotation %+v", rotation)
	}
	revocation := decoded[wire.KeyPlan](t, srv.expect(200, "root", "GET", path+"/"+kid+"/revoke/plan", ""))
	if !revocation.IsNew || !revocation.Successor.ActivatesAt.Equal(srv.now()) || len(revocation.Changed) != 1 || revocation.Changed[0].State != "revoked" {
		t.Errorf("got the revocation %+v", revocation)
	}
	if after := srv.expect(200, "root", "GET", path, "").body; after != before {
		t.Errorf("got a change: before %s\nafter %s", before, after)
	}
	srv.refuses(400, "ValidationFailure", "root", "GET", path+"/rotate/plan?alg=HS256", "")
	srv.refuses(404, "NotFound", "root", "GET", path+"/none/revoke/plan", "")
	srv.expect(204, "root", "POST", path+"/"+kid+"/revoke", "")
	if again := srv.expect(200, "root", "GET", path+"/"+kid+"/revoke/plan", "").body; again != `{"Alg":null,"IsNew":false,"Successor":null,"Changed":[]}` {
		t.Errorf("again: got %s", again)
	}
	srv.clientToken("reader", "back-office", "SigningKeyReader")
	srv.expect(200, "reader", "GET", path+"/rotate/plan", "")
}

// TestExternalKeys tests that a key of the configuration can be changed only by the
// configuration. A request to change it is not a failure of the server.
func TestExternalKeys(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(t, func(cfg *Config) {
		var err error
		cfg.Stores.Keys, err = keys.NewRing(t.Context(), keys.RingConfig{
			Store: cfg.Tx.(keys.Store), Sealer: cfg.Sealer.(*keys.Sealer), Algs: []string{"ES256"}, Now: cfg.Now, Rand: rand.Reader,
			External: []keys.ExternalKey{{KID: "kms-1", Alg: "ES256", Signer: private}},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	const path = "/v1/signingkeys"
	if got := srv.expect(200, "root", "GET", path+"/kms-1", "").get(t, "External"); got != true {
		t.Errorf("got External %v, want true", got)
	}
	srv.refuses(409, "SigningKey.External", "root", "GET", path+"/rotate/plan", "")
	srv.refuses(409, "SigningKey.External", "root", "POST", path+"/rotate", "")
	srv.refuses(409, "SigningKey.External", "root", "GET", path+"/kms-1/revoke/plan", "")
	srv.refuses(409, "SigningKey.External", "root", "POST", path+"/kms-1/revoke", "")
}
