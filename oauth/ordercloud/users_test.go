package ordercloud

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

const acmeUsers = "/v1/buyers/acme/users"

func TestUsers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	srv.expect(201, "root", "POST", "/v1/suppliers", `{"ID":"acme","Name":"Acme"}`)
	srv.giveProfile("everybody", storage.KindParty(storage.Buyer), "Shopper")
	for _, of := range []struct{ path, object, named, company, roles string }{
		{acmeUsers, "User", "User/acme/", `"acme"`, `["Shopper"]`},
		{"/v1/suppliers/acme/users", "SupplierUser", "SupplierUser/acme/", `"acme"`, `[]`},
		{"/v1/adminusers", "AdminUser", "AdminUser/", `null`, `[]`},
	} {
		srv.recorded()
		name := strings.ToLower(of.object)
		created := srv.expect(201, "root", "POST", of.path, `{"ID":"u1","Username":"`+name+`","Password":"`+testPassword+`","FirstName":"F","LastName":"L","Email":"u@example.com","Phone":"1","Active":true,"TermsAccepted":"2026-01-01T00:00:00Z","xp":{"a":1}}`)
		want := `{"ID":"u1","Username":"` + name + `","FirstName":"F","LastName":"L","Email":"u@example.com","Phone":"1","TermsAccepted":"2026-01-01T00:00:00Z","Active":true,"xp":{"a":1},` +
			`"CompanyID":` + of.company + `,"AvailableRoles":` + of.roles + `,"Locale":null,"DateCreated":"2026-03-01T12:00:00Z","LastActive":null,` +
			`"PasswordLastSetDate":"2026-03-01T12:00:00Z","FailedLoginAttempts":0}`
		one := of.path + "/u1"
		got := srv.expect(200, "root", "GET", one, "")
		if created.body != want || got.body != want || got.header.Get("ETag") != created.header.Get("ETag") {
			t.Errorf("created %s\ngot %s\nwant %s", created.body, got.body, want)
		}
		if !srv.hasPassword(name, testPassword) {
			t.Error("the password was not set")
		}
		srv.refuses(409, "IdExists", "root", "POST", of.path, `{"ID":"u1","Username":"fresh-`+name+`"}`)
		srv.refuses(409, "User.UsernameMustBeUnique", "root", "POST", of.path, `{"ID":"u2","Username":" `+strings.ToUpper(name)+`"}`)
		srv.refuses(404, "NotFound", "root", "GET", of.path+"/u2", "")

		patched := srv.expect(200, "root", "PATCH", one, `{"ID":"u9","Email":"New@example.com","xp":{"b":2}}`, "If-Match", got.header.Get("ETag"))
		if patched.get(t, "FirstName") != "F" || patched.get(t, "xp.a") == nil || patched.get(t, "Email") != "New@example.com" || patched.get(t, "ID") != "u9" {
			t.Errorf("patched: got %s", patched.body)
		}
		if u := srv.user(name); u.EmailKey != "new@example.com" || !srv.hasPassword(name, testPassword) {
			t.Errorf("after the patch: got %+v", u)
		}
		one = of.path + "/u9"
		srv.refuses(412, "PreconditionFailed", "root", "PUT", one, want, "If-Match", got.header.Get("ETag"))
		srv.refuses(412, "PreconditionFailed", "root", "DELETE", one, "", "If-Match", got.header.Get("ETag"))
		srv.expect(200, "root", "PUT", one, patched.body)
		if diff := cmp.Diff([]string{"u9"}, srv.expect(200, "root", "GET", of.path+"?search=new@EX&Username="+name, "").ids(t)); diff != "" {
			t.Error(diff)
		}
		srv.expect(200, "root", "PUT", of.path+"/put", `{"Username":"put-`+name+`"}`)
		srv.expect(204, "root", "DELETE", one, "")
		srv.refuses(404, "NotFound", "root", "GET", one, "")
		if diff := cmp.Diff([]string{
			"password.set " + of.named + "u1", name + ".created " + of.named + "u1", "username.refused " + of.named + "u2",
			name + ".updated " + of.named + "u1", name + ".updated " + of.named + "u9", name + ".created " + of.named + "put", name + ".deleted " + of.named + "u9",
		}, srv.recorded()); diff != "" {
			t.Error(diff)
		}
	}
	srv.refuses(404, "NotFound", "root", "POST", "/v1/buyers/nobody/users", `{"ID":"u1","Username":"x"}`)
	if a := srv.refuses(404, "NotFound", "root", "PUT", "/v1/buyers/nobody/users/u1", `{"Username":"x"}`); !strings.Contains(a.body, `"ObjectID":"nobody","ObjectType":"Buyer"`) {
		t.Error(a.body)
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	_, err := srv.store.PutSecurityProfile(srv.ctx, storage.SecurityProfile{
		ID: "strict", RealmID: storage.DefaultRealmID, Name: "strict",
		Password: storage.PasswordPolicy{MinimumCharacterCount: new(14), SpecialRequired: true, NumericRequired: true, MaxConsecutiveDupes: new(2), LimitPasswordReuse: new(2), MinimumPasswordAge: new(time.Hour)},
	})
	srv.must(err)
	srv.must(srv.store.AssignSecurityProfile(srv.ctx, "strict", storage.KindParty(storage.Buyer)))
	const insecure = `{"Errors":[{"ErrorCode":"PasswordReset.InsecurePassword","Message":"Password does not meet security requirements.",` +
		`"Data":{"MinimumCharacterCount":14,"UpperCaseRequired":false,"LowerCaseRequired":false,"SpecialCharacterRequired":true,"NumericRequired":true,"MaxConsecutiveDupeChars":2}}]}`
	if a := srv.expect(400, "root", "POST", acmeUsers, `{"ID":"ann","Username":"ann","Password":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	srv.refuses(404, "NotFound", "root", "GET", acmeUsers+"/ann", "")

	srv.expect(201, "root", "POST", acmeUsers, `{"ID":"ann","Username":"ann","Password":"First-Secret-1"}`)
	srv.userToken("ann", "back-office", "ann", "MeAdmin", "PasswordReset")
	if a := srv.expect(400, "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Half","Password":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	srv.refuses(400, "PasswordReset.TooSoonToChange", "ann", "POST", "/v1/me/password", `{"NewPassword":"Other-Secret-2"}`)
	srv.refuses(400, "PasswordReset.TooSoonToChange", "ann", "PATCH", "/v1/me", `{"FirstName":"Half","Password":"Other-Secret-2"}`)
	srv.refuses(400, "PasswordReset.CannotReusePassword", "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Half","Password":"First-Secret-1"}`)
	if srv.user("ann").FirstName != "" {
		t.Error("a refused change was stored in part")
	}
	srv.expect(200, "ann", "GET", "/v1/me", "")
	srv.advance(time.Minute)
	srv.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Whole","Password":"Other-Secret-2"}`)
	if !srv.hasPassword("ann", "Other-Secret-2") || srv.user("ann").FirstName != "Whole" {
		t.Error("the change was not stored")
	}
	srv.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	srv.advance(2 * time.Hour)
	srv.userToken("ann", "back-office", "ann", "MeAdmin", "PasswordReset")
	if a := srv.expect(400, "ann", "POST", "/v1/me/password", `{"NewPassword":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	srv.refuses(400, "PasswordReset.CannotReusePassword", "ann", "POST", "/v1/me/password", `{"NewPassword":"First-Secret-1"}`)
	srv.expect(204, "ann", "POST", "/v1/me/password", `{"NewPassword":"Third-Secret-3"}`)
	if !srv.hasPassword("ann", "Third-Secret-3") {
		t.Error("the new password was not set")
	}
}

func TestBadUsers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	_, err := srv.store.PutPasswordProfile(srv.ctx, storage.PasswordProfile{ID: "mail", RealmID: storage.DefaultRealmID, Name: "mail", UsernameFormat: "email"})
	srv.must(err)
	_, err = srv.store.PutRealm(srv.ctx, storage.Realm{ID: "elsewhere", Name: "Elsewhere"})
	srv.must(err)
	_, err = srv.store.PutPasswordProfile(srv.ctx, storage.PasswordProfile{ID: "foreign", RealmID: "elsewhere", Name: "foreign", UsernameFormat: "any"})
	srv.must(err)
	for body, paths := range map[string][]string{
		`{}`: {"Username"},
		`{"ID":"a/b","Username":" ","Email":"x","Phone":"1\n2","xp":3,"Password":""}`: {"ID", "Username", "Password", "Email", "Phone", "xp"},
		`{"Username":"new","PasswordProfileID":"none"}`:                               {"PasswordProfileID"},
		`{"Username":"new","PasswordProfileID":"foreign"}`:                            {"PasswordProfileID"},
		`{"Username":"new","PasswordProfileID":"mail"}`:                               {"Username"},
		`{"Username":"new","AvailableRole":["FullAccess"]}`:                           {"AvailableRole"},
		`{"Username":"new","Password":7}`:                                             {"Password"},
	} {
		if diff := cmp.Diff(paths, srv.refuses(400, "ValidationFailure", "root", "POST", acmeUsers, body).paths()); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	srv.refuses(400, "ValidationFailure", "root", "PATCH", acmeUsers+"/ann", `{"PasswordProfileID":"mail"}`)
	srv.expect(201, "root", "POST", acmeUsers, `{"ID":"m","Username":"m@example.com","PasswordProfileID":"mail"}`)
	if a := srv.expect(200, "root", "PUT", acmeUsers+"/m", `{"Username":"n@example.com"}`); a.get(t, "PasswordProfileID") != "mail" {
		t.Errorf("got another profile of the login: %s", a.body)
	}
	if got := srv.expect(200, "root", "GET", acmeUsers, "").ids(t); !slices.Equal(got, []string{"ann", "m"}) {
		t.Errorf("after refused requests: got %v", got)
	}
}

// TestUsersWithoutLogin tests users whose login the other dialect has deleted.
func TestUsersWithoutLogin(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.clientToken("robot", "back-office", "AdminUserAdmin")
	srv.giveProfile("orders", storage.UserParty(srv.user("ada").UID), "OrderAdmin")
	srv.must(srv.store.DeleteLogin(srv.ctx, srv.login("ann").ID, 0))
	srv.must(srv.store.DeleteLogin(srv.ctx, srv.login("ada").ID, 0))
	for _, one := range []string{acmeUsers + "/ann", "/v1/adminusers/ada"} {
		if a := srv.expect(200, "root", "GET", one, ""); a.get(t, "Username") != "" || a.get(t, "AvailableRoles") != nil {
			t.Errorf("got %s", a.body)
		}
		srv.expect(200, "root", "PATCH", one, `{"Phone":"5"}`)
		srv.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Username":"ann","Phone":"6"}`)
		srv.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Password":"Another-Horse-8"}`)
		srv.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Email":"no address"}`)
		srv.expect(204, "root", "POST", one+"/unlock", "")
		srv.expect(200, "root", "GET", one, "")
	}
	srv.refuses(403, "Auth.InsufficientRoles", "robot", "PATCH", "/v1/adminusers/ada", `{"Phone":"7"}`)
	if got := srv.expect(200, "root", "GET", "/v1/adminusers/ada", "").get(t, "Phone"); got != "5" {
		t.Errorf("got phone %v, want 5", got)
	}
	srv.expect(204, "root", "DELETE", acmeUsers+"/ann", "")
}

