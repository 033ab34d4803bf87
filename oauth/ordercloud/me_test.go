package ordercloud

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"latchkey/oauth/token"
	"latchkey/storage"
)

func TestMe(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	for name, of := range map[string]struct{ company, belongs string }{
		"ann": {`"acme"`, `"Buyer":{"ID":"acme","DefaultCatalogID":null},"Supplier":null,"Seller":null`},
		"sue": {`"smith"`, `"Buyer":null,"Supplier":{"ID":"smith"},"Seller":null`},
		"ada": {`null`, `"Buyer":null,"Supplier":null,"Seller":{"ID":"default"}`},
	} {
		srv.userToken(name, "shop", name)
		srv.userToken(name+"-admin", "shop", name, "MeAdmin")
		got := srv.expect(200, name, "GET", "/v1/me", "")
		want := `{"ID":"` + name + `","Username":"` + name + `","FirstName":"First-` + name + `","LastName":"Last","Email":"` + name + `@example.com","Phone":null,` +
			`"TermsAccepted":null,"Active":true,"xp":null,"CompanyID":` + of.company + `,"AvailableRoles":[],"Locale":null,"DateCreated":"2026-03-01T12:00:00Z",` +
			`"LastActive":null,"PasswordLastSetDate":"2026-03-01T12:00:00Z",` + of.belongs + `}`
		if got.body != want {
			t.Errorf("got %s\nwant %s", got.body, want)
		}
		srv.refuses(403, "Auth.InsufficientRoles", name, "PATCH", "/v1/me", `{"FirstName":"x"}`)
		srv.refuses(403, "Auth.InsufficientRoles", name, "PUT", "/v1/me", want)
		srv.refuses(403, "Auth.InsufficientRoles", name+"-admin", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`)
		admin := name + "-admin"
		saved := srv.expect(200, admin, "PUT", "/v1/me", want, "If-Match", got.header.Get("ETag"))
		if saved.body != want {
			t.Errorf("written back unchanged: got %s", saved.body)
		}
		srv.refuses(412, "PreconditionFailed", admin, "PATCH", "/v1/me", `{"FirstName":"x"}`, "If-Match", got.header.Get("ETag"))
		patched := srv.expect(200, admin, "PATCH", "/v1/me", `{"Username":"new-`+name+`","FirstName":"New","Email":"new@example.com","Phone":"7","xp":{"a":1}}`)
		if patched.get(t, "FirstName") != "New" || patched.get(t, "LastName") != "Last" || patched.get(t, "Username") != "new-"+name || patched.get(t, "xp.a") == nil {
			t.Errorf("patched: got %s", patched.body)
		}
		for _, body := range []string{`{"Active":false}`, `{"ID":"other"}`, `{"Username":""}`, `{"active":false}`, `{"PasswordProfileID":"x"}`} {
			srv.refuses(400, "ValidationFailure", admin, "PATCH", "/v1/me", body)
		}
		srv.expect(200, admin, "PATCH", "/v1/me", `{"CompanyID":"globex","AvailableRoles":["FullAccess"],"Roles":["FullAccess"],"BuyerID":"globex","Buyer":{"ID":"globex"},"Seller":{"ID":"x"}}`)
		if u := srv.user("new-" + name); u.ID != name || !u.Active {
			t.Errorf("got the stored user %+v", u)
		}
		if again := srv.expect(200, name, "GET", "/v1/me", ""); again.get(t, "AvailableRoles") == nil || again.get(t, "Username") != "new-"+name {
			t.Errorf("got %s", again.body)
		}
	}
	srv.refuses(409, "User.UsernameMustBeUnique", "ann-admin", "PATCH", "/v1/me", `{"Username":"GUS"}`)
	srv.refuses(403, "Auth.UserRequired", "root", "GET", "/v1/me", "")
	srv.refuses(403, "Auth.UserRequired", "root", "DELETE", "/v1/me/tokens", "")
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.userToken("ann", "shop", "ann", "PasswordReset", "MeAdmin")
	srv.userToken("elsewhere", "shop", "ann")
	for body, code := range map[string]string{
		`{}`: "ValidationFailure", `{"NewPassword":""}`: "ValidationFailure", `{"NewPassword":7}`: "ValidationFailure",
		`{"Password":"Another-Horse-8"}`: "ValidationFailure", `{"NewPassword":"short"}`: "PasswordReset.InsecurePassword",
	} {
		srv.refuses(400, code, "ann", "POST", "/v1/me/password", body)
	}
	srv.advance(time.Second)
	if a := srv.expect(204, "ann", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`); a.body != "" {
		t.Errorf("got the body %s, want none", a.body)
	}
	if !srv.hasPassword("ann", "Another-Horse-8") {
		t.Error("the new password was not set")
	}
	srv.expect(200, "ann", "GET", "/v1/me", "")
	srv.refuses(401, "Auth.TokenRevoked", "elsewhere", "GET", "/v1/me", "")
	srv.userToken("elsewhere", "shop", "ann", "MeAdmin")
	srv.advance(time.Second)
	if a := srv.expect(200, "ann", "PATCH", "/v1/me", `{"Password":"Yet-Another-9"}`); a.get(t, "Password") != nil {
		t.Errorf("got the password in %s, want it hidden", a.body)
	}
	if !srv.hasPassword("ann", "Yet-Another-9") {
		t.Error("the new password was not set")
	}
	srv.expect(200, "ann", "GET", "/v1/me", "")
	srv.refuses(401, "Auth.TokenRevoked", "elsewhere", "GET", "/v1/me", "")
}

// TestOwnCredentials tests which tokens may change the credentials and the addresses of their
// user. A token that may change the password may change all of them, at every route. Another
// token may change none of them. The rule does not apply to other members and other users.
func TestOwnCredentials(t *testing.T) {
	t.Parallel()
	const signIn = "Auth.PasswordSignInRequired"
	tests := map[string]struct {
		amr     []string
		purpose storage.Purpose
		roles   []string
		code    string // code of the refusal; empty if the change is allowed
	}{
		"password":                           {[]string{"pwd"}, "", nil, ""},
		"code":                               {[]string{"otp"}, "", nil, signIn},
		"code, with the role":                {[]string{"otp"}, "", []string{"PasswordReset"}, signIn},
		"code, with all roles":               {[]string{"otp"}, "", []string{"FullAccess"}, signIn},
		"code to reset the password":         {[]string{"otp"}, storage.PurposeResetPassword, nil, ""},
		"no sign-in":                         {nil, "", nil, "Auth.InsufficientRoles"},
		"no sign-in, with the role":          {nil, "", []string{"PasswordReset"}, ""},
		"a method that is not known":         {[]string{"hwk"}, "", []string{"PasswordReset"}, signIn},
		"code of a purpose that is not that": {[]string{"otp"}, storage.PurposeSignIn, nil, signIn},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			srv.addPeople()
			for user, own := range map[string]string{"ann": acmeUsers + "/ann", "ada": "/v1/adminusers/ada"} {
				srv.userToken(user, "shop", user, append([]string{"MeAdmin", "BuyerUserAdmin", "AdminUserAdmin"}, test.roles...)...)
				whole := srv.bearers[user]
				srv.bearers[user] = func(ctx context.Context) (*token.Caller, error) {
					c, err := whole(ctx)
					if err == nil {
						c.AMR, c.Purpose = test.amr, test.purpose
					}
					return c, err
				}
				for _, path := range []string{"/v1/me", own} {
					srv.changesItself(user, path, test.code)
				}
			}
			srv.expect(200, "ada", "PATCH", "/v1/buyers/globex/users/gus", `{"Email":"gus2@example.com"}`) // another user
		})
	}
}

