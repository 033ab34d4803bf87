package mailer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

const renewURL = "https://shop.example/renew"

// sendMail sends the envelope and returns the subject and both bodies of the mail.
func sendMail(t *testing.T, m *mailer.Mailer, server *mailServer, e deliver.Envelope) []string {
	t.Helper()
	before := len(server.received())
	if err := m.Send(t.Context(), server.sender(storage.RequiredTLS), e); err != nil {
		t.Fatal(err)
	}
	header, plain, html := parts(t, server.received()[before].data)
	return []string{decoded(t, header.Get("Subject")), plain, html}
}

// trust sets a TrustURL that always returns trusted.
func trust(trusted bool) func(*mailer.Config) {
	return func(c *mailer.Config) {
		c.TrustURL = func(context.Context, string, string) (bool, error) { return trusted, nil }
	}
}

// lockEnds is the end of the lock in these tests, rounded up to the minute.
const lockEnds = "2031-05-17 12:04 UTC"

// TestLockWithoutEnd tests that a mail shows no time if the lock has ended or only an
// administrator ends it.
func TestLockWithoutEnd(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	for _, end := range []time.Time{{}, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		e := envelope()
		e.Message.Type, e.Code, e.LockedUntil = storage.MessageAccountLocked, "", end
		for _, body := range sendMail(t, newMailer(t, server, jane(), trust(true)), server, e)[1:] {
			if !strings.Contains(body, "For now your password is not accepted") || strings.Contains(body, "UTC") {
				t.Errorf("until %v: got %s, want no time", end, body)
			}
		}
	}
}

// TestMessageTypes tests that the mail of every type, in both languages, shows what it must and
// says what to do if the user did not request it.
func TestMessageTypes(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	tests := []struct {
		kind     storage.MessageType
		locale   string
		lifetime time.Duration
		subject  string
		wanted   []string
	}{
		{storage.MessageOneTimePassword, "en", 10 * time.Minute, "Your one-time password for shop.example", []string{theCode, "10 minutes", "ignore this mail"}},
		{storage.MessageOneTimePassword, "de", time.Minute, "Ihr Einmalkennwort für shop.example", []string{theCode, "1 Minute lang", "nichts zu tun"}},
		{storage.MessageForgottenPassword, "en", 2 * time.Hour, "Renew your password for shop.example", []string{theCode, renewURL, "120 minutes", "ignore this mail"}},
		{storage.MessageForgottenPassword, "de", 2 * time.Hour, "Neues Passwort für shop.example", []string{theCode, renewURL, "120 Minuten", "nichts zu tun"}},
		{storage.MessageForgottenUsername, "en", 2 * time.Hour, "Your username for shop.example", []string{"ignore this mail"}},
		{storage.MessageForgottenUsername, "de", 2 * time.Hour, "Ihr Benutzername für shop.example", []string{"nichts zu tun"}},
		{storage.MessageNewUserInvitation, "en", 7 * 24 * time.Hour, "Welcome to shop.example", []string{theCode, renewURL, "7 days", "ignore this mail"}},
		{storage.MessageNewUserInvitation, "de", 24 * time.Hour, "Willkommen bei shop.example", []string{theCode, renewURL, "1 Tag lang", "nichts zu tun"}},
		{storage.MessageAccountLocked, "en", 24 * time.Hour, "Failed sign-ins at shop.example", []string{lockEnds, "one-time password", "need do nothing"}},
		{storage.MessageContactChanged, "en", 24 * time.Hour, "Your contact details at shop.example were changed", []string{"need do nothing", "at once"}},
		{storage.MessageContactChanged, "de", 24 * time.Hour, "Ihre Kontaktdaten bei shop.example wurden geändert", []string{"nichts zu tun", "sofort"}},
		{storage.MessageAccountLocked, "de", 24 * time.Hour, "Fehlgeschlagene Anmeldungen bei shop.example", []string{lockEnds, "Einmalkennwort", "nichts zu tun"}},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind)+"/"+tt.locale, func(t *testing.T) {
			user := jane()
			user.Locale = tt.locale
			e := envelope()
			e.Message.Type, e.URL, e.ExpiresAt = tt.kind, renewURL, noon.Add(tt.lifetime-time.Second)
			if !tt.kind.HasCode() {
				e.Code = ""
			}
			e.Email = "former@example.com"
			e.LockedUntil = time.Date(2031, 5, 17, 12, 3, 59, 0, time.UTC)
			got := sendMail(t, newMailer(t, server, user, trust(true)), server, e)
			if got[0] != tt.subject {
				t.Errorf("got the subject %q, want %q", got[0], tt.subject)
			}
			to := "<jane@home.example>"
			if tt.kind == storage.MessageContactChanged {
				to = "<former@example.com>"
			}
			mails := server.received()
			if header, _, _ := parts(t, mails[len(mails)-1].data); header.Get("To") != to {
				t.Errorf("got To %q, want %q", header.Get("To"), to)
			}
			for _, body := range got[1:] {
				for _, wanted := range append(tt.wanted, "shop.example", "jane") {
					if !strings.Contains(strings.ReplaceAll(body, "\n", " "), wanted) {
						t.Errorf("got no %q in %s", wanted, body)
					}
				}
			}
		})
	}
}

