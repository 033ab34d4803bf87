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
	w := newTown(t)
	w.expect(201, "root", "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	w.expect(201, "root", "POST", "/v1/suppliers", `{"ID":"acme","Name":"Acme"}`)
	w.grant("everybody", storage.KindParty(storage.Buyer), "Shopper")
	for _, of := range []struct{ path, object, named, company, roles string }{
		{acmeUsers, "User", "User/acme/", `"acme"`, `["Shopper"]`},
		{"/v1/suppliers/acme/users", "SupplierUser", "SupplierUser/acme/", `"acme"`, `[]`},
		{"/v1/adminusers", "AdminUser", "AdminUser/", `null`, `[]`},
	} {
		w.recorded()
		name := strings.ToLower(of.object)
		created := w.expect(201, "root", "POST", of.path, `{"ID":"u1","Username":"`+name+`","Password":"`+testPassword+`","FirstName":"F","LastName":"L","Email":"u@example.com","Phone":"1","Active":true,"TermsAccepted":"2026-01-01T00:00:00Z","xp":{"a":1}}`)
		want := `{"ID":"u1","Username":"` + name + `","FirstName":"F","LastName":"L","Email":"u@example.com","Phone":"1","TermsAccepted":"2026-01-01T00:00:00Z","Active":true,"xp":{"a":1},` +
			`"CompanyID":` + of.company + `,"AvailableRoles":` + of.roles + `,"Locale":null,"DateCreated":"2026-03-01T12:00:00Z","LastActive":null,` +
			`"PasswordLastSetDate":"2026-03-01T12:00:00Z","FailedLoginAttempts":0}`
		one := of.path + "/u1"
		got := w.expect(200, "root", "GET", one, "")
		if created.body != want || got.body != want || got.header.Get("ETag") != created.header.Get("ETag") {
			t.Errorf("created %s\ngot %s\nwant %s", created.body, got.body, want)
		}
		if !w.hasPassword(name, testPassword) {
			t.Error("the password is another")
		}
		w.refuses(409, "IdExists", "root", "POST", of.path, `{"ID":"u1","Username":"fresh-`+name+`"}`)
		w.refuses(409, "User.UsernameMustBeUnique", "root", "POST", of.path, `{"ID":"u2","Username":" `+strings.ToUpper(name)+`"}`)
		w.refuses(404, "NotFound", "root", "GET", of.path+"/u2", "")

		patched := w.expect(200, "root", "PATCH", one, `{"ID":"u9","Email":"New@example.com","xp":{"b":2}}`, "If-Match", got.header.Get("ETag"))
		if patched.get(t, "FirstName") != "F" || patched.get(t, "xp.a") == nil || patched.get(t, "Email") != "New@example.com" || patched.get(t, "ID") != "u9" {
			t.Errorf("patched %s", patched.body)
		}
		if u := w.user(name); u.EmailKey != "new@example.com" || !w.hasPassword(name, testPassword) {
			t.Errorf("after the patch: %+v", u)
		}
		one = of.path + "/u9"
		w.refuses(412, "PreconditionFailed", "root", "PUT", one, want, "If-Match", got.header.Get("ETag"))
		w.refuses(412, "PreconditionFailed", "root", "DELETE", one, "", "If-Match", got.header.Get("ETag"))
		w.expect(200, "root", "PUT", one, patched.body)
		if diff := cmp.Diff([]string{"u9"}, w.expect(200, "root", "GET", of.path+"?search=new@EX&Username="+name, "").ids(t)); diff != "" {
			t.Error(diff)
		}
		w.expect(200, "root", "PUT", of.path+"/put", `{"Username":"put-`+name+`"}`)
		w.expect(204, "root", "DELETE", one, "")
		w.refuses(404, "NotFound", "root", "GET", one, "")
		if diff := cmp.Diff([]string{
			"password.set " + of.named + "u1", name + ".created " + of.named + "u1", "username.refused " + of.named + "u2",
			name + ".updated " + of.named + "u1", name + ".updated " + of.named + "u9", name + ".created " + of.named + "put", name + ".deleted " + of.named + "u9",
		}, w.recorded()); diff != "" {
			t.Error(diff)
		}
	}
	w.refuses(404, "NotFound", "root", "POST", "/v1/buyers/nobody/users", `{"ID":"u1","Username":"x"}`)
	if a := w.refuses(404, "NotFound", "root", "PUT", "/v1/buyers/nobody/users/u1", `{"Username":"x"}`); !strings.Contains(a.body, `"ObjectID":"nobody","ObjectType":"Buyer"`) {
		t.Error(a.body)
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.expect(201, "root", "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	_, err := w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{
		ID: "strict", RealmID: storage.DefaultRealmID, Name: "strict",
		Password: storage.PasswordPolicy{MinimumCharacterCount: new(14), SpecialRequired: true, NumericRequired: true, MaxConsecutiveDupes: new(2), LimitPasswordReuse: new(2), MinimumPasswordAge: new(time.Hour)},
	})
	w.must(err)
	w.must(w.store.AssignSecurityProfile(w.ctx, "strict", storage.KindParty(storage.Buyer)))
	const insecure = `{"Errors":[{"ErrorCode":"PasswordReset.InsecurePassword","Message":"Password does not meet security requirements.",` +
		`"Data":{"MinimumCharacterCount":14,"UpperCaseRequired":false,"LowerCaseRequired":false,"SpecialCharacterRequired":true,"NumericRequired":true,"MaxConsecutiveDupeChars":2}}]}`
	if a := w.expect(400, "root", "POST", acmeUsers, `{"ID":"ann","Username":"ann","Password":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	w.refuses(404, "NotFound", "root", "GET", acmeUsers+"/ann", "")

	w.expect(201, "root", "POST", acmeUsers, `{"ID":"ann","Username":"ann","Password":"First-Secret-1"}`)
	w.userToken("ann", "back-office", "ann", "MeAdmin", "PasswordReset")
	if a := w.expect(400, "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Half","Password":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	w.refuses(400, "PasswordReset.TooSoonToChange", "ann", "POST", "/v1/me/password", `{"NewPassword":"Other-Secret-2"}`)
	w.refuses(400, "PasswordReset.TooSoonToChange", "ann", "PATCH", "/v1/me", `{"FirstName":"Half","Password":"Other-Secret-2"}`)
	w.refuses(400, "PasswordReset.CannotReusePassword", "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Half","Password":"First-Secret-1"}`)
	if w.user("ann").FirstName != "" {
		t.Error("half of a refused change was written")
	}
	w.expect(200, "ann", "GET", "/v1/me", "")
	w.advance(time.Minute)
	w.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"FirstName":"Whole","Password":"Other-Secret-2"}`)
	if !w.hasPassword("ann", "Other-Secret-2") || w.user("ann").FirstName != "Whole" {
		t.Error("the change was not written")
	}
	w.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	w.advance(2 * time.Hour)
	w.userToken("ann", "back-office", "ann", "MeAdmin", "PasswordReset")
	if a := w.expect(400, "ann", "POST", "/v1/me/password", `{"NewPassword":"Short-1"}`); a.body != insecure {
		t.Errorf("got %s", a.body)
	}
	w.refuses(400, "PasswordReset.CannotReusePassword", "ann", "POST", "/v1/me/password", `{"NewPassword":"First-Secret-1"}`)
	w.expect(204, "ann", "POST", "/v1/me/password", `{"NewPassword":"Third-Secret-3"}`)
	if !w.hasPassword("ann", "Third-Secret-3") {
		t.Error("the password is another")
	}
}

func TestBadUsers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	_, err := w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "mail", RealmID: storage.DefaultRealmID, Name: "mail", UsernameFormat: "email"})
	w.must(err)
	_, err = w.store.PutRealm(w.ctx, storage.Realm{ID: "elsewhere", Name: "Elsewhere"})
	w.must(err)
	_, err = w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "foreign", RealmID: "elsewhere", Name: "foreign", UsernameFormat: "any"})
	w.must(err)
	for body, paths := range map[string][]string{
		`{}`: {"Username"},
		`{"ID":"a/b","Username":" ","Email":"x","Phone":"1\n2","xp":3,"Password":""}`: {"ID", "Username", "Password", "Email", "Phone", "xp"},
		`{"Username":"new","PasswordProfileID":"none"}`:                               {"PasswordProfileID"},
		`{"Username":"new","PasswordProfileID":"foreign"}`:                            {"PasswordProfileID"},
		`{"Username":"new","PasswordProfileID":"mail"}`:                               {"Username"},
		`{"Username":"new","AvailableRole":["FullAccess"]}`:                           {"AvailableRole"},
		`{"Username":"new","Password":7}`:                                             {"Password"},
	} {
		if diff := cmp.Diff(paths, w.refuses(400, "ValidationFailure", "root", "POST", acmeUsers, body).paths()); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	w.refuses(400, "ValidationFailure", "root", "PATCH", acmeUsers+"/ann", `{"PasswordProfileID":"mail"}`)
	w.expect(201, "root", "POST", acmeUsers, `{"ID":"m","Username":"m@example.com","PasswordProfileID":"mail"}`)
	if a := w.expect(200, "root", "PUT", acmeUsers+"/m", `{"Username":"n@example.com"}`); a.get(t, "PasswordProfileID") != "mail" {
		t.Errorf("the login moved: %s", a.body)
	}
	if got := w.expect(200, "root", "GET", acmeUsers, "").ids(t); !slices.Equal(got, []string{"ann", "m"}) {
		t.Errorf("half-written: %v", got)
	}
}

// The other surface may take a user its login.
func TestUsersWithoutLogin(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.clientToken("robot", "back-office", "AdminUserAdmin")
	w.grant("orders", storage.UserParty(w.user("ada").UID), "OrderAdmin")
	w.must(w.store.DeleteLogin(w.ctx, w.login("ann").ID, 0))
	w.must(w.store.DeleteLogin(w.ctx, w.login("ada").ID, 0))
	for _, one := range []string{acmeUsers + "/ann", "/v1/adminusers/ada"} {
		if a := w.expect(200, "root", "GET", one, ""); a.get(t, "Username") != "" || a.get(t, "AvailableRoles") != nil {
			t.Errorf("got %s", a.body)
		}
		w.expect(200, "root", "PATCH", one, `{"Phone":"5"}`)
		w.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Username":"ann","Phone":"6"}`)
		w.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Password":"Another-Horse-8"}`)
		w.refuses(400, "ValidationFailure", "root", "PATCH", one, `{"Email":"no address"}`)
		w.expect(204, "root", "POST", one+"/unlock", "")
		w.expect(200, "root", "GET", one, "")
	}
	w.refuses(403, "Auth.InsufficientRoles", "robot", "PATCH", "/v1/adminusers/ada", `{"Phone":"7"}`)
	if got := w.expect(200, "root", "GET", "/v1/adminusers/ada", "").get(t, "Phone"); got != "5" {
		t.Errorf("phone %v", got)
	}
	w.expect(204, "root", "DELETE", acmeUsers+"/ann", "")
}

