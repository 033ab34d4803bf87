package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"regexp"
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
	quitTime = time.Second // that the command QUIT may take
)

// session is what one conversation with a mail server needs.
type session struct {
	settings storage.SMTPSettings
	password string
	hello    string // as what we present ourselves
	dialer   *net.Dialer
	tls      *tls.Config

	accepting func() // called before the mail itself is sent
}

// mailing is a mail with its envelope. The domains of both addresses are ASCII.
type mailing struct {
	from, to *mail.Address
	message  *gomail.Msg
}

// needsUTF8 reports whether the mail can only be sent with SMTPUTF8 (RFC 6531):
// whether a local part is not ASCII. Such an address is in the header as well.
func (m mailing) needsUTF8() bool { return !isASCII(m.from.Address) || !isASCII(m.to.Address) }

func (m *Mailer) session(settings storage.SMTPSettings, password string, from *mail.Address) (session, error) {
	host, err := asciiHost(settings.Host)
	if err != nil {
		return session{}, deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the sender's Host is not a valid name"), err))
	}
	settings.Host = host
	return session{
		settings: settings, password: password, hello: domain(from), dialer: m.dialer,
		tls: &tls.Config{ServerName: host, RootCAs: m.cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}, nil
}

// send holds the conversation. It is over when ctx ends, wherever it stands.
func (s session) send(ctx context.Context, m mailing) error {
	raw, err := s.dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.settings.Host, strconv.Itoa(s.settings.Port)))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = raw.Close() }() // after a QUIT there is nothing to lose
	hangUp := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer hangUp()
	err = s.talk(ctx, raw, m)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("the mail server took too long: %w", context.Cause(ctx)) // rather than "use of closed connection"
	}
	return err
}

func (s session) talk(ctx context.Context, raw net.Conn, m mailing) error {
	client, err := s.open(ctx, raw)
	if err != nil {
		return err
	}
	if err := s.authenticate(client); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	if err := s.deliver(client, m); err != nil {
		return err
	}
	// An error after the server took the mail does not undo that.
	if client.UpdateDeadline(quitTime) == nil {
		_ = client.Quit()
	}
	return nil
}

// deliver sends the envelope and the mail, and returns nil once the server has
// taken it.
func (s session) deliver(client *smtp.Client, m mailing) error {
	client.SkipSMTPUTF8(!m.needsUTF8())
	if offered, _ := client.Extension("SMTPUTF8"); m.needsUTF8() && !offered {
		return deliver.Permanent(deliver.Reason("the mail server does not accept addresses with non-ASCII characters before the @ (no SMTPUTF8)"))
	}
	if err := client.Mail((&mail.Address{Address: m.from.Address}).String()); err != nil {
		return err
	}
	if err := client.Rcpt((&mail.Address{Address: m.to.Address}).String()); err != nil {
		return err
	}
	s.accepting()
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := m.message.WriteTo(body); err != nil {
		return err
	}
	return body.Close()
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
		return nil, deliver.Reason("the mail server offers no TLS, which the sender requires")
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
		return deliver.Permanent(deliver.Reason("a password is not sent without TLS"))
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
	return deliver.Permanent(deliver.Reason("the mail server takes neither PLAIN nor LOGIN"))
}

// judge decides what an attempt's end means and cuts from the text who the
// recipient is: it is logged. The Reason has the codes of the server's reply, not
// its words.
func judge(err error, private ...string) error {
	if err == nil {
		return nil
	}
	if deliver.IsPermanent(err) {
		return err
	}
	if deliver.IsForbiddenAddress(err) {
		return deliver.Permanent(err)
	}
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return err
	}
	said := fmt.Errorf("%w: %s", replyReason(reply), presentable(reply.Msg, private))
	if reply.Code >= 500 {
		return deliver.Permanent(said)
	}
	return said
}

// enhancedCode matches the enhanced status code at the beginning of a reply (RFC
// 3463 §2).
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

func replyReason(reply *textproto.Error) deliver.Reason {
	said := "mail server answered " + strconv.Itoa(reply.Code)
	if enhanced := enhancedCode.FindString(reply.Msg); enhanced != "" {
		said += " " + enhanced
	}
	return deliver.Reason(said)
}

// presentable returns a server's words on one line, short, and without what is
// private.
func presentable(text string, private []string) string {
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
