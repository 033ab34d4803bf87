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
		p.t.Fatalf("got %d secrets, want 1: %s", len(found), p.text())
	}
	return strings.TrimSpace(content(found[0]))
}

// token requests a token for jane with the password grant.
func (s *site) token(id, secret string) kit.Response {
	return s.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, url.Values{
		"grant_type": {"password"}, "client_id": {id}, "client_secret": {secret}, "username": {"jane"}, "password": {kit.Password},
	}.Encode())
}

// TestCreateClient tests that an administrator creates a client, creates its secret and rotates the
// secret. Both secrets are valid until the first one expires.
func TestCreateClient(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		b.open("/console/clients").contains(http.StatusOK, "Create a client")
		form := b.open("/console/new-client/otp")
		review := b.submit(form, "f.AppName", "Corner shop", "f.ID", "corner").contains(http.StatusOK, "This will change:", "Corner shop", "nothing else")
		if got := b.open("/console/clients/corner"); got.status != http.StatusNotFound {
			t.Fatalf("before the confirmation: got %d %s, want 404", got.status, got.text())
		}
		b.submit(review, "step", "confirm").contains(http.StatusOK, "The client corner is created.", "Make a secret")

		shown := b.submit(b.submit(b.open("/console/clients/corner/new-secret"), "f.Name", "first"), "step", "confirm").contains(http.StatusOK, "shown only now")
		first := shown.shownSecret()
		if !strings.Contains(shown.body, "OAUTH_CLIENT_SECRET="+first) {
			t.Error("got no environment variable with the secret, want OAUTH_CLIENT_SECRET")
		}
		if again := b.open("/console/clients/corner"); strings.Contains(again.body, first) {
			t.Error("got the secret after a reload, want it shown once")
		}
		if got := s.token("corner", first); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invalid_grant") { // the secret is correct, but the client does not allow passwords
			t.Errorf("the first secret: got %d %s, want 400 invalid_grant", got.Status, got.Body)
		}
		if got := s.token("corner", "wrong"); !strings.Contains(got.Body, "invalid_client") {
			t.Errorf("a wrong secret: got %d %s, want invalid_client", got.Status, got.Body)
		}

		review = b.submit(b.open("/console/clients/corner/new-secret"), "f.Name", "second", "f.Overlap", "24").contains(http.StatusOK, "The secret first is good until")
		second := b.submit(review, "step", "confirm").contains(http.StatusOK, "first", "second", "ends soon").shownSecret()
		for _, secret := range []string{first, second} {
			if got := s.token("corner", secret); !strings.Contains(got.Body, "invalid_grant") {
				t.Errorf("a secret during the overlap: got %s, want invalid_grant", got.Body)
			}
		}
		s.Clock.Advance(25 * time.Hour)
		if got := s.token("corner", first); !strings.Contains(got.Body, "invalid_client") {
			t.Errorf("the first secret after the overlap: got %d %s, want invalid_client", got.Status, got.Body)
		}
		if got := s.token("corner", second); !strings.Contains(got.Body, "invalid_grant") {
			t.Errorf("the second secret after the overlap: got %d %s, want invalid_grant", got.Status, got.Body)
		}
	})
}

// TestInvalidForm tests that a form with invalid values is shown again, with an error at each such
// field and with everything that was typed.
func TestInvalidForm(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		got := b.submit(b.open("/console/new-client/code"), "f.AppName", "", "f.RedirectUris", "https://app.example/*")
		got.contains(http.StatusUnprocessableEntity, "is required")
		got = b.submit(b.submit(got, "f.AppName", "App"), "step", "confirm").contains(http.StatusBadRequest, "must not have a wildcard")
		if _, form := got.form(); form.Get("f.AppName") != "App" || form.Get("f.RedirectUris") != "https://app.example/*" {
			t.Errorf("got the form %v, want the values that were typed", form)
		}
		b.submit(b.submit(got, "f.RedirectUris", "https://app.example/back"), "step", "confirm").contains(http.StatusOK, "https://app.example/back")
	})
}

