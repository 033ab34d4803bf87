package mailer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

const (
	defaultTimeout       = 12 * time.Second
	defaultAcceptTimeout = 65 * time.Second
	maxURL               = 2000 // bytes
)

// Config is what a Mailer needs. User, Password and Templates are required.
type Config struct {
	// User returns the user of that UID, or storage.ErrNotFound.
	User func(ctx context.Context, uid string) (storage.User, error)
	// Password opens a sender's password.
	Password  func(storage.Sealed) (string, error)
	Templates *Templates
	// TrustURL tells whether users of the realm may be sent to a URL that
	// whoever forgot a password gave. Anybody can ask for such a mail, and with
	// a URL of theirs beside a real code it would be a perfect trap; a mail does
	// without a URL that is not trusted. Nil: none is. The URLs of invitations
	// are the administrators' and are always shown.
	TrustURL func(ctx context.Context, realmID, url string) (bool, error)
	// SiteName is what mails call the site unless the sender has a name of its
	// own.
	SiteName string
	// Allow lists the private, loopback and other special-purpose addresses
	// that may be called nevertheless.
	Allow []netip.Prefix
	// AllowPlaintext lets senders that ask for it send without TLS.
	AllowPlaintext bool
	// RootCAs verify the servers' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Timeout limits an attempt up to the command DATA; 0 means 12 s.
	Timeout time.Duration
	// AcceptTimeout limits the rest of the attempt, in which the server reads,
	// checks and stores the mail; 0 means 65 s. A server that is given up on may
	// deliver the mail all the same, so a short limit means second copies (RFC
	// 5321 §4.5.3.2). A Worker allows an attempt 90 s in all.
	AcceptTimeout time.Duration
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
	Now      func() time.Time // nil: time.Now
}

// Mailer is the deliver.Transport of senders of kind smtp.
type Mailer struct {
	cfg    Config
	dialer *net.Dialer
}

