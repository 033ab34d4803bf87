package page

import (
	"net/url"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestSignInPageStoresNoSecret tests that after a sign-in at the page, the database and the log
// contain no secrets.
func TestSignInPageStoresNoSecret(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		a, b := s.spa("openid"), s.newBrowser()
		page := b.submit(b.get(a.path()), "username", "jane").asksFor(t, "one-time-code")
		otp := s.Inbox.Next(t).EventBody.OneTimePassword
		code := b.submit(page, "code", otp).response(t, callback).Get("code")
		token, err := a.exchange(code)
		s.Must(err)
		s.AwaitMessages()
		home, err := url.Parse(s.Server.URL)
		s.Must(err)
		secrets := map[string]string{"authorization code": code, "verifier": a.verifier, "refresh token": token.RefreshToken, "state of the form": page.state(t)}
		for _, cookie := range b.client.Jar.Cookies(home) {
			secrets["cookie "+cookie.Name] = cookie.Value
			if _, secret, ok := strings.Cut(cookie.Value, "."); ok {
				secrets["secret of cookie "+cookie.Name] = secret
			}
		}
		if len(secrets) != 7 {
			t.Fatalf("the browser has other cookies: %v", b.client.Jar.Cookies(home))
		}
		_, secret, _ := strings.Cut(code, ".")
		secrets["secret of the code"] = secret
		for what, secret := range secrets {
			for place, content := range s.StoredBytes() {
				kit.SearchFor(t, place, content, what, secret)
			}
			kit.SearchFor(t, "the log", []byte(s.Log.String()), what, secret)
		}
		kit.SearchFor(t, "the log", []byte(s.Log.String()), "code", otp)
	})
}