// The other dialect's name in full stays until the names it is made of change.
func TestNameInFull(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	u := w.user("ann")
	u.Name, u.MiddleName = "Ann Q. Last", "Q."
	_, err := w.store.PutUser(w.ctx, u)
	w.must(err)
	w.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"Phone":"5"}`)
	if got := w.user("ann"); got.Name != u.Name || got.MiddleName != u.MiddleName || got.Phone != "5" {
		t.Errorf("after another member changed: %+v", got)
	}
	w.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"LastName":"Newly-Wed"}`)
	if got := w.user("ann"); got.Name != "" || got.MiddleName != u.MiddleName {
		t.Errorf("after the last name changed: %+v", got)
	}
}

func TestUnlockAndRevoke(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	for path, name := range map[string]string{acmeUsers + "/ann": "ann", "/v1/suppliers/smith/users/sue": "sue", "/v1/adminusers/ada": "ada"} {
		p, err := w.store.PrincipalOf(w.ctx, w.login(name).ID)
		w.must(err)
		next := p.Lockout
		next.Failures, next.LastFailureAt, next.LockedUntil = 10, w.now(), w.now().Add(time.Hour)
		w.must(w.store.RecordFailure(w.ctx, p, next, nil))
		if got := w.expect(200, "root", "GET", path, "").get(t, "FailedLoginAttempts"); got != json.Number("10") {
			t.Errorf("failures shown as %v", got)
		}
		a := w.call("root", "POST", path+"/unlock", "", "Content-Type", "application/x-www-form-urlencoded")
		if a.status != 204 || a.body != "" {
			t.Errorf("unlock: %d %s", a.status, a.body)
		}
		if l := w.login(name).Lockout; l.Failures != 0 || l.Locked(w.now()) {
			t.Errorf("still locked: %+v", l)
		}
		w.userToken(name, "shop", name)
		w.expect(200, name, "GET", "/v1/me", "")
		w.advance(time.Second)
		if a := w.expect(204, "root", "DELETE", path+"/tokens", ""); a.body != "" {
			t.Errorf("body %s", a.body)
		}
		w.refuses(401, "Auth.TokenRevoked", name, "GET", "/v1/me", "")
		w.advance(time.Second)
		w.userToken(name, "shop", name)
		w.expect(200, "root", "PATCH", path, `{"Active":false}`)
		w.refuses(401, "InvalidToken", name, "GET", "/v1/me", "")
		w.refuses(404, "NotFound", "root", "POST", path+"x/unlock", "{}")
		w.refuses(404, "NotFound", "root", "DELETE", path+"x/tokens", "")
	}
}