// TestTwoAdministrators tests that the second of two administrators who edit one client sees who
// changed what, and that neither change is lost.
func TestTwoAdministrators(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		root, clara := s.signIn("root"), s.signIn("clara")
		rootsForm, clarasForm := root.open("/console/clients/shop/edit"), clara.open("/console/clients/shop/edit")
		rootsForm = root.submit(rootsForm, "f.AppName", "Root's shop", "f.RefreshTokenDuration", "77").contains(http.StatusOK, "Root's shop")
		clara.submit(clara.submit(clarasForm, "f.AppName", "Clara's shop", "f.AccessTokenDuration", "33"), "step", "confirm").contains(http.StatusOK, "Clara's shop")

		conflict := root.submit(rootsForm, "step", "confirm")
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(conflict.text(), "Changed by clara") && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond) // audit events are stored in batches
			conflict = root.submit(rootsForm, "step", "confirm")
		}
		conflict.contains(http.StatusPreconditionFailed, "Changed by clara", "AccessTokenDuration", "Root's shop", "Clara's shop")
		_, form := conflict.form()
		if form.Get("f.AppName") != "Root's shop" || form.Get("f.RefreshTokenDuration") != "77" || form.Get("f.AccessTokenDuration") != "33" {
			t.Errorf("after the conflict: got the form %v, want the changes of both", form)
		}
		root.submit(root.submit(conflict), "step", "confirm").contains(http.StatusOK, "Root's shop")
		_, form = root.open("/console/clients/shop/edit").form()
		if form.Get("f.AppName") != "Root's shop" || form.Get("f.RefreshTokenDuration") != "77" || form.Get("f.AccessTokenDuration") != "33" {
			t.Errorf("after the second change: got the form %v, want the changes of both", form)
		}
	})
}

// TestConflictWithoutAudit tests that an administrator who may not read audit events does not see
// who changed a client, and that a change between form and review is found too.
func TestConflictWithoutAudit(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		root, clara := s.signIn("root"), s.signIn("clara")
		clarasForm := clara.open("/console/clients/shop/edit")
		root.submit(root.open("/console/clients/shop/disable"), "step", "confirm").contains(http.StatusOK, "inactive")
		conflict := clara.submit(clarasForm, "f.AppName", "Clara's shop").contains(http.StatusPreconditionFailed, "Somebody else has changed this")
		if strings.Contains(conflict.text(), "Changed by") {
			t.Errorf("got %s, want it without the other administrator", conflict.text())
		}
		clara.submit(clara.submit(conflict), "step", "confirm").contains(http.StatusOK, "Clara's shop", "inactive")
	})
}

// TestSessionEndsWithOpenForm tests that a form keeps everything that was typed if the session ends
// while it is open. The form is not accepted in the session of another user.
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

// TestDeleteClient tests that the page lists the effects of a deletion, and that its confirmation
// deletes the client.
func TestDeleteClient(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("clara")
		review := b.open("/console/clients/other/delete")
		review.contains(http.StatusOK, "Other shop (other) is deleted.", "end at once", "Secrets that are deleted with it: 1.")
		b.submit(review, "step", "confirm").contains(http.StatusOK, "The client other is deleted.")
		b.open("/console/clients/other").contains(http.StatusNotFound)
	})
}

// TestListsArePaged tests that a search for clients returns each client, over several pages.
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
				t.Fatalf("got more than %d pages, want fewer", pages)
			}
			for _, n := range find(at.root, func(n *html.Node) bool { return attribute(n, "rel") == "next" }) {
				next = attribute(n, "href")
			}
		}
		if len(seen) != 120 {
			t.Errorf("got %d clients, want 120", len(seen))
		}
	})
}

// TestSecretIsShownToItsCreator tests that the page after a change shows a secret to the
// administrator who created it. The page does not show it to the next user of the browser, or six
// minutes later.
func TestSecretIsShownToItsCreator(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		create := func() *browser {
			b := s.signIn("clara")
			b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
				if r.Method == http.MethodGet && r.URL.Path == "/console/clients/shop" {
					return http.ErrUseLastResponse // as if the browser was closed before this page
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
			t.Error("got no secret, want it shown to its creator")
		}
		b = create()
		for _, c := range b.client.Jar.Cookies(b.address()) {
			if c.Name != "latchkey-notice" {
				b.client.Jar.SetCookies(b.address(), []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1}})
			}
		}
		at := b.signIn("carol", b.open("/console/clients/shop")).contains(http.StatusOK, "Shop")
		if strings.Contains(at.body, "secret-value") {
			t.Error("another administrator: got the secret, want it hidden")
		}
		b = create()
		s.Clock.Advance(6 * time.Minute)
		if at := b.open("/console/clients/shop").contains(http.StatusOK, "Shop"); strings.Contains(at.body, "secret-value") {
			t.Error("after six minutes: got the secret, want it hidden")
		}
	})
}

// TestChangeWithoutEntityTag tests that a form without the entity tag of the version that it
// changes is refused, and that HEAD is answered like GET.
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