// New returns a Mailer. It fails if a required field is missing or a prefix of
// Allow is invalid.
func New(cfg Config) (*Mailer, error) {
	if cfg.User == nil || cfg.Password == nil || cfg.Templates == nil {
		return nil, errors.New("mailer: User, Password and Templates are required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.AcceptTimeout <= 0 {
		cfg.AcceptTimeout = defaultAcceptTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	dialer, err := deliver.GuardedDialer(cfg.Allow, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	dialer.Resolver = cfg.Resolver
	return &Mailer{cfg: cfg, dialer: dialer}, nil
}

// Send implements deliver.Transport. Every attempt for a message has the same
// Message-ID, which is made of the message's id. These end the message: a reply
// of the class 5yz, a recipient without an address, a forbidden server, plain
// text where it is not allowed, and an address with a non-ASCII local part where
// the server does not offer SMTPUTF8 (RFC 6531). All else is tried again.
func (m *Mailer) Send(ctx context.Context, sender storage.Sender, e deliver.Envelope) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(m.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	if sender.SMTP.TLS == storage.PlainSMTP && !m.cfg.AllowPlaintext {
		return deliver.Permanent(deliver.Reason("mail without TLS is not allowed on this server"))
	}
	from, err := parseAddress(sender.SMTP.From)
	if err != nil {
		return deliver.Permanent(deliver.Reason("the sender's From is not an e-mail address"))
	}
	to, locale, err := m.recipient(ctx, e)
	if err != nil {
		return err
	}
	data, err := m.data(ctx, sender, e)
	if err != nil {
		return err
	}
	text, err := m.cfg.Templates.Render(e.Message.Type, locale, data)
	if err != nil {
		return deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the mail template fails"), err))
	}
	password := ""
	if sender.SMTP.Username != "" {
		if password, err = m.cfg.Password(sender.SMTP.Password); err != nil {
			return fmt.Errorf("%w: message sender %s: %w", deliver.Reason("the password of the message sender cannot be opened"), sender.ID, err)
		}
	}
	s, err := m.session(sender.SMTP, password, from)
	if err != nil {
		return err
	}
	s.accepting = func() { timer.Reset(m.cfg.AcceptTimeout) }
	err = s.send(ctx, mailing{from: from, to: to, message: compose(from, to, e.Message.ID, m.cfg.Now(), text)})
	return judge(err, to.Address, e.Username)
}

// parseAddress reads an address with or without a name in front.
func parseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errors.New("not an e-mail address") // the cause quotes the address
	}
	return asciiAddress(a)
}

// recipient returns the user's address and locale. News of a changed address goes
// to the former one. Errors name no address: they are kept.
func (m *Mailer) recipient(ctx context.Context, e deliver.Envelope) (*mail.Address, string, error) {
	user, err := m.cfg.User(ctx, e.UserUID)
	if e.Message.Type == storage.MessageContactChanged {
		user.Email = e.Email
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, "", deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the recipient does not exist any more"), err))
	case err != nil:
		return nil, "", fmt.Errorf("recipient of a message: %w", err)
	case !user.Active:
		return nil, "", deliver.Permanent(deliver.Reason("the recipient is disabled"))
	case user.Email == "":
		return nil, "", deliver.Permanent(deliver.Reason("the recipient has no e-mail address"))
	}
	// A name or a comment in the address, or a second one, is no address.
	to, err := mail.ParseAddress(user.Email)
	if err != nil || to.Address != user.Email {
		return nil, "", deliver.Permanent(deliver.Reason("the recipient's address is not an e-mail address"))
	}
	if to, err = asciiAddress(to); err != nil {
		return nil, "", deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the domain of the recipient's e-mail address is not valid"), err))
	}
	return to, user.Locale, nil
}

func (m *Mailer) data(ctx context.Context, sender storage.Sender, e deliver.Envelope) (Data, error) {
	site := sender.SMTP.SiteName
	if site == "" {
		site = m.cfg.SiteName
	}
	link, err := m.link(ctx, e)
	left := e.ExpiresAt.Sub(m.cfg.Now())
	return Data{
		LockedUntil: lockEnd(e.LockedUntil),
		Site:        site, Username: e.Username, Code: e.Code, URL: link,
		Minutes: atLeastOne(left+minuteMargin, time.Minute), Days: atLeastOne(left+dayMargin, 24*time.Hour),
	}, err
}

// What a mail takes on its way is no reason to speak of 9 minutes or 6 days.
const (
	minuteMargin = 5 * time.Second
	dayMargin    = time.Hour
)

// forGood is the first year of a lock that no time ends.
const forGood = 9999

// lockEnd is how a mail says when a lock ends; empty if that is not known, or not
// at all.
func lockEnd(t time.Time) string {
	if t.IsZero() || t.UTC().Year() >= forGood {
		return ""
	}
	return t.UTC().Add(time.Minute - 1).Truncate(time.Minute).Format("2006-01-02 15:04 UTC")
}

func atLeastOne(left, unit time.Duration) int { return max(1, int(left/unit)) }

// link returns the URL that the mail may show, if any.
func (m *Mailer) link(ctx context.Context, e deliver.Envelope) (string, error) {
	if !presentableURL(e.URL) {
		return "", nil
	}
	if e.Message.Type == storage.MessageNewUserInvitation {
		return e.URL, nil
	}
	if m.cfg.TrustURL == nil {
		return "", nil
	}
	trusted, err := m.cfg.TrustURL(ctx, e.RealmID, e.URL)
	if err != nil {
		return "", fmt.Errorf("trust in a URL: %w", err)
	}
	if !trusted {
		return "", nil
	}
	return e.URL, nil
}

// presentableURL tells whether the text is a URL of the web and nothing besides:
// neither a sentence behind it nor a name in front of the host.
func presentableURL(text string) bool {
	strange := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\^`|", r) }
	if len(text) > maxURL || strings.ContainsFunc(text, strange) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}
