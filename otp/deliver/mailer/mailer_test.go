package mailer_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

var noon = time.Date(2031, 5, 17, 12, 0, 0, 0, time.UTC)

const theCode = "8BM3SYBG"

// jane returns the user who gets the messages.
func jane() storage.User {
	return storage.User{UID: "usr_1", Email: "jane@home.example", Active: true}
}

func envelope() deliver.Envelope {
	return deliver.Envelope{
		Message:  storage.Message{ID: "msg_7", Type: storage.MessageOneTimePassword},
		Username: "jane", Code: theCode, UserUID: "usr_1", ExpiresAt: noon.Add(9*time.Minute + 30*time.Second),
	}
}

// newMailer returns a mailer that may call loopback addresses and trusts the certificate of the
// server.
func newMailer(t *testing.T, server *mailServer, user storage.User, change ...func(*mailer.Config)) *mailer.Mailer {
	t.Helper()
	templates, err := mailer.LoadTemplates(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := mailer.Config{
		User: func(_ context.Context, uid string) (storage.User, error) {
			if uid != user.UID {
				return storage.User{}, storage.ErrNotFound
			}
			return user, nil
		},
		Password:  func(s storage.Sealed) (string, error) { return string(s.Data), nil },
		Templates: templates, SiteName: "shop.example", Allow: loopback(), Now: func() time.Time { return noon },
	}
	if server != nil {
		cfg.RootCAs = server.roots
	}
	for _, c := range change {
		c(&cfg)
	}
	m, err := mailer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parts parses a mail into its header, its plain body and its HTML body.
func parts(t *testing.T, data string) (mail.Header, string, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("got content type %s, error %v", kind, err)
	}
	var bodies []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Fatalf("got transfer encoding %s, want quoted-printable", got)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, part.Header.Get("Content-Type")+"\n"+string(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))))
	}
	if len(bodies) != 2 || !strings.HasPrefix(bodies[0], "text/plain") || !strings.HasPrefix(bodies[1], "text/html") {
		t.Fatalf("got the bodies %q, want plain text and HTML", bodies)
	}
	return m.Header, bodies[0], bodies[1]
}

