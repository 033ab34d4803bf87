package mailer_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"latchkey/storage"
)

// received is a mail that a test server accepted.
type received struct {
	from string
	to   []string
	data string
	tls  bool
	utf8 bool // sent with SMTPUTF8
	user string
}

// mailServer is an SMTP server on a free port. It keeps the mails that it accepts.
type mailServer struct {
	port  int
	roots *x509.CertPool

	refuse   func(stage string) error // optional; a stage is greeting, mail, rcpt or data
	mustAuth bool

	mu     sync.Mutex
	mails  []received
	logins []string // user:password
}

type serverOptions struct {
	noTLS, implicit, mustAuth, noUTF8 bool

	refuse func(stage string) error
}

func startServer(t *testing.T, o serverOptions) *mailServer {
	t.Helper()
	m := &mailServer{refuse: o.refuse, mustAuth: o.mustAuth, roots: x509.NewCertPool()}
	certified := httptest.NewUnstartedServer(nil) // this server has a certificate for 127.0.0.1
	certified.StartTLS()
	t.Cleanup(certified.Close)
	m.roots.AddCert(certified.Certificate())
	server := smtp.NewServer(m)
	server.Domain = "mail.test"
	server.ErrorLog = discard{}
	server.EnableSMTPUTF8 = !o.noUTF8
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	config := &tls.Config{Certificates: certified.TLS.Certificates}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = listener.Addr().(*net.TCPAddr).Port
	switch {
	case o.implicit:
		listener = tls.NewListener(listener, config)
	case !o.noTLS:
		server.TLSConfig = config
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // Serve may not have passed it to the server yet
		<-done
	})
	return m
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	if err := m.refusal("greeting"); err != nil {
		return nil, err
	}
	return &smtpSession{server: m, conn: c}, nil
}

func (m *mailServer) refusal(stage string) error {
	if m.refuse == nil {
		return nil
	}
	return m.refuse(stage)
}

func (m *mailServer) received() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]received(nil), m.mails...)
}

// smtpSession is a session of a mailServer.
type smtpSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   received
}

func (c *smtpSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.logins = append(c.server.logins, username+":"+password)
		if password != "right" {
			return smtp.ErrAuthFailed
		}
		c.mail.user = username
		return nil
	}), nil
}

func (c *smtpSession) Reset()        {}
func (c *smtpSession) Logout() error { return nil }

func (c *smtpSession) Mail(from string, o *smtp.MailOptions) error {
	c.mail.utf8 = o.UTF8
	if c.server.mustAuth && c.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	c.mail.from = from
	return c.server.refusal("mail")
}

func (c *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.mail.to = append(c.mail.to, to)
	return c.server.refusal("rcpt")
}

func (c *smtpSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.server.refusal("data"); err != nil {
		return err
	}
	_, c.mail.tls = c.conn.TLSConnectionState()
	c.mail.data = string(body)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.mails = append(c.server.mails, c.mail)
	return nil
}

// refuseAt returns a refuse function that replies with the code at one stage.
func refuseAt(stage string, code int, text string) func(string) error {
	return func(current string) error {
		if current != stage {
			return nil
		}
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
	}
}

// sender returns a message sender that uses the server.
func (m *mailServer) sender(mode storage.TLSMode) storage.Sender {
	return storage.Sender{ID: "mail", Kind: storage.SMTPSender, SMTP: storage.SMTPSettings{
		Host: "127.0.0.1", Port: m.port, TLS: mode, From: "Acme Shop <noreply@shop.example>",
	}}
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// silentServer starts a server that accepts connections and never sends anything.
func silentServer(t *testing.T) storage.Sender {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return (&mailServer{port: number}).sender(storage.RequiredTLS)
}