// TestNameInFull tests that the full name, which the other dialect sets, stays until a part of
// the name changes.
func TestNameInFull(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	u := srv.user("ann")
	u.Name, u.MiddleName = "Ann Q. Last", "Q."
	_, err := srv.store.PutUser(srv.ctx, u)
	srv.must(err)
	srv.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"Phone":"5"}`)
	if got := srv.user("ann"); got.Name != u.Name || got.MiddleName != u.MiddleName || got.Phone != "5" {
		t.Errorf("after another member changed: got %+v", got)
	}
	srv.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"LastName":"Newly-Wed"}`)
	if got := srv.user("ann"); got.Name != "" || got.MiddleName != u.MiddleName {
		t.Errorf("after the last name changed: got %+v", got)
	}
}

func TestUnlockAndRevoke(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	for path, name := range map[string]string{acmeUsers + "/ann": "ann", "/v1/suppliers/smith/users/sue": "sue", "/v1/adminusers/ada": "ada"} {
		p, err := srv.store.PrincipalOf(srv.ctx, srv.login(name).ID)
		srv.must(err)
		next := p.Lockout
		next.Failures, next.LastFailureAt, next.LockedUntil = 10, srv.now(), srv.now().Add(time.Hour)
		srv.must(srv.store.RecordFailure(srv.ctx, p, next, nil))
		if got := srv.expect(200, "root", "GET", path, "").get(t, "FailedLoginAttempts"); got != json.Number("10") {
			t.Errorf("got %v failures, want 10", got)
		}
		a := srv.call("root", "POST", path+"/unlock", "", "Content-Type", "application/x-www-form-urlencoded")
		if a.status != 204 || a.body != "" {
			t.Errorf("unlock: got %d %s, want an empty 204", a.status, a.body)
		}
		if l := srv.login(name).Lockout; l.Failures != 0 || l.Locked(srv.now()) {
			t.Errorf("after the unlock: got %+v, want no lock", l)
		}
		srv.userToken(name, "shop", name)
		srv.expect(200, name, "GET", "/v1/me", "")
		srv.advance(time.Second)
		if a := srv.expect(204, "root", "DELETE", path+"/tokens", ""); a.body != "" {
			t.Errorf("got the body %s, want none", a.body)
		}
		srv.refuses(401, "Auth.TokenRevoked", name, "GET", "/v1/me", "")
		srv.advance(time.Second)
		srv.userToken(name, "shop", name)
		srv.expect(200, "root", "PATCH", path, `{"Active":false}`)
		srv.refuses(401, "InvalidToken", name, "GET", "/v1/me", "")
		srv.refuses(404, "NotFound", "root", "POST", path+"x/unlock", "{}")
		srv.refuses(404, "NotFound", "root", "DELETE", path+"x/tokens", "")
	}
}