// Two administrators change different members at the same time.
func TestNoLostUserUpdate(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name := string(rune('a' + i))
			w.expect(200, "root", "PATCH", acmeUsers+"/ann", `{"xp":{"`+name+`":1}}`)
		})
	}
	group.Wait()
	xp, _ := w.expect(200, "root", "GET", acmeUsers+"/ann", "").get(t, "xp").(map[string]any)
	if len(xp) != 8 {
		t.Errorf("xp %v, want eight members", xp)
	}
}

// Whoever may set a password may become that user.
func TestNoEscalation(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.grant("full", storage.UserParty(w.user("ada").UID), "FullAccess")
	w.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"help","Username":"help"}`)
	w.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"peer","Username":"peer"}`)
	w.grant("desk", storage.UserParty(w.user("help").UID), "AdminUserAdmin", "BuyerUserAdmin")
	w.grant("reader", storage.UserParty(w.user("peer").UID), "AdminUserAdmin")
	w.userToken("help", "shop", "help", "AdminUserAdmin", "BuyerUserAdmin")
	w.clientToken("robot", "back-office", "AdminUserAdmin")
	before := w.expect(200, "root", "GET", "/v1/adminusers/ada", "").body
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
			w.refuses(403, "Auth.InsufficientRoles", token, attempt.method, attempt.path, attempt.body)
		}
		w.expect(200, token, "PATCH", "/v1/adminusers/peer", `{"Password":"Managed-User-1"}`)
	}
	if after := w.expect(200, "root", "GET", "/v1/adminusers/ada", ""); after.body != before || !w.hasPassword("ada", testPassword) {
		t.Errorf("before %s\nafter %s", before, after.body)
	}
	w.expect(201, "help", "POST", "/v1/adminusers", `{"Username":"plain"}`)
	w.expect(200, "help", "PATCH", acmeUsers+"/ann", `{"Phone":"1"}`)

	// Where every admin user has every role, to make one is to have them.
	w.grant("all", storage.KindParty(storage.Admin), "FullAccess")
	w.refuses(403, "Auth.InsufficientRoles", "robot", "POST", "/v1/adminusers", `{"ID":"new","Username":"new","Password":"Taken-Over-1"}`)
	w.refuses(403, "Auth.InsufficientRoles", "robot", "PUT", "/v1/adminusers/new", `{"Username":"new","Password":"Taken-Over-1"}`)
	w.refuses(404, "NotFound", "root", "GET", "/v1/adminusers/new", "")
}

