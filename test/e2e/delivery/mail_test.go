package delivery

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// receivedMail is a mail as a mail server received it.
type receivedMail struct {
	to      []string
	user    string // authenticated user
	tls     bool
	header  netmail.Header
	subject string
	plain   string
	html    string
}

// mailServer is a real SMTP server, with one port for STARTTLS and one for implicit TLS.
type mailServer struct {
	t              *testing.T
	certificate    string // file of the certificate
	starttls, smtp int    // ports
	mails          chan receivedMail
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	m := &mailServer{t: t, mails: make(chan receivedMail, 100), certificate: filepath.Join(t.TempDir(), "roots.pem")}
	certified := httptest.NewUnstartedServer(nil) // this server has a certificate for 127.0.0.1
	certified.StartTLS()
	t.Cleanup(certified.Close)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	if err := os.WriteFile(m.certificate, root, 0o600); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: certified.TLS.Certificates}
	m.starttls = m.listen(config, func(l net.Listener) net.Listener { return l })
	m.smtp = m.listen(nil, func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
	return m
}

func (m *mailServer) listen(config *tls.Config, wrap func(net.Listener) net.Listener) (port int) {
	m.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	server := smtp.NewServer(m)
	server.Domain, server.TLSConfig = "mail.test", config
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(wrap(listener))
	}()
	m.t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // Serve may not have passed it to the server yet
		<-ended
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// NewSession implements smtp.Backend.
func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: m, conn: c}, nil
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   receivedMail
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if password != kit.MailPassword {
			return smtp.ErrAuthFailed
		}
		s.mail.user = username
		return nil
	}), nil
}

func (s *mailSession) Reset() {}

func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if s.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return nil
}

// Data parses the mail.
func (s *mailSession) Data(r io.Reader) error {
	message, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	s.mail.header = message.Header
	if s.mail.subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for _, body := range []*string{&s.mail.plain, &s.mail.html} {
		part, err := parts.NextRawPart()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			return err
		}
		*body = string(text)
	}
	_, s.mail.tls = s.conn.TLSConnectionState()
	s.server.mails <- s.mail
	return nil
}

// next waits for a mail to one address, which must have been sent over TLS.
func (m *mailServer) next(t *testing.T, to string) receivedMail {
	t.Helper()
	select {
	case mail := <-m.mails:
		if !mail.tls || mail.user != "shop" || !slices.Equal(mail.to, []string{to}) {
			t.Fatalf("got a mail by %q with TLS %v to %q, want %s", mail.user, mail.tls, mail.to, to)
		}
		return mail
	case <-time.After(30 * time.Second):
		t.Fatal("got no mail in 30s")
		return receivedMail{}
	}
}

// sendBy makes mail the only way of messages.
func sendBy(a *kit.OneServer, port int, mode string) {
	a.T.Helper()
	a.ApplyObject(kit.Object{"MessageSenders": []kit.Object{
		{"ID": "sink", "Name": "Sink", "Kind": "webhook", "MessageTypes": []string{"OrderSubmitted"}, "URL": a.Inbox.URL, "SharedKey": kit.SharedKey},
		{
			"ID": "mail", "Name": "Mail", "Kind": "smtp", "MessageTypes": []string{"OneTimePassword", "ForgottenPassword"}, "AllowAllBuyers": true,
			"SMTP": kit.Object{
				"Host": "127.0.0.1", "Port": port, "TLS": mode, "From": "Shop <noreply@shop.example>", "SiteName": "shop.example",
				"Username": "shop", "Password": kit.MailPassword,
			},
		},
	}})
}

// TestMail tests that a server sends codes by SMTP, with STARTTLS and implicit TLS.
func TestMail(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		m := newMailServer(t)
		a := kit.NewOneServer(w)
		a.Server.Stop()
		a.AddUsersTo("acme", func(user kit.Object) { user["Locale"] = "de-AT" }, "grete")
		a.AddUsersWithoutPassword("eve")
		sendBy(a, m.starttls, "required")
		r := kit.TryCommand(t, append(a.Environ(), "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8"), "sender", "test", "mail", "--to", "jane@example.com")
		if r.ExitCode == 0 || !strings.Contains(r.Stderr, "certificate") || len(m.mails) != 0 {
			t.Errorf("an unknown certificate: got %d %s", r.ExitCode, r.Stderr)
		}
		n := a.StartProcess("SSL_CERT_FILE="+m.certificate, "LATCHKEY_RENEWAL_ORIGINS=https://shop.example", "LATCHKEY_LOG_LEVEL=trace").Server
		secrets := []string{mailedCode(a, t, n, m), germanCode(a, t, n, m), injected(a, t, n, m)}
		sendBy(a, m.smtp, "implicit")
		secrets = append(secrets, mailedRenewal(a, t, n, m))
		for name, verified := range map[string]string{"jane": "jane@example.com", "john": "doe@example.com"} {
			if got := a.QueryOne("SELECT verified_email FROM users WHERE id = '" + name + "'"); got != verified {
				t.Errorf("%s: got the verified address %q, want %q", name, got, verified)
			}
		}
		for place, content := range a.StoredBytes() {
			for _, secret := range append(secrets, kit.MailPassword) {
				kit.SearchFor(t, place, content, "code", secret)
				kit.SearchFor(t, "log", []byte(a.Log.String()), "code", secret)
			}
		}
	})
}