// TestNoLostUserUpdate tests that no change is lost if administrators change different members
// at the same time.
func TestNoLostUserUpdate(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name := string(rune('a' + i))
			srv.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"xp":{"`+name+`":1}}`)
		})
	}
	group.Wait()
	xp, _ := srv.expect(200, "root", "GET", acmeUsers+"/ann", "").get(t, "xp").(map[string]any)
	if len(xp) != 8 {
		t.Errorf("got xp %v, want eight members", xp)
	}
}

// TestNoEscalation tests that a caller cannot change the credentials of a user with more roles.
// With the password, the caller could act as that user.
func TestNoEscalation(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.giveProfile("full", storage.UserParty(srv.user("ada").UID), "FullAccess")
	srv.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"help","Username":"help"}`)
	srv.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"peer","Username":"peer"}`)
	srv.giveProfile("desk", storage.UserParty(srv.user("help").UID), "AdminUserAdmin", "BuyerUserAdmin")
	srv.giveProfile("reader", storage.UserParty(srv.user("peer").UID), "AdminUserAdmin")
	srv.userToken("help", "shop", "help", "AdminUserAdmin", "BuyerUserAdmin")
	srv.clientToken("robot", "back-office", "AdminUserAdmin")
	before := srv.expect(200, "root", "GET", "/v1/adminusers/ada", "").body
	for _, token := range []string{"help", "robot"} {
		for _, attempt := range []struct{ method, path, body string }{
			{"PATCH", "/v1/adminusers/ada", `{"Password":"Taken-Over-1"}`},
			{"PATCH", "/v1/adminusers/ada", `{"Email":"evil@example.com"}`},
			{"PATCH", "/v1/adminusers/ada", `{"Username":"evil"}`},
			{"PUT", "/v1/adminusers/ada", `{"Username":"ada","Password":"Taken-Over-1"}`},
			{"DELETE", "/v1/adminusers/ada", ""},
			{"POST", "/v1/adminusers/ada/unlock", ""},
			{"DELETE", "/v1/adminusers/ada/tokens", ""},
		} {
			srv.refuses(403, "Auth.InsufficientRoles", token, attempt.method, attempt.path, attempt.body)
		}
		srv.expect(200, token, "PATCH", "/v1/adminusers/peer", `{"Password":"Managed-User-1"}`)
	}
	if after := srv.expect(200, "root", "GET", "/v1/adminusers/ada", ""); after.body != before || !srv.hasPassword("ada", testPassword) {
		t.Errorf("before %s\nafter %s", before, after.body)
	}
	srv.expect(201, "help", "POST", "/v1/adminusers", `{"Username":"plain"}`)
	srv.expect(200, "help", "PATCH", acmeUsers+"/ann", `{"Phone":"1"}`)

	// If every admin user has every role, a new admin user has them too.
	srv.giveProfile("all", storage.KindParty(storage.Admin), "FullAccess")
	srv.refuses(403, "Auth.InsufficientRoles", "robot", "POST", "/v1/adminusers", `{"ID":"new","Username":"new","Password":"Taken-Over-1"}`)
	srv.refuses(403, "Auth.InsufficientRoles", "robot", "PUT", "/v1/adminusers/new", `{"Username":"new","Password":"Taken-Over-1"}`)
	srv.refuses(404, "NotFound", "root", "GET", "/v1/adminusers/new", "")
}

// TestCompanyAdmins tests that an administrator of a company manages only that company, within
// its own roles.
func TestCompanyAdmins(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.giveProfile("team", storage.UserParty(srv.user("ann").UID), "BuyerUserAdmin", "Shopper")
	srv.giveProfile("shoppers", storage.KindParty(storage.Buyer), "Shopper")
	srv.userToken("ann", "shop", "ann", "BuyerUserAdmin")
	srv.expect(201, "ann", "POST", acmeUsers, `{"ID":"bob","Username":"bob","Password":"`+testPassword+`"}`)
	srv.expect(200, "ann", "PATCH", acmeUsers+"/bob", `{"Password":"Managed-User-1"}`)
	if got := srv.expect(200, "ann", "GET", acmeUsers, "").ids(t); !slices.Equal(got, []string{"ann", "bob"}) {
		t.Errorf("listed: got %v, want ann and bob", got)
	}
	srv.expect(204, "ann", "POST", acmeUsers+"/bob/unlock", "")
	srv.giveProfile("boss", storage.UserParty(srv.user("bob").UID), "Approver")
	srv.refuses(403, "Auth.InsufficientRoles", "ann", "PATCH", acmeUsers+"/bob", `{"Password":"Taken-Over-1"}`)
	srv.refuses(403, "Auth.InsufficientRoles", "ann", "DELETE", acmeUsers+"/bob", "")
	srv.refuses(404, "NotFound", "ann", "POST", "/v1/buyers/globex/users", `{"ID":"spy","Username":"spy"}`)
	srv.refuses(404, "NotFound", "ann", "PUT", "/v1/buyers/globex/users/gus", `{"Username":"gus"}`)
	srv.refuses(403, "Auth.InsufficientRoles", "ann", "GET", "/v1/adminusers", "")

	srv.userToken("reader", "shop", "ann", "BuyerUserReader")
	srv.expect(200, "reader", "GET", acmeUsers+"/bob", "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "PATCH", acmeUsers+"/bob", `{}`)

	// A change of the company's ID does not change the permissions.
	srv.expect(200, "root", "PATCH", "/v1/buyers/acme", `{"ID":"acme2"}`)
	srv.expect(200, "root", "PATCH", "/v1/buyers/globex", `{"ID":"acme"}`)
	srv.refuses(404, "NotFound", "ann", "GET", acmeUsers, "")
	srv.expect(200, "ann", "GET", "/v1/buyers/acme2/users/bob", "")
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	invited := func() []string {
		srv.t.Helper()
		found, err := srv.store.ListRequests(srv.ctx, storage.Query{Limit: 100})
		srv.must(err)
		names := []string{}
		for _, r := range found.Items {
			u, err := srv.store.UserByUID(srv.ctx, r.Request.UserUID)
			srv.must(err)
			if r.Request.Type != storage.MessageNewUserInvitation || r.Request.ExpiresAt.Sub(r.Request.CreatedAt) != 7*24*time.Hour {
				t.Errorf("got the request %+v, want an invitation for 7 days", r.Request)
			}
			names = append(names, u.ID)
		}
		slices.Sort(names)
		return names
	}
	if got := invited(); len(got) != 0 {
		t.Errorf("without a sender: got invitations of %v, want none", got)
	}
	acme, err := srv.store.Account(srv.ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	srv.must(err)
	_, err = srv.store.PutSender(srv.ctx, storage.Sender{
		ID: "s", RealmID: storage.DefaultRealmID, Name: "s", Active: true, Kind: storage.ConsoleSender,
		Types: []storage.MessageType{storage.MessageNewUserInvitation}, AccountUIDs: []string{acme.UID},
	})
	srv.must(err)
	srv.expect(201, "root", "POST", acmeUsers, `{"ID":"new","Username":"new"}`)
	srv.expect(200, "root", "PUT", acmeUsers+"/put", `{"Username":"put"}`)
	srv.expect(200, "root", "PUT", acmeUsers+"/put", `{"Username":"put"}`)
	srv.expect(201, "root", "POST", acmeUsers, `{"ID":"off","Username":"off","Active":false}`)
	srv.refuses(409, "User.UsernameMustBeUnique", "root", "POST", acmeUsers, `{"ID":"twice","Username":"new"}`)
	srv.expect(201, "root", "POST", "/v1/buyers/globex/users", `{"ID":"other","Username":"other"}`)
	srv.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"admin","Username":"admin"}`)
	if diff := cmp.Diff([]string{"new", "put"}, invited()); diff != "" {
		t.Error(diff)
	}
}