// A company's administrator manages its own company, within its own roles.
func TestCompanyAdmins(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.grant("team", storage.UserParty(w.user("ann").UID), "BuyerUserAdmin", "Shopper")
	w.grant("shoppers", storage.KindParty(storage.Buyer), "Shopper")
	w.userToken("ann", "shop", "ann", "BuyerUserAdmin")
	w.expect(201, "ann", "POST", acmeUsers, `{"ID":"bob","Username":"bob","Password":"`+testPassword+`"}`)
	w.expect(200, "ann", "PATCH", acmeUsers+"/bob", `{"Password":"Managed-User-1"}`)
	if got := w.expect(200, "ann", "GET", acmeUsers, "").ids(t); !slices.Equal(got, []string{"ann", "bob"}) {
		t.Errorf("listed %v", got)
	}
	w.expect(204, "ann", "POST", acmeUsers+"/bob/unlock", "")
	w.grant("boss", storage.UserParty(w.user("bob").UID), "Approver")
	w.refuses(403, "Auth.InsufficientRoles", "ann", "PATCH", acmeUsers+"/bob", `{"Password":"Taken-Over-1"}`)
	w.refuses(403, "Auth.InsufficientRoles", "ann", "DELETE", acmeUsers+"/bob", "")
	w.refuses(404, "NotFound", "ann", "POST", "/v1/buyers/globex/users", `{"ID":"spy","Username":"spy"}`)
	w.refuses(404, "NotFound", "ann", "PUT", "/v1/buyers/globex/users/gus", `{"Username":"gus"}`)
	w.refuses(403, "Auth.InsufficientRoles", "ann", "GET", "/v1/adminusers", "")

	w.userToken("reader", "shop", "ann", "BuyerUserReader")
	w.expect(200, "reader", "GET", acmeUsers+"/bob", "")
	w.refuses(403, "Auth.InsufficientRoles", "reader", "PATCH", acmeUsers+"/bob", `{}`)

	// What its company is called meanwhile does not matter.
	w.expect(200, "root", "PATCH", "/v1/buyers/acme", `{"ID":"acme2"}`)
	w.expect(200, "root", "PATCH", "/v1/buyers/globex", `{"ID":"acme"}`)
	w.refuses(404, "NotFound", "ann", "GET", acmeUsers, "")
	w.expect(200, "ann", "GET", "/v1/buyers/acme2/users/bob", "")
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	invited := func() []string {
		w.t.Helper()
		found, err := w.store.ListRequests(w.ctx, storage.Query{Limit: 100})
		w.must(err)
		names := []string{}
		for _, r := range found.Items {
			u, err := w.store.UserByUID(w.ctx, r.Request.UserUID)
			w.must(err)
			if r.Request.Type != storage.MessageNewUserInvitation || r.Request.ExpiresAt.Sub(r.Request.CreatedAt) != 7*24*time.Hour {
				t.Errorf("request %+v", r.Request)
			}
			names = append(names, u.ID)
		}
		slices.Sort(names)
		return names
	}
	if got := invited(); len(got) != 0 {
		t.Errorf("invited %v without a sender", got)
	}
	acme, err := w.store.Account(w.ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	w.must(err)
	_, err = w.store.PutSender(w.ctx, storage.Sender{
		ID: "s", RealmID: storage.DefaultRealmID, Name: "s", Active: true, Kind: storage.ConsoleSender,
		Types: []storage.MessageType{storage.MessageNewUserInvitation}, AccountUIDs: []string{acme.UID},
	})
	w.must(err)
	w.expect(201, "root", "POST", acmeUsers, `{"ID":"new","Username":"new"}`)
	w.expect(200, "root", "PUT", acmeUsers+"/put", `{"Username":"put"}`)
	w.expect(200, "root", "PUT", acmeUsers+"/put", `{"Username":"put"}`)
	w.expect(201, "root", "POST", acmeUsers, `{"ID":"off","Username":"off","Active":false}`)
	w.refuses(409, "User.UsernameMustBeUnique", "root", "POST", acmeUsers, `{"ID":"twice","Username":"new"}`)
	w.expect(201, "root", "POST", "/v1/buyers/globex/users", `{"ID":"other","Username":"other"}`)
	w.expect(201, "root", "POST", "/v1/adminusers", `{"ID":"admin","Username":"admin"}`)
	if diff := cmp.Diff([]string{"new", "put"}, invited()); diff != "" {
		t.Error(diff)
	}
}
