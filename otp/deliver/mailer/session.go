package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// implicitPort is that of SMTP over TLS (RFC 8314 §3.3).
const implicitPort = 465

const (
	maxReply = 160         // bytes kept of a server's words
	quitTime = time.Second // that a farewell may take
	farOff   = time.Hour
)

// session is what one conversation with a mail server needs.
type session struct {
	settings storage.SMTPSettings
	password string
	hello    string // as what we present ourselves
	dialer   *net.Dialer
	tls      *tls.Config
}

func (m *Mailer) session(settings storage.SMTPSettings, password string, from *mail.Address) session {
	return session{
		settings: settings, password: password, hello: domain(from), dialer: m.dialer,
		tls: &tls.Config{ServerName: settings.Host, RootCAs: m.cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}
}

// send holds the conversation. It is over when ctx ends, wherever it stands.
func (s session) send(ctx context.Context, message *gomail.Msg) error {
	raw, err := s.dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.settings.Host, strconv.Itoa(s.settings.Port)))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = raw.Close() }() // after a QUIT there is nothing to lose
	hangUp := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer hangUp()
	err = s.talk(ctx, raw, message)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("the mail server took too long: %w", ctx.Err()) // rather than "use of closed connection"
	}
	return err
}

func (s session) talk(ctx context.Context, raw net.Conn, message *gomail.Msg) error {
	client, err := s.open(ctx, raw)
	if err != nil {
		return err
	}
	if err := s.authenticate(client); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	// The end of ctx hangs up first.
	carrier, err := gomail.NewClient(s.settings.Host, gomail.WithTimeout(farOff), gomail.WithHELO(s.hello), gomail.WithoutNoop(), gomail.WithoutRset())
	if err != nil {
		return err
	}
	// What goes wrong after the server took the mail does not undo that.
	if err := carrier.SendWithSMTPClient(client, message); err != nil && !message.IsDelivered() {
		return err
	}
	if client.UpdateDeadline(quitTime) == nil {
		_ = client.Quit()
	}
	return nil
}

// open greets the server and encrypts the connection.
func (s session) open(ctx context.Context, raw net.Conn) (*smtp.Client, error) {
	conn := raw
	if s.implicit() {
		secure := tls.Client(raw, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, s.settings.Host)
	if err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if err := client.Hello(s.hello); err != nil {
		return nil, fmt.Errorf("EHLO: %w", err)
	}
	if s.implicit() || s.settings.TLS == storage.PlainSMTP {
		return client, nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return nil, errors.New("the mail server offers no TLS, which the sender requires")
	}
	if err := client.StartTLS(s.tls); err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	return client, nil
}

func (s session) implicit() bool {
	return s.settings.TLS == storage.ImplicitTLS || s.settings.TLS != storage.StartTLS &&
		s.settings.TLS != storage.PlainSMTP && s.settings.Port == implicitPort
}

// authenticate does so where the sender has a user name, and never in the
// clear, whatever the settings say.
func (s session) authenticate(client *smtp.Client) error {
	if s.settings.Username == "" {
		return nil
	}
	if s.settings.TLS == storage.PlainSMTP {
		return deliver.Permanent(errors.New("a password is not sent without TLS"))
	}
	_, offered := client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	for _, mechanism := range mechanisms {
		switch mechanism {
		case "PLAIN":
			return client.Auth(smtp.PlainAuth("", s.settings.Username, s.password, s.settings.Host, false))
		case "LOGIN":
			return client.Auth(smtp.LoginAuth(s.settings.Username, s.password, s.settings.Host, false))
		}
	}
	return deliver.Permanent(errors.New("the mail server takes neither PLAIN nor LOGIN"))
}

// judge decides what an attempt's end means and cuts from the text who the
// recipient is: it is kept and logged.
func judge(err error, private ...string) error {
	if err == nil {
		return nil
	}
	if deliver.IsPermanent(err) {
		return err
	}
	if deliver.Forbidden(err) {
		return deliver.Permanent(err)
	}
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		if failure, isSend := errors.AsType[*gomail.SendError](err); isSend {
			return refusal(failure, private)
		}
		return err
	}
	said := fmt.Errorf("mail server answered %d %s", reply.Code, presentable(reply.Msg, private))
	if reply.Code >= 500 {
		return deliver.Permanent(said)
	}
	return said
}

// refusal judges a reply to a mail. go-mail keeps the server's words in its
// own text, together with the addresses.
func refusal(failure *gomail.SendError, private []string) error {
	said := errors.New(presentable(failure.Error(), private))
	if code := failure.ErrorCode(); code != 0 {
		said = fmt.Errorf("mail server answered %d: %s", code, presentable(failure.Error(), private))
		if code >= 500 {
			return deliver.Permanent(said)
		}
	}
	return said
}

// presentable returns a server's words on one line, short, and without what is
// private.
func presentable(text string, private []string) string {
	text, _, _ = strings.Cut(text, ", affected recipient(s)")
	text, _, _ = strings.Cut(text, ", affected message ID")
	for _, word := range private {
		if len(word) > 2 {
			text = strings.ReplaceAll(text, word, "[recipient]")
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxReply)], "")
}
