package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"latchkey/test/e2e/kit"
)

// shownSecret returns the secret that the page shows.
func (p page) shownSecret() string {
	p.t.Helper()
	found := find(p.root, func(n *html.Node) bool { return attribute(n, "id") == "secret-value" })
	if len(found) != 1 {
		p.t.Fatalf("no secret: %s", p.text())
	}
	return strings.TrimSpace(content(found[0]))
}

// token asks for a token with the password grant.
func (s *site) token(id, secret string) kit.Response {
	return s.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, url.Values{
		"grant_type": {"password"}, "client_id": {id}, "client_secret": {secret}, "username": {"jane"}, "password": {kit.Password},
	}.Encode())
}

// TestCreateClient tests that an administrator creates a client, uses its secret and
// rotates it: both secrets are good until the first one ends.
func TestCreateClient(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		b.open("/console/clients").contains(http.StatusOK, "Create a client")
		form := b.open("/console/new-client/otp")
		review := b.submit(form, "f.AppName", "Corner shop", "f.ID", "corner").contains(http.StatusOK, "This will change:", "Corner shop", "nothing else")
		if got := b.open("/console/clients/corner"); got.status != http.StatusNotFound {
			t.Fatalf("the client exists before the change is confirmed: %s", got.text())
		}
		b.submit(review, "step", "confirm").contains(http.StatusOK, "The client corner is created.", "Make a secret")

		shown := b.submit(b.submit(b.open("/console/clients/corner/new-secret"), "f.Name", "first"), "step", "confirm").contains(http.StatusOK, "shown only now")
		first := shown.shownSecret()
		if !strings.Contains(shown.body, "OAUTH_CLIENT_SECRET="+first) {
			t.Error("the environment does not have the secret")
		}
		if again := b.open("/console/clients/corner"); strings.Contains(again.body, first) {
			t.Error("the secret is shown twice")
		}
		if got := s.token("corner", first); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_grant") { // its users have no passwords
			t.Errorf("the client does not authenticate: %d %s", got.Status, got.Body)
		}
		if got := s.token("corner", "wrong"); !strings.Contains(got.Body, "invalid_client") {
			t.Errorf("a wrong secret: %d %s", got.Status, got.Body)
		}

		review = b.submit(b.open("/console/clients/corner/new-secret"), "f.Name", "second", "f.Overlap", "24").contains(http.StatusOK, "The secret first is good until")
		second := b.submit(review, "step", "confirm").contains(http.StatusOK, "first", "second", "ends soon").shownSecret()
		for _, secret := range []string{first, second} {
			if got := s.token("corner", secret); !strings.Contains(got.Body, "invalid_grant") {
				t.Errorf("a secret is refused during the overlap: %s", got.Body)
			}
		}
		s.Clock.Advance(25 * time.Hour)
		if got := s.token("corner", first); !strings.Contains(got.Body, "invalid_client") {
			t.Errorf("the first secret after the overlap: %d %s", got.Status, got.Body)
		}
		if got := s.token("corner", second); !strings.Contains(got.Body, "invalid_grant") {
			t.Errorf("the second secret after the overlap: %d %s", got.Status, got.Body)
		}
	})
}

// TestFaultyForm tests that a form with faults is shown again, with the faults at their
// fields and all that was typed.
func TestFaultyForm(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		got := b.submit(b.open("/console/new-client/code"), "f.AppName", "", "f.RedirectUris", "https://app.example/*")
		got.contains(http.StatusUnprocessableEntity, "is required")
		got = b.submit(b.submit(got, "f.AppName", "App"), "step", "confirm").contains(http.StatusBadRequest, "must not have a wildcard")
		if _, form := got.form(); form.Get("f.AppName") != "App" || form.Get("f.RedirectUris") != "https://app.example/*" {
			t.Errorf("what was typed is gone: %v", form)
		}
		b.submit(b.submit(got, "f.RedirectUris", "https://app.example/back"), "step", "confirm").contains(http.StatusOK, "https://app.example/back")
	})
}