// TestUntrustedURLs tests that a mail does not show the URL of a ForgottenPassword request
// unless it is trusted, and that it never shows text that is more than a URL.
func TestUntrustedURLs(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	tests := []struct {
		name, url string
		kind      storage.MessageType
		trust     func(*mailer.Config)
		shown     bool
	}{
		{"trusted", renewURL, storage.MessageForgottenPassword, trust(true), true},
		{"with a placeholder", renewURL + "?c={code}", storage.MessageForgottenPassword, trust(true), true},
		{"not trusted", renewURL, storage.MessageForgottenPassword, trust(false), false},
		{"no TrustURL", renewURL, storage.MessageForgottenPassword, func(*mailer.Config) {}, false},
		{"of an invitation", renewURL, storage.MessageNewUserInvitation, trust(false), true},
		{"followed by words", renewURL + " or call 0900", storage.MessageForgottenPassword, trust(true), false},
		{"followed by lines", renewURL + "\r\n\r\ncall 0900", storage.MessageNewUserInvitation, trust(true), false},
		{"with user information", "https://shop.example@attacker.example/", storage.MessageForgottenPassword, trust(true), false},
		{"script", "javascript:alert(1)", storage.MessageNewUserInvitation, trust(true), false},
		{"markup", `https://shop.example/"><script>`, storage.MessageNewUserInvitation, trust(true), false},
		{"no host", "https:///renew", storage.MessageForgottenPassword, trust(true), false},
		{"too long", renewURL + "?" + strings.Repeat("x", 3000), storage.MessageForgottenPassword, trust(true), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := envelope()
			e.Message.Type, e.URL = tt.kind, tt.url
			for _, body := range sendMail(t, newMailer(t, server, jane(), tt.trust), server, e)[1:] {
				if strings.Contains(body, tt.url) != tt.shown || !tt.shown && strings.Contains(body, "://") {
					t.Errorf("want the URL shown: %v, got %s", tt.shown, body)
				}
				if !strings.Contains(body, theCode) {
					t.Errorf("got no code in %s", body)
				}
			}
		})
	}
	fault := errors.New("fault")
	m := newMailer(t, server, jane(), func(c *mailer.Config) {
		c.TrustURL = func(context.Context, string, string) (bool, error) { return false, fault }
	})
	e := envelope()
	e.Message.Type, e.URL = storage.MessageForgottenPassword, renewURL
	if err := m.Send(t.Context(), server.sender(storage.RequiredTLS), e); !errors.Is(err, fault) || deliver.IsPermanent(err) {
		t.Errorf("database not available: got %v, want the fault", err)
	}
}

// TestReplaceOneType tests that a directory can replace the templates of one message type and
// leave the others.
func TestReplaceOneType(t *testing.T) {
	t.Parallel()
	templates, err := mailer.LoadTemplates(fstest.MapFS{
		"ForgottenUsername.subject": {Data: []byte("It is you")}, "ForgottenUsername.txt": {Data: []byte("{{.Username}}")},
		"ForgottenUsername.html": {Data: []byte("<b>{{.Username}}</b>")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[storage.MessageType]string{
		storage.MessageForgottenUsername: "It is you", storage.MessageForgottenPassword: "Neues Passwort für S",
	} {
		if text, err := templates.Render(kind, "de", mailer.Data{Site: "S"}); err != nil || text.Subject != want {
			t.Errorf("%s: got the subject %q, error %v; want %q", kind, text.Subject, err, want)
		}
	}
	for field, dir := range map[string]fstest.MapFS{
		"{{.Username}}": {
			"ForgottenUsername.subject": {Data: []byte("s")}, "ForgottenUsername.txt": {Data: []byte("hello")}, "ForgottenUsername.html": {Data: []byte("{{.Username}}")},
		},
		"{{.Code}}": {
			"ForgottenPassword.subject": {Data: []byte("s")}, "ForgottenPassword.txt": {Data: []byte("{{.URL}}")}, "ForgottenPassword.html": {Data: []byte("{{.Code}}")},
		},
		"slice": { // this template fails only without a URL
			"NewUserInvitation.subject": {Data: []byte("s")}, "NewUserInvitation.txt": {Data: []byte("{{slice .URL 8}}{{.Code}}")}, "NewUserInvitation.html": {Data: []byte("{{.Code}}")},
		},
	} {
		if _, err := mailer.LoadTemplates(dir); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without %s: got %v, want an error that names it", field, err)
		}
	}
}