// changesItself lets a user change each of its credentials at the path. The changes must be
// refused with the code, or succeed if code is empty.
func (srv *testServer) changesItself(user, path, code string) {
	srv.t.Helper()
	shown := srv.expect(200, user, "GET", path, "")
	for member, value := range map[string]string{
		"Email": "else@example.com", "Phone": "+49 1", "Password": "Else-Horse-7", "Username": user + strconv.Itoa(len(path)),
	} {
		change, err := json.Marshal(map[string]string{member: value})
		srv.must(err)
		var whole map[string]any
		srv.must(json.Unmarshal([]byte(shown.body), &whole))
		whole[member] = value
		replacement, err := json.Marshal(whole)
		srv.must(err)
		if code == "" {
			srv.expect(200, user, "PATCH", path, string(change))
			continue
		}
		srv.refuses(403, code, user, "PATCH", path, string(change))
		srv.refuses(403, code, user, "PUT", path, string(replacement))
	}
	if code != "" {
		srv.refuses(403, code, user, "PUT", path, `{"ID":"`+user+`","Username":"`+user+`","Active":true}`) // removes the address
		srv.expect(200, user, "PUT", path, shown.body)                                                     // changes no member
		if after := srv.expect(200, user, "GET", path, ""); after.body != shown.body {
			srv.t.Errorf("got %[2]s, want %[1]s", shown.body, after.body)
		}
	}
	srv.expect(200, user, "PATCH", path, `{"FirstName":"New"}`)
}

func TestOwnTokens(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.userToken("ann", "shop", "ann")
	srv.userToken("gus", "shop", "gus")
	srv.advance(time.Second)
	if a := srv.expect(204, "ann", "DELETE", "/v1/me/tokens", ""); a.body != "" {
		t.Errorf("got the body %s, want none", a.body)
	}
	srv.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	srv.expect(200, "gus", "GET", "/v1/me", "")
}

// TestSharedUser tests that anonymous shoppers cannot change the user that they share.
func TestSharedUser(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.client("kiosk", func(c *storage.Client) { c.AnonymousBuyer, c.DefaultContextUser = true, "ANN" })
	srv.userToken("signed-in", "kiosk", "ann", "MeAdmin", "PasswordReset")
	signedIn := srv.bearers["signed-in"]
	srv.bearers["anonymous"] = func(ctx context.Context) (*token.Caller, error) {
		c, err := signedIn(ctx)
		if err == nil {
			c.AMR = nil
		}
		return c, err
	}
	srv.expect(200, "anonymous", "GET", "/v1/me", "")
	srv.refuses(403, "Auth.AnonymousUser", "anonymous", "PATCH", "/v1/me", `{"FirstName":"x"}`)
	srv.refuses(403, "Auth.AnonymousUser", "anonymous", "PUT", "/v1/me", `{"Username":"x"}`)
	srv.refuses(403, "Auth.AnonymousUser", "anonymous", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`)
	srv.refuses(403, "Auth.AnonymousUser", "anonymous", "DELETE", "/v1/me/tokens", "")
	srv.expect(200, "signed-in", "PATCH", "/v1/me", `{"FirstName":"x"}`)
}