// TestTwoAdministrators tests that the second of two administrators who edit one client
// learns who changed it and what, and that neither change is lost.
func TestTwoAdministrators(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		root, clara := s.signIn("root"), s.signIn("clara")
		mine, theirs := root.open("/console/clients/shop/edit"), clara.open("/console/clients/shop/edit")
		mine = root.submit(mine, "f.AppName", "Root's shop", "f.RefreshTokenDuration", "77").contains(http.StatusOK, "Root's shop")
		clara.submit(clara.submit(theirs, "f.AppName", "Clara's shop", "f.AccessTokenDuration", "33"), "step", "confirm").contains(http.StatusOK, "Clara's shop")

		conflict := root.submit(mine, "step", "confirm")
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(conflict.text(), "Changed by clara") && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond) // audit events are stored in batches
			conflict = root.submit(mine, "step", "confirm")
		}
		conflict.contains(http.StatusPreconditionFailed, "Changed by clara", "AccessTokenDuration", "Root's shop", "Clara's shop")
		_, form := conflict.form()
		if form.Get("f.AppName") != "Root's shop" || form.Get("f.RefreshTokenDuration") != "77" || form.Get("f.AccessTokenDuration") != "33" {
			t.Errorf("the form has %v", form)
		}
		root.submit(root.submit(conflict), "step", "confirm").contains(http.StatusOK, "Root's shop")
		_, form = root.open("/console/clients/shop/edit").form()
		if form.Get("f.AppName") != "Root's shop" || form.Get("f.RefreshTokenDuration") != "77" || form.Get("f.AccessTokenDuration") != "33" {
			t.Errorf("stored: %v", form)
		}
	})
}

// TestConflictWithoutAudit tests that somebody who may not read audit events does not
// learn who changed a client, and that a change between form and review is found too.
func TestConflictWithoutAudit(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		root, clara := s.signIn("root"), s.signIn("clara")
		theirs := clara.open("/console/clients/shop/edit")
		root.submit(root.open("/console/clients/shop/disable"), "step", "confirm").contains(http.StatusOK, "inactive")
		conflict := clara.submit(theirs, "f.AppName", "Clara's shop").contains(http.StatusPreconditionFailed, "Somebody else has changed this")
		if strings.Contains(conflict.text(), "Changed by") {
			t.Errorf("clara reads audit events: %s", conflict.text())
		}
		clara.submit(clara.submit(conflict), "step", "confirm").contains(http.StatusOK, "Clara's shop", "inactive")
	})
}

// TestSessionEndsWithOpenForm tests that nothing typed is lost if the session ends while a
// form is open, and that nobody else's session sends it unasked.
func TestSessionEndsWithOpenForm(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		form := b.open("/console/clients/shop/edit")
		s.Clock.Advance(13 * time.Hour)
		kept := b.submit(form, "f.AppName", "Typed <for> an hour", "f.RedirectUris", "https://a.example/\nhttps://b.example/")
		kept.contains(http.StatusUnauthorized, "Your session has ended", "Typed <for> an hour", "https://b.example/", "Sign in in another tab")
		kept = b.submit(kept).contains(http.StatusUnauthorized, "Typed <for> an hour")

		b.signIn("root", b.open("/console/"))
		b.submit(kept).contains(http.StatusUnauthorized, "Somebody else is signed in now", "Typed <for> an hour")
		_, token := b.open("/console/clients/shop/edit").form()
		b.post("/console/sign-out", url.Values{"token": token["token"]})
		b.signIn("clara", b.open("/console/"))
		review := b.submit(kept).contains(http.StatusOK, "This will change:", "Typed <for> an hour", "https://b.example/")
		b.submit(review, "step", "confirm").contains(http.StatusOK, "Typed <for> an hour")
	})
}

