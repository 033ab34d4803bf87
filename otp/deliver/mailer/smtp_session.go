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
	"latchkey/otp/domain"
	"latchkey/storage"
)

// implicitPort is the port of SMTP with implicit TLS (RFC 8314 §3.3).
const implicitPort = 465

const (
	maxReply = 160         // bytes logged of a server's reply
	quitTime = time.Second // limit of the command QUIT
)

// session is one SMTP session (RFC 5321 §3.1).
type session struct {
	settings storage.SMTPSettings
	password string
	hello    string // host name of the command EHLO
	dialer   *net.Dialer
	tls      *tls.Config

	accepting func() // called before the mail itself is sent
}

// mailing is a mail with its envelope. The domains of both addresses are ASCII.
type mailing struct {
	from, to *mail.Address
	message  *gomail.Msg
}

// needsUTF8 reports whether the mail needs SMTPUTF8 (RFC 6531) because the local part of
// an address is not ASCII. The header contains both addresses as well.
func (m mailing) needsUTF8() bool {
	return !domain.IsASCII(m.from.Address) || !domain.IsASCII(m.to.Address)
}

// session prepares a session with the mail server of the settings.
func (m *Mailer) session(settings storage.SMTPSettings, password string, from *mail.Address) (session, error) {
	host, err := domain.ToASCII(settings.Host)
	if err != nil {
		return session{}, deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the sender's Host is not a valid name"), err))
	}
	settings.Host = host
	return session{
		settings: settings, password: password, hello: domainOf(from), dialer: m.dialer,
		tls: &tls.Config{ServerName: host, RootCAs: m.cfg.RootCAs, MinVersion: tls.VersionTLS12},
	}, nil
}

// send connects and sends the mail. It ends when ctx ends, at any step.
func (s session) send(ctx context.Context, m mailing) error {
	raw, err := s.dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.settings.Host, strconv.Itoa(s.settings.Port)))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = raw.Close() }() // after QUIT an error does not matter
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	err = s.run(ctx, raw, m)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("the mail server took too long: %w", context.Cause(ctx)) // instead of "use of closed connection"
	}
	return err
}

// run does the steps of the session over the connection.
func (s session) run(ctx context.Context, raw net.Conn, m mailing) error {
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
	// The server has accepted the mail, so an error of QUIT does not matter.
	if client.UpdateDeadline(quitTime) == nil {
		_ = client.Quit()
	}
	return nil
}

// deliver sends the envelope and the mail. It returns nil once the server has accepted
// the mail.
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

// open starts the session: TLS, greeting, EHLO and STARTTLS, as the settings say.
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

// implicit reports whether TLS starts with the connection (RFC 8314 §3.3).
func (s session) implicit() bool {
	return s.settings.TLS == storage.ImplicitTLS || s.settings.TLS != storage.StartTLS &&
		s.settings.TLS != storage.PlainSMTP && s.settings.Port == implicitPort
}

// authenticate authenticates if the sender has a username. It never sends a password
// without TLS, whatever the settings say.
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
	return deliver.Permanent(deliver.Reason("the mail server offers neither PLAIN nor LOGIN"))
}

// sendError returns the error of an attempt, marked as permanent for a reply 5yz (RFC
// 5321 §4.2.1) and for a forbidden address. The text is logged, so it leaves out the
// private texts, which identify the recipient. The Reason contains the codes of the
// server's reply, not its text.
func sendError(err error, private ...string) error {
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
	replied := fmt.Errorf("%w: %s", replyReason(reply), loggable(reply.Msg, private))
	if reply.Code >= 500 {
		return deliver.Permanent(replied)
	}
	return replied
}

// enhancedCode matches the enhanced status code at the beginning of a reply (RFC
// 3463 §2).
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// replyReason returns the Reason with the codes of a reply.
func replyReason(reply *textproto.Error) deliver.Reason {
	text := "mail server answered " + strconv.Itoa(reply.Code)
	if enhanced := enhancedCode.FindString(reply.Msg); enhanced != "" {
		text += " " + enhanced
	}
	return deliver.Reason(text)
}

// loggable returns the text of a server on one line, shortened, and without the private
// texts.
func loggable(text string, private []string) string {
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
