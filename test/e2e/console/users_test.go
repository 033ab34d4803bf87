package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

const janesPage = "/console/users/buyers/acme/jane"

// confirm submits a page that shows a change, so that the change is made.
func (b *browser) confirm(p page) page {
	b.t.Helper()
	return b.submit(p, "step", "confirm")
}

// fill fills in the form of a page, and returns the page that shows what will change.
func (b *browser) fill(p page, fields ...string) page {
	b.t.Helper()
	return b.submit(p, append(fields, "step", "review")...)
}

// TestLockedUser tests that an administrator finds a locked user, sees the reason and unlocks the
// user. The user can sign in afterwards.
func TestLockedUser(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for range 10 {
			s.Server.SignIn("jane", "wrong")
		}
		if got := s.Server.SignIn("jane", kit.Password); got.Status != http.StatusBadRequest {
			t.Fatalf("sign-in of the locked user: got %d %s, want 400", got.Status, got.Body)
		}
		b := s.signIn("root")
		found := b.open("/console/users?search=JAN").contains(http.StatusOK, "jane", "Jane Doe", "locked")
		if !slices.Contains(found.links(), janesPage) {
			t.Fatalf("got the links %v, want %s", found.links(), janesPage)
		}
		b.open(janesPage).contains(http.StatusOK, "Passwords of jane from unknown addresses are refused until", "after 10 failed sign-ins", "Unlock")
		unlock := b.open(janesPage+"/unlock").contains(http.StatusOK, "are refused until", "All failed sign-ins are forgotten")
		if got := s.Server.SignIn("jane", kit.Password); got.Status != http.StatusBadRequest {
			t.Errorf("sign-in before the confirmation: got %d %s, want 400", got.Status, got.Body)
		}
		b.confirm(unlock).contains(http.StatusOK, "The user is unlocked.", "Nothing is locked.")
		if got := s.Server.SignIn("jane", kit.Password); got.Status != http.StatusOK {
			t.Errorf("sign-in after the unlock: got %d %s, want 200", got.Status, got.Body)
		}
		b.open(janesPage).contains(http.StatusOK, "Everything from the known address 127.0.0.1")
	})
}

// TestUserIsChanged tests that the review of a change shows old and new values, and that stored
// text is shown as text, not as HTML.
func TestUserIsChanged(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const hostile = `<script>alert(1)</script>{{.}}`
		b := s.signIn("root")
		b.open("/console/users/+new?search=acm").contains(http.StatusOK, "Acme Ltd")
		review := b.fill(b.open("/console/users/buyers/acme/+new"), "f.Username", "mallory", "f.ID", "mallory", "f.LastName", hostile, "f.Email", "mallory@example.com", "f.xp", `{"note":"`+hostile+`"}`)
		shown := b.confirm(review.contains(http.StatusOK, hostile)).contains(http.StatusOK, "The user is created.", hostile, "mallory@example.com")
		if strings.Contains(shown.body, "<script>alert") {
			t.Error("got stored text as a script, want it as text")
		}
		b.open("/console/users?searchOn=LastName&search=<script").contains(http.StatusOK, "mallory", "Found by last name.")

		mallorysPage := "/console/users/buyers/acme/mallory"
		review = b.fill(b.open(mallorysPage+"/edit"), "f.Email", "new@example.com", "f.LastName", "Mall")
		review.contains(http.StatusOK, "mallory@example.com", "new@example.com", "the new address is not verified")
		other := s.signIn("ruth")
		other.confirm(other.fill(other.open(mallorysPage+"/edit"), "f.FirstName", "Mal")).contains(http.StatusOK, "Mal")
		conflict := b.confirm(review).contains(http.StatusPreconditionFailed, "Somebody else has changed this")
		if _, form := conflict.form(); form.Get("f.Email") != "new@example.com" || form.Get("f.FirstName") != "Mal" {
			t.Errorf("after the conflict: got the form %v, want the e-mail address new@example.com and the first name Mal", form)
		}
		b.confirm(b.fill(conflict)).contains(http.StatusOK, "new@example.com", "Mal Mall")

		b.fill(b.open(mallorysPage+"/edit"), "f.Email", "no address").contains(http.StatusOK, "no address")
		b.confirm(b.fill(b.open(mallorysPage+"/edit"), "f.Email", "no address")).contains(http.StatusBadRequest, "must be an e-mail address")
		b.confirm(b.open(mallorysPage+"/delete").contains(http.StatusOK, "The user mallory is deleted")).contains(http.StatusOK, "The user is deleted.")
		b.open(mallorysPage).contains(http.StatusNotFound)
	})
}