// TestDeleteClient tests that the page says what breaks, and that the client is gone.
func TestDeleteClient(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		ask := b.open("/console/clients/other/delete")
		ask.contains(http.StatusOK, "Other shop (other) is deleted.", "end at once", "Secrets that are deleted with it: 1.")
		b.submit(ask, "step", "confirm").contains(http.StatusOK, "The client other is deleted.")
		b.open("/console/clients/other").contains(http.StatusNotFound)
	})
}

// TestListsArePaged tests search and pages of the list of clients.
func TestListsArePaged(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		var clients []string
		for _, name := range kit.Numbered("many-", 120) {
			clients = append(clients, `{"ID":"`+name+`","AppName":"Many `+name+`","Active":true}`)
		}
		s.Apply(`{"ApiClients":[` + strings.Join(clients, ",") + `]}`)
		b := s.signIn("carol")
		seen := map[string]bool{}
		next := "/console/clients?search=Many"
		for pages := 0; next != ""; pages++ {
			at := b.open(next).contains(http.StatusOK)
			for _, found := range regexp.MustCompile(`/console/clients/(many-[0-9]+)"`).FindAllStringSubmatch(at.body, -1) {
				seen[found[1]] = true
			}
			if next = ""; pages > 5 {
				t.Fatal("no end")
			}
			for _, n := range find(at.root, func(n *html.Node) bool { return attribute(n, "rel") == "next" }) {
				next = attribute(n, "href")
			}
		}
		if len(seen) != 120 {
			t.Errorf("%d of 120 clients are in the list", len(seen))
		}
	})
}

// TestSecretIsShownToItsMaker tests that the page after a change shows a secret to the
// administrator who made it, and not to the next one at the browser, nor much later.
func TestSecretIsShownToItsMaker(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		create := func() *browser {
			b := s.signIn("clara")
			b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
				if r.Method == http.MethodGet && r.URL.Path == "/console/clients/shop" {
					return http.ErrUseLastResponse // the browser is closed before
				}
				return nil
			}
			at := b.submit(b.open("/console/clients/shop/new-secret"), "f.Name", "kept", "step", "review")
			b.submit(at, "step", "confirm").contains(http.StatusSeeOther)
			b.client.CheckRedirect = nil
			return b
		}
		b := create()
		if b.open("/console/clients/shop").shownSecret() == "" {
			t.Error("the secret is not shown to its maker")
		}
		b = create()
		for _, c := range b.client.Jar.Cookies(b.address()) {
			if c.Name != "latchkey-notice" {
				b.client.Jar.SetCookies(b.address(), []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1}})
			}
		}
		at := b.signIn("carol", b.open("/console/clients/shop")).contains(http.StatusOK, "Shop")
		if strings.Contains(at.body, "secret-value") {
			t.Error("the secret is shown to another administrator")
		}
		b = create()
		s.Clock.Advance(6 * time.Minute)
		if at := b.open("/console/clients/shop").contains(http.StatusOK, "Shop"); strings.Contains(at.body, "secret-value") {
			t.Error("the secret is shown much later")
		}
	})
}

// TestChangeWithoutEntityTag tests that a form that does not say which version it changes
// changes nothing, and that HEAD is answered like GET.
func TestChangeWithoutEntityTag(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		for _, path := range []string{"/console/clients/shop/edit", "/console/clients/shop/delete"} {
			action, form := b.open(path).form()
			for name := range form {
				if name != "token" {
					form.Del(name)
				}
			}
			form.Set("step", "confirm")
			form.Set("f.AppName", "Another name")
			b.post(action, form).contains(http.StatusPreconditionFailed)
			b.open("/console/clients/shop").contains(http.StatusOK, "Shop")
			r, err := http.NewRequest(http.MethodHead, s.Server.URL+path, nil)
			s.must(err)
			if at := b.send(r); at.status != http.StatusOK {
				t.Errorf("HEAD %s: got %d, want 200", path, at.status)
			}
		}
	})
}
