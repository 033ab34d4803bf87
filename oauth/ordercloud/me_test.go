package ordercloud

import (
	"context"
	"testing"
	"time"

	"latchkey/oauth"
	"latchkey/storage"
)

func TestMe(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	for name, of := range map[string]struct{ company, belongs string }{
		"ann": {`"acme"`, `"Buyer":{"ID":"acme","DefaultCatalogID":null},"Supplier":null,"Seller":null`},
		"sue": {`"smith"`, `"Buyer":null,"Supplier":{"ID":"smith"},"Seller":null`},
		"ada": {`null`, `"Buyer":null,"Supplier":null,"Seller":{"ID":"default"}`},
	} {
		w.userToken(name, "shop", name)
		w.userToken(name+"-admin", "shop", name, "MeAdmin")
		got := w.expect(200, name, "GET", "/v1/me", "")
		want := `{"ID":"` + name + `","Username":"` + name + `","FirstName":"First-` + name + `","LastName":"Last","Email":"` + name + `@example.com","Phone":null,` +
			`"TermsAccepted":null,"Active":true,"xp":null,"CompanyID":` + of.company + `,"AvailableRoles":[],"Locale":null,"DateCreated":"2026-03-01T12:00:00Z",` +
			`"LastActive":null,"PasswordLastSetDate":"2026-03-01T12:00:00Z",` + of.belongs + `}`
		if got.body != want {
			t.Errorf("got %s\nwant %s", got.body, want)
		}
		w.refuses(403, "Auth.InsufficientRoles", name, "PATCH", "/v1/me", `{"FirstName":"x"}`)
		w.refuses(403, "Auth.InsufficientRoles", name, "PUT", "/v1/me", want)
		w.refuses(403, "Auth.InsufficientRoles", name+"-admin", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`)
		admin := name + "-admin"
		saved := w.expect(200, admin, "PUT", "/v1/me", want, "If-Match", got.header.Get("ETag"))
		if saved.body != want {
			t.Errorf("what was read, written back: %s", saved.body)
		}
		w.refuses(412, "PreconditionFailed", admin, "PATCH", "/v1/me", `{"FirstName":"x"}`, "If-Match", got.header.Get("ETag"))
		patched := w.expect(200, admin, "PATCH", "/v1/me", `{"Username":"new-`+name+`","FirstName":"New","Email":"new@example.com","Phone":"7","xp":{"a":1}}`)
		if patched.get(t, "FirstName") != "New" || patched.get(t, "LastName") != "Last" || patched.get(t, "Username") != "new-"+name || patched.get(t, "xp.a") == nil {
			t.Errorf("patched %s", patched.body)
		}
		for _, body := range []string{`{"Active":false}`, `{"ID":"other"}`, `{"Username":""}`, `{"active":false}`, `{"PasswordProfileID":"x"}`} {
			w.refuses(400, "ValidationFailure", admin, "PATCH", "/v1/me", body)
		}
		w.expect(200, admin, "PATCH", "/v1/me", `{"CompanyID":"globex","AvailableRoles":["FullAccess"],"Roles":["FullAccess"],"BuyerID":"globex","Buyer":{"ID":"globex"},"Seller":{"ID":"x"}}`)
		if u := w.user("new-" + name); u.ID != name || !u.Active {
			t.Errorf("stored %+v", u)
		}
		if again := w.expect(200, name, "GET", "/v1/me", ""); again.get(t, "AvailableRoles") == nil || again.get(t, "Username") != "new-"+name {
			t.Errorf("got %s", again.body)
		}
	}
	w.refuses(409, "User.UsernameMustBeUnique", "ann-admin", "PATCH", "/v1/me", `{"Username":"GUS"}`)
	w.refuses(403, "Auth.UserRequired", "root", "GET", "/v1/me", "")
	w.refuses(403, "Auth.UserRequired", "root", "DELETE", "/v1/me/tokens", "")
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.userToken("ann", "shop", "ann", "PasswordReset", "MeAdmin")
	for body, code := range map[string]string{
		`{}`: "ValidationFailure", `{"NewPassword":""}`: "ValidationFailure", `{"NewPassword":7}`: "ValidationFailure",
		`{"Password":"Another-Horse-8"}`: "ValidationFailure", `{"NewPassword":"short"}`: "PasswordReset.InsecurePassword",
	} {
		w.refuses(400, code, "ann", "POST", "/v1/me/password", body)
	}
	w.advance(time.Second)
	if a := w.expect(204, "ann", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`); a.body != "" {
		t.Errorf("body %s", a.body)
	}
	if !w.hasPassword("ann", "Another-Horse-8") {
		t.Error("the password is another")
	}
	w.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	w.userToken("ann", "shop", "ann", "MeAdmin")
	w.advance(time.Second)
	if a := w.expect(200, "ann", "PATCH", "/v1/me", `{"Password":"Yet-Another-9"}`); a.get(t, "Password") != nil {
		t.Errorf("the password is shown: %s", a.body)
	}
	if !w.hasPassword("ann", "Yet-Another-9") {
		t.Error("the password is another")
	}
	w.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
}

func TestOwnTokens(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.userToken("ann", "shop", "ann")
	w.userToken("gus", "shop", "gus")
	w.advance(time.Second)
	if a := w.expect(204, "ann", "DELETE", "/v1/me/tokens", ""); a.body != "" {
		t.Errorf("body %s", a.body)
	}
	w.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	w.expect(200, "gus", "GET", "/v1/me", "")
}

// Nobody who shops anonymously changes the user that all of them are.
func TestSharedUser(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.settle()
	w.client("kiosk", func(c *storage.Client) { c.AnonymousBuyer, c.DefaultContextUser = true, "ANN" })
	w.userToken("signed-in", "kiosk", "ann", "MeAdmin", "PasswordReset")
	signedIn := w.bearers["signed-in"]
	w.bearers["anonymous"] = func(ctx context.Context) (*oauth.Caller, error) {
		c, err := signedIn(ctx)
		if err == nil {
			c.AMR = nil
		}
		return c, err
	}
	w.expect(200, "anonymous", "GET", "/v1/me", "")
	w.refuses(403, "Auth.AnonymousUser", "anonymous", "PATCH", "/v1/me", `{"FirstName":"x"}`)
	w.refuses(403, "Auth.AnonymousUser", "anonymous", "PUT", "/v1/me", `{"Username":"x"}`)
	w.refuses(403, "Auth.AnonymousUser", "anonymous", "POST", "/v1/me/password", `{"NewPassword":"Another-Horse-8"}`)
	w.refuses(403, "Auth.AnonymousUser", "anonymous", "DELETE", "/v1/me/tokens", "")
	w.expect(200, "signed-in", "PATCH", "/v1/me", `{"FirstName":"x"}`)
}