// TestCodeIsSent tests that an administrator sends a code to a user, and sees the reason if a
// message cannot be sent.
func TestCodeIsSent(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("root")
		review := b.fill(b.open(janesPage+"/code").contains(http.StatusOK, "Shop (shop)"), "f.ClientID", "shop")
		b.confirm(review.contains(http.StatusOK, "You do not see it.")).contains(http.StatusOK, "The code is on its way.")
		code := s.Inbox.Next(t).EventBody.OneTimePassword
		if got := s.Server.SignIn("jane", code); got.Status != http.StatusOK {
			t.Errorf("sign-in with the code: got %d %s, want 200", got.Status, got.Body)
		}
		b.confirm(b.open(janesPage+"/invitation")).contains(http.StatusConflict, "no message sender serves the user with NewUserInvitation")
		gone := b.fill(b.open("/console/users/buyers/acme/gone/code"), "f.ClientID", "shop")
		b.confirm(gone).contains(http.StatusConflict, "the user is not active")
	})
}

// TestMembershipsAreChanged tests that an administrator adds, changes and ends a membership of a
// user.
func TestMembershipsAreChanged(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("root")
		review := b.fill(b.open(janesPage+"/memberships/+new"), "f.CompanyID", "closed", "f.Roles", "Shopper\r\nBuyer")
		shown := b.confirm(review.contains(http.StatusOK, "closed", "Shopper")).contains(http.StatusOK, "Closed Ltd", "Buyer, Shopper")
		edit := slices.IndexFunc(shown.links(), func(link string) bool {
			return strings.HasSuffix(link, "/edit") && strings.Contains(link, "/memberships/") && strings.Contains(b.open(link).body, "Shopper")
		})
		if edit < 0 {
			t.Fatalf("got the links %v, want one that edits the membership", shown.links())
		}
		link := shown.links()[edit]
		b.confirm(b.fill(b.open(link), "f.Roles", "Buyer")).contains(http.StatusOK, "Closed Ltd")
		b.confirm(b.open(strings.TrimSuffix(link, "edit")+"end").contains(http.StatusOK, "not a member of Closed Ltd any more")).contains(http.StatusOK, "The change is made.")
		if strings.Contains(b.open(janesPage).text(), "Closed Ltd") {
			t.Error("got Closed Ltd on the page of the user, want no membership in it")
		}
	})
}

// consent stores a consent of the user for the client "other".
func (s *site) consent(username string) {
	s.WithApp(func(ctx context.Context, a *server.App) error {
		p, err := a.Store.Principal(ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: username})
		if err != nil {
			return err
		}
		return a.Store.PutConsent(ctx, storage.Consent{UserUID: p.User.UID, ClientID: "other", Scope: []string{"openid", "Shopper"}, GrantedAt: s.Clock.Now()})
	})
}