func decoded(t *testing.T, header string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSend(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	m := newMailer(t, server, jane())
	for range 2 {
		if err := m.Send(t.Context(), server.sender(storage.RequiredTLS), envelope()); err != nil {
			t.Fatal(err)
		}
	}
	mails := server.received()
	if len(mails) != 2 {
		t.Fatalf("got %d mails, want 2", len(mails))
	}
	for _, got := range mails {
		if !got.tls || got.from != "noreply@shop.example" || !cmp.Equal(got.to, []string{"jane@home.example"}) {
			t.Errorf("got the envelope %+v", got)
		}
		header, plain, html := parts(t, got.data)
		want := map[string]string{
			"From": `"Acme Shop" <noreply@shop.example>`, "To": "<jane@home.example>",
			"Subject": "Your one-time password for shop.example", "Message-Id": "<msg_7@shop.example>",
			"Auto-Submitted": "auto-generated", "Date": "Sat, 17 May 2031 12:00:00 +0000", "Bcc": "", "Cc": "",
		}
		for name, value := range want {
			if header.Get(name) != value {
				t.Errorf("%s: got %q, want %q", name, header.Get(name), value)
			}
		}
		for _, body := range []string{plain, html} {
			for _, wanted := range []string{theCode, "shop.example", "jane", "9 minutes", "Only enter this code at"} {
				if !strings.Contains(body, wanted) {
					t.Errorf("no %q in %s", wanted, body)
				}
			}
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := startServer(t, serverOptions{noTLS: true})
	starttls := startServer(t, serverOptions{})
	implicit := startServer(t, serverOptions{implicit: true})
	allowPlain := func(c *mailer.Config) { c.AllowPlaintext = true }
	distrust := func(c *mailer.Config) { c.RootCAs = x509.NewCertPool() }
	tests := []struct {
		name      string
		server    *mailServer
		mode      storage.TLSMode
		change    func(*mailer.Config)
		delivered bool
		permanent bool
	}{
		{"TLS required, not offered", plain, storage.RequiredTLS, nil, false, false},
		{"starttls, not offered", plain, storage.StartTLS, nil, false, false},
		{"TLS mode unset, not offered", plain, "", allowPlain, false, false},
		{"implicit to a plain server", plain, storage.ImplicitTLS, nil, false, false},
		{"plain but not allowed", plain, storage.PlainSMTP, nil, false, true},
		{"plain and allowed", plain, storage.PlainSMTP, allowPlain, true, false},
		{"starttls", starttls, storage.StartTLS, nil, true, false},
		{"implicit", implicit, storage.ImplicitTLS, nil, true, false},
		{"unknown certificate", starttls, storage.RequiredTLS, distrust, false, false},
		{"unknown implicit certificate", implicit, storage.ImplicitTLS, distrust, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(tt.server.received())
			m := newMailer(t, tt.server, jane())
			if tt.change != nil {
				m = newMailer(t, tt.server, jane(), tt.change)
			}
			err := m.Send(t.Context(), tt.server.sender(tt.mode), envelope())
			if (err == nil) != tt.delivered || deliver.IsPermanent(err) != tt.permanent {
				t.Errorf("Send: got %v, permanent %v", err, deliver.IsPermanent(err))
			}
			mails := tt.server.received()[before:]
			if tt.delivered != (len(mails) == 1) {
				t.Fatalf("got %d mails", len(mails))
			}
			if tt.delivered && mails[0].tls == (tt.mode == storage.PlainSMTP) {
				t.Errorf("got TLS: %v", mails[0].tls)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{mustAuth: true})
	m := newMailer(t, server, jane(), func(c *mailer.Config) { c.AllowPlaintext = true })
	sender := server.sender(storage.RequiredTLS)
	if err := m.Send(t.Context(), sender, envelope()); !deliver.IsPermanent(err) {
		t.Errorf("without a password: got %v, want a permanent error", err)
	}
	sender.SMTP.Username, sender.SMTP.Password.Data = "shop", []byte("wrong")
	if err := m.Send(t.Context(), sender, envelope()); !deliver.IsPermanent(err) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: got %v, want a permanent error without it", err)
	}
	sender.SMTP.Password.Data = []byte("right")
	if err := m.Send(t.Context(), sender, envelope()); err != nil {
		t.Errorf("with the password: got %v, want no error", err)
	}
	if mails := server.received(); len(mails) != 1 || mails[0].user != "shop" {
		t.Errorf("got the mails %+v, want one of the user shop", mails)
	}
	open := startServer(t, serverOptions{noTLS: true})
	sender.SMTP.Port, sender.SMTP.TLS = open.port, storage.PlainSMTP
	if err := m.Send(t.Context(), sender, envelope()); !deliver.IsPermanent(err) || open.logins != nil {
		t.Errorf("a password without TLS: got error %v, logins %v; want a permanent error and none", err, open.logins)
	}
}

// TestRefusals tests that a reply 5yz is permanent and a reply 4yz is not (RFC 5321 §4.2.1),
// and that the error contains the reply without the recipient.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		stage     string
		code      int
		permanent bool
	}{
		{"greeting", 421, false},
		{"greeting", 554, true},
		{"mail", 451, false},
		{"mail", 550, true},
		{"rcpt", 450, false},
		{"rcpt", 550, true},
		{"data", 452, false},
		{"data", 554, true},
	}
	for _, tt := range tests {
		server := startServer(t, serverOptions{refuse: refuseAt(tt.stage, tt.code, "no jane@home.example today")})
		err := newMailer(t, server, jane()).Send(t.Context(), server.sender(storage.RequiredTLS), envelope())
		if err == nil || deliver.IsPermanent(err) != tt.permanent {
			t.Errorf("%d at %s: got %v, permanent %v", tt.code, tt.stage, err, deliver.IsPermanent(err))
			continue
		}
		if text := err.Error(); strings.Contains(text, "jane") || !strings.Contains(text, "today") {
			t.Errorf("%d at %s: got %s, want the reply without the recipient", tt.code, tt.stage, text)
		}
		reason, want := deliver.ReasonOf(err).Error(), fmt.Sprint("mail server answered ", tt.code)
		if codes := strings.TrimPrefix(reason, want); !strings.HasPrefix(reason, want) || strings.Trim(codes, " .0123456789") != "" {
			t.Errorf("%d at %s: got the reason %q", tt.code, tt.stage, reason)
		}
		if mails := server.received(); mails != nil {
			t.Errorf("%d at %s: got the mails %v, want none", tt.code, tt.stage, mails)
		}
	}
}

func TestSlowServer(t *testing.T) {
	t.Parallel()
	m := newMailer(t, nil, jane(), func(c *mailer.Config) { c.Timeout = 50 * time.Millisecond })
	err := m.Send(t.Context(), silentServer(t), envelope())
	if !errors.Is(err, context.DeadlineExceeded) || deliver.IsPermanent(err) {
		t.Errorf("no greeting: got %v, want the deadline", err)
	}
	hang := make(chan struct{})
	server := startServer(t, serverOptions{refuse: func(stage string) error {
		if stage == "data" {
			<-hang
		}
		return nil
	}})
	defer close(hang)
	m = newMailer(t, server, jane(), func(c *mailer.Config) { c.AcceptTimeout = 500 * time.Millisecond })
	err = m.Send(t.Context(), server.sender(storage.RequiredTLS), envelope())
	if !errors.Is(err, context.DeadlineExceeded) || deliver.IsPermanent(err) {
		t.Errorf("no answer to the mail: got %v, want the deadline", err)
	}
}

// TestSlowAcceptance tests that a server that accepts a mail slowly gets it once. AcceptTimeout
// limits the time for that, not Timeout.
func TestSlowAcceptance(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{refuse: func(stage string) error {
		if stage == "data" {
			time.Sleep(1200 * time.Millisecond)
		}
		return nil
	}})
	m := newMailer(t, server, jane(), func(c *mailer.Config) { c.Timeout = time.Second })
	err := m.Send(t.Context(), server.sender(storage.RequiredTLS), envelope())
	if mails := server.received(); err != nil || len(mails) != 1 {
		t.Errorf("got error %v, %d mails; want 1", err, len(mails))
	}
}

// TestInternationalAddresses tests that domains are sent in A-labels, in the envelope and in
// the header. SMTPUTF8 is used only if a local part is not ASCII (RFC 6531 §3.2).
func TestInternationalAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		email, from string
		to, sender  string // addresses in the envelope
		utf8        bool
		header      string // To
	}{
		{"jane@home.example", "noreply@shop.example", "jane@home.example", "noreply@shop.example", false, "<jane@home.example>"},
		{"jane@bücher.example", "Büro <noreply@müller.example>", "jane@xn--bcher-kva.example", "noreply@xn--mller-kva.example", false, "<jane@xn--bcher-kva.example>"},
		{"jane@BÜCHER.example", "noreply@shop.example", "jane@xn--bcher-kva.example", "noreply@shop.example", false, "<jane@xn--bcher-kva.example>"},
		{"jane@例え.テスト", "noreply@shop.example", "jane@xn--r8jz45g.xn--zckzah", "noreply@shop.example", false, "<jane@xn--r8jz45g.xn--zckzah>"},
		{"jürgen@home.example", "noreply@shop.example", "jürgen@home.example", "noreply@shop.example", true, "<jürgen@home.example>"},
		{"jürgen@bücher.example", "noreply@shop.example", "jürgen@xn--bcher-kva.example", "noreply@shop.example", true, "<jürgen@xn--bcher-kva.example>"},
		{"jane@home.example", "büro@shop.example", "jane@home.example", "büro@shop.example", true, "<jane@home.example>"},
	} {
		for _, offered := range []bool{true, false} {
			server := startServer(t, serverOptions{noUTF8: !offered})
			user, sender := jane(), server.sender(storage.RequiredTLS)
			user.Email, sender.SMTP.From = test.email, test.from
			err := newMailer(t, server, user).Send(t.Context(), sender, envelope())
			mails := server.received()
			if test.utf8 && !offered {
				if !deliver.IsPermanent(err) || !strings.Contains(err.Error(), "SMTPUTF8") || mails != nil {
					t.Errorf("%s without SMTPUTF8: got error %v, mails %v", test.email, err, mails)
				}
				continue
			}
			if err != nil || len(mails) != 1 {
				t.Errorf("%s: got error %v, mails %v; want one", test.email, err, mails)
				continue
			}
			mail := mails[0]
			if mail.from != test.sender || mail.to[0] != test.to || mail.utf8 != test.utf8 {
				t.Errorf("%s: got the envelope %q to %q, SMTPUTF8 %v", test.email, mail.from, mail.to, mail.utf8)
			}
			if header, _, _ := parts(t, mail.data); header.Get("To") != test.header {
				t.Errorf("%s: got To: %s", test.email, header.Get("To"))
			}
		}
	}
	server := startServer(t, serverOptions{})
	user := jane()
	user.Email = "jane@xn--a.ü" // not a valid label
	err := newMailer(t, server, user).Send(t.Context(), server.sender(storage.RequiredTLS), envelope())
	if !deliver.IsPermanent(err) {
		t.Errorf("invalid domain: got %v, want a permanent error", err)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	for name, change := range map[string]func(*storage.User){
		"no address":          func(u *storage.User) { u.Email = "" },
		"not an address":      func(u *storage.User) { u.Email = "jane" },
		"two addresses":       func(u *storage.User) { u.Email = "a@home.example, b@home.example" },
		"name and address":    func(u *storage.User) { u.Email = "Jane <a@home.example>" },
		"header in address":   func(u *storage.User) { u.Email = "a@home.example\r\nBcc: eve@attacker.example" },
		"command in address":  func(u *storage.User) { u.Email = "a@home.example>\r\nRCPT TO:<eve@attacker.example" },
		"disabled":            func(u *storage.User) { u.Active = false },
		"deleted":             func(u *storage.User) { u.UID = "usr_2" },
		"address in brackets": func(u *storage.User) { u.Email = "<a@home.example>" },
	} {
		user := jane()
		change(&user)
		err := newMailer(t, server, user).Send(t.Context(), server.sender(storage.RequiredTLS), envelope())
		if !deliver.IsPermanent(err) || strings.Contains(err.Error(), "home.example") {
			t.Errorf("%s: got %v, want a permanent error without the address", name, err)
		}
	}
	if mails := server.received(); mails != nil {
		t.Errorf("got the mails %v, want none", mails)
	}
	unavailable := newMailer(t, server, jane(), func(c *mailer.Config) {
		c.User = func(context.Context, string) (storage.User, error) { return storage.User{}, storage.ErrUnavailable }
	})
	if err := unavailable.Send(t.Context(), server.sender(storage.RequiredTLS), envelope()); err == nil || deliver.IsPermanent(err) {
		t.Errorf("database not available: got %v, want an error that is not permanent", err)
	}
}

