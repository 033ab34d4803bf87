package page

import (
	"context"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestOutage tests that a sign-in and a redemption that cannot be stored use nothing up and
// count no failure: the same code works afterwards.
func TestOutage(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newSite(t, w, "LATCHKEY_REQUEST_TIMEOUT=2s")
		a, b := s.spa("openid"), s.newBrowser()
		page := b.submit(b.get(a.path()), "username", "jane").asksFor(t, "one-time-code")
		otp := s.Inbox.Next(t).EventBody.OneTimePassword
		s.AwaitMessages()

		release := s.blockWrites()
		got := b.submit(page, "code", otp)
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "Request id") {
			t.Errorf("sign-in: %d %v %s", got.status, got.header, got.body)
		}
		release()
		code := b.submit(page, "code", otp).response(t, callback).Get("code")
		if n := s.Failures("jane"); n != 0 {
			t.Errorf("got %d counted failures", n)
		}

		redeem := func() kit.Response {
			return s.Server.Form("/oauth/token", "grant_type", "authorization_code", "code", code, "client_id", "spa",
				"redirect_uri", callback, "code_verifier", a.verifier)
		}
		release = s.blockWrites()
		kit.MustBeUnavailable(t, "the code", redeem())
		release()
		kit.MustIssue(t, "the code afterwards", redeem())
	})
}

// blockWrites makes all writes of sign-ins wait until release is called.
func (s *site) blockWrites() (release func()) {
	s.t.Helper()
	ctx := context.Background()
	conn, err := s.DB.Conn(ctx)
	s.Must(err)
	begin := "BEGIN IMMEDIATE"
	if !strings.HasPrefix(s.DatabaseURL, "sqlite:") {
		begin = "BEGIN; LOCK TABLE logins, sessions, authorizations IN ACCESS EXCLUSIVE MODE"
	}
	_, err = conn.ExecContext(ctx, begin)
	s.Must(err)
	return func() {
		_, err := conn.ExecContext(ctx, "ROLLBACK")
		s.Must(err)
		s.Must(conn.Close())
	}
}