// TestSessionsAndConsents tests that an administrator sees the sessions and consents of a user, and
// ends them.
func TestSessionsAndConsents(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.WithApp(func(ctx context.Context, a *server.App) error {
			p, err := a.Store.Principal(ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "jane"})
			if err != nil {
				return err
			}
			now := s.Clock.Now()
			for _, id := range []string{"first", "second", "third"} {
				err := a.Store.SettleLogin(ctx, storage.Settlement{
					LoginID: p.Login.ID, PasswordSetAt: p.Login.PasswordSetAt, Now: now,
					BeginSession: &storage.Session{
						ID: id, ClientID: "shop", UserUID: p.User.UID, LoginID: p.Login.ID, AMR: []string{"otp"},
						AuthTime: now, CreatedAt: now, LastUsedAt: now, IdleUntil: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
					},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		s.consent("jane")
		b := s.signIn("root")
		sessions := janesPage + "/sessions"
		if links := b.open("/console/sessions?search=jane").links(); !slices.Contains(links, sessions) {
			t.Fatalf("got the links %v, want %s", links, sessions)
		}
		b.open(sessions).contains(http.StatusOK, "one-time password", "openid, Shopper")
		b.confirm(b.open(sessions+"/end/first").contains(http.StatusOK, "The browser is signed out")).contains(http.StatusOK, "The session has ended.")
		b.confirm(b.open(janesPage+"/consents/other/end").contains(http.StatusOK, "The client other may not act for the user any more.")).
			contains(http.StatusOK, "The consent for other has ended.", "The user has given no consent.")
		b.confirm(b.open(sessions+"/end-all")).contains(http.StatusOK, "All sessions have ended.", "The user is not signed in at any browser.")
	})
}

// TestCompanyAdministrator tests that an administrator of a company reads and unlocks its users.
// Pages of other users answer 403 or 404.
func TestCompanyAdministrator(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		for range 10 {
			s.Server.SignIn("jane", "wrong")
		}
		b := s.signIn("bob")
		start := b.open("/console/")
		if got := start.navigation(); !slices.Equal(got, []string{"/console/own-users"}) {
			t.Errorf("got the navigation %v, want /console/own-users", got)
		}
		start.contains(http.StatusOK, "jane", "johnny")
		shown := b.open(janesPage).contains(http.StatusOK, "are refused until")
		for _, link := range shown.links() {
			if strings.Contains(link, "/memberships/") {
				t.Errorf("got the link %s, want none to memberships", link)
			}
		}
		b.confirm(b.open(janesPage+"/unlock")).contains(http.StatusOK, "The user is unlocked.")
		if got := s.Server.SignIn("jane", kit.Password); got.Status != http.StatusOK {
			t.Errorf("sign-in after the unlock: got %d %s, want 200", got.Status, got.Body)
		}
		for path, status := range map[string]int{
			"/console/users": http.StatusForbidden, "/console/users/admins": http.StatusForbidden, "/console/users/admins/root": http.StatusForbidden,
			"/console/users/buyers/closed": http.StatusNotFound, "/console/users/buyers/closed/carl": http.StatusNotFound,
			"/console/users/buyers/closed/carl/unlock": http.StatusNotFound, "/console/users/suppliers/acme": http.StatusForbidden,
			janesPage + "/memberships/+new": http.StatusForbidden, "/console/keys": http.StatusForbidden,
		} {
			if got := b.open(path); got.status != status || strings.Contains(got.text(), "Arl") {
				t.Errorf("%s: got %d %s, want %d", path, got.status, got.text(), status)
			}
		}
	})
}

// TestUserNavigation tests that only administrators who may read the users of all companies can
// search for users.
func TestUserNavigation(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		if got := s.signIn("audrey").open("/console/users"); got.status != http.StatusForbidden {
			t.Errorf("audrey: got %d, want 403", got.status)
		}
		got := s.signIn("root").open("/console/").navigation()
		for _, screen := range []string{"/console/users", "/console/sessions", "/console/keys"} {
			if !slices.Contains(got, screen) {
				t.Errorf("root: got the navigation %v, want %s", got, screen)
			}
		}
		if slices.Contains(got, "/console/own-users") {
			t.Error("root: got /console/own-users, want none without a company")
		}
	})
}