func TestForbiddenAddresses(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	m := newMailer(t, server, jane(), func(c *mailer.Config) { c.Allow = nil })
	for _, host := range []string{"127.0.0.1", "localhost", "::1", "169.254.169.254", "10.0.0.1"} {
		sender := server.sender(storage.RequiredTLS)
		sender.SMTP.Host = host
		if err := m.Send(t.Context(), sender, envelope()); !deliver.IsPermanent(err) {
			t.Errorf("%s: got %v, want a permanent error", host, err)
		}
	}
	if mails := server.received(); mails != nil {
		t.Errorf("got the mails %v, want none", mails)
	}
}

// TestInjection tests that a username or a site name cannot inject headers, HTML, template
// actions or SMTP commands.
func TestInjection(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	m := newMailer(t, server, jane())
	for _, name := range []string{
		"bob\r\nBcc: eve@attacker.example", "bob\nSubject: urgent", "{{.Code}} {{printf \"%s\" .Site}}", "{{", "<script>alert(1)</script>",
		"\r\n.\r\nMAIL FROM:<eve@attacker.example>", "=?utf-8?q?=0D=0ABcc:_eve@attacker.example?=", "a\u202eb\u2028c\x00", `"><img src=x>`,
	} {
		before := len(server.received())
		e := envelope()
		e.Username = name
		sender := server.sender(storage.RequiredTLS)
		sender.SMTP.SiteName = name // the subject contains it
		if err := m.Send(t.Context(), sender, e); err != nil {
			t.Errorf("%q: got %v, want no error", name, err)
			continue
		}
		mails := server.received()[before:]
		if len(mails) != 1 || len(mails[0].to) != 1 {
			t.Errorf("%q: got the mails %+v, want one", name, mails)
			continue
		}
		header, plain, html := parts(t, mails[0].data)
		var names []string
		for h := range header {
			names = append(names, h)
		}
		if len(names) != 8 || len(header["Subject"]) != 1 || header.Get("Bcc") != "" { // those of TestSend, Mime-Version and Content-Type
			t.Errorf("%q: got the headers %v", name, names)
		}
		if subject := decoded(t, header.Get("Subject")); !strings.HasPrefix(subject, "Your one-time password for ") || strings.ContainsAny(subject, "\r\n") {
			t.Errorf("%q: got the subject %q", name, subject)
		}
		if strings.Contains(html, "<script") || strings.Contains(html, "<img") || strings.Contains(name, "{{.Code}}") && strings.Count(plain, theCode) != 1 {
			t.Errorf("%q: got %s\n%s", name, plain, html)
		}
		if strings.ContainsAny(plain, "\u202e\u2028\x00") || strings.Contains(plain, "\nBcc") || strings.Contains(plain, "\nSubject") {
			t.Errorf("%q: got %s", name, plain)
		}
	}
}

func TestLocale(t *testing.T) {
	t.Parallel()
	server := startServer(t, serverOptions{})
	for locale, want := range map[string]string{
		"": "Your one-time password for shop.example", "fr": "Your one-time password for shop.example",
		"de": "Ihr Einmalkennwort für shop.example", "de-AT": "Ihr Einmalkennwort für shop.example",
		"DE_ch": "Ihr Einmalkennwort für shop.example", "../../etc": "Your one-time password for shop.example",
	} {
		before := len(server.received())
		user := jane()
		user.Locale = locale
		if err := newMailer(t, server, user).Send(t.Context(), server.sender(storage.RequiredTLS), envelope()); err != nil {
			t.Fatal(err)
		}
		header, plain, html := parts(t, server.received()[before].data)
		if got := decoded(t, header.Get("Subject")); got != want {
			t.Errorf("%q: got the subject %q, want %q", locale, got, want)
		}
		if !strings.Contains(plain, theCode) || !strings.Contains(html, theCode) {
			t.Errorf("%q: got no code in %s\n%s", locale, plain, html)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if m, err := mailer.New(mailer.Config{}); err == nil || m != nil {
		t.Errorf("New: got %v, error %v; want an error", m, err)
	}
}