// mailedCode requests a code for jane and returns the code of the mail.
func mailedCode(a *kit.OneServer, t *testing.T, n *kit.Server, m *mailServer) (code string) {
	t.Helper()
	if got := n.RequestCode("jane", ""); got.Status != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", got.Status, got.Body)
	}
	mail := m.next(t, "jane@example.com")
	if mail.subject != "Your one-time password for shop.example" || !strings.Contains(mail.plain, "Only enter this code at shop.example") {
		t.Errorf("got %q: %s", mail.subject, mail.plain)
	}
	code = codeIn(t, mail)
	kit.MustIssue(t, "code from the mail", n.SignIn("jane", code))
	return code
}

// codeIn returns the code of a mail, which is on its own line.
func codeIn(t *testing.T, mail receivedMail) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^    (\S+)\r?$`).FindStringSubmatch(mail.plain)
	if found == nil || !strings.Contains(mail.html, found[1]) {
		t.Fatalf("got no code in %s\n%s", mail.plain, mail.html)
	}
	return found[1]
}

// germanCode does the same for Grete, whose language is Austrian German.
func germanCode(a *kit.OneServer, t *testing.T, n *kit.Server, m *mailServer) (code string) {
	t.Helper()
	n.RequestCodeThrough("kiosk", "grete", "")
	mail := m.next(t, "grete@people.example")
	if mail.subject != "Ihr Einmalkennwort für shop.example" || !strings.Contains(mail.plain, "Minuten lang") {
		t.Errorf("got %q: %s", mail.subject, mail.plain)
	}
	code = codeIn(t, mail)
	kit.MustIssue(t, "code from the mail", n.SignInThrough("kiosk", "grete", code))
	return code
}

// injected does the same for Eve, whose username contains markup and header lines. apply would
// refuse that name, so it is written directly to the store.
func injected(a *kit.OneServer, t *testing.T, n *kit.Server, m *mailServer) (code string) {
	t.Helper()
	const lines = "\r\nBcc: victim@example.com\r\nSubject: mine\r\n\r\n"
	l, ctx := a.Login("eve"), t.Context()
	l.Username = "eve" + lines + `{{.Code}} <script>alert("eve")</script> =?utf-8?q?=0D=0ABcc:_victim@example.com?=`
	_, err := a.App.Store.PutLogin(ctx, l)
	a.Must(err)
	u, err := a.App.Store.UserByUID(ctx, l.UserUID)
	a.Must(err)
	u.FirstName, u.LastName, u.Name = "Eve"+lines, lines, lines
	_, err = a.App.Store.PutUser(ctx, u)
	a.Must(err)
	n.RequestCodeThrough("kiosk", "eve", "")
	mail := m.next(t, "eve@people.example")
	var names []string
	for name := range mail.header {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if mail.subject != "Your one-time password for shop.example" || mail.header.Get("To") != "<eve@people.example>" {
		t.Errorf("got the mail %q to %s", mail.subject, mail.header.Get("To"))
	}
	if !strings.Contains(mail.plain, "{{.Code}}") || strings.Contains(mail.html, "<script>") || strings.Contains(mail.plain, "\nBcc:") {
		t.Errorf("got the bodies %s\n%s", mail.plain, mail.html)
	}
	code = codeIn(t, mail)
	kit.MustIssue(t, "code from the mail", n.SignInThrough("kiosk", "eve", code))
	return code
}

// mailedRenewal renews a password with a code from a mail that links to the page of the
// request, which the settings trust.
func mailedRenewal(a *kit.OneServer, t *testing.T, n *kit.Server, m *mailServer) (code string) {
	t.Helper()
	if got := n.RequestRenewal("john"); got.Status != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", got.Status, got.Body)
	}
	mail := m.next(t, "doe@example.com")
	if mail.subject != "Renew your password for shop.example" || !strings.Contains(mail.plain, "https://shop.example/renew") {
		t.Errorf("got %q: %s", mail.subject, mail.plain)
	}
	found := regexp.MustCompile(`(?m)^ *([A-Za-z0-9_-]{24})\r?$`).FindStringSubmatch(mail.plain)
	if found == nil {
		t.Fatalf("got no code in %s", mail.plain)
	}
	if got := n.RenewPassword(found[1], "john", kit.NextPassword); got.Status != http.StatusNoContent {
		t.Fatalf("renewal: got %d %s, want 204", got.Status, got.Body)
	}
	kit.MustIssue(t, "new password", n.SignIn("john", kit.NextPassword))
	return found[1]
}
