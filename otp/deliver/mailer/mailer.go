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
	// User returns the user with the UID, or storage.ErrNotFound.
	User func(ctx context.Context, uid string) (storage.User, error)
	// Password decrypts a sender's password.
	Password  func(storage.Sealed) (string, error)
	Templates *Templates
	// TrustURL reports whether the realm trusts the URL of a ForgottenPassword
	// request. Anybody can send such a request with any URL, so a mail with a
	// real code and an attacker's URL would be perfect phishing. A mail leaves out
	// a URL that is not trusted. Nil: no URL is trusted. The URLs of invitations
	// come from administrators and are always shown.
	TrustURL func(ctx context.Context, realmID, url string) (bool, error)
	// SiteName is the site's name in mails of senders without a SiteName.
	SiteName string
	// Allow lists the private, loopback and other special-purpose addresses that may be
	// called. Special-purpose addresses that are not in it are refused.
	Allow []netip.Prefix
	// AllowPlaintext allows senders with storage.PlainSMTP, which send without TLS.
	AllowPlaintext bool
	// RootCAs verify the servers' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Timeout limits an attempt up to the command DATA; 0 means 12 s.
	Timeout time.Duration
	// AcceptTimeout limits the rest of the attempt, in which the server reads,
	// checks and stores the mail; 0 means 65 s. A server may deliver the mail even
	// after the timeout, so a short timeout causes second copies (RFC 5321
	// §4.5.3.2). A deliver.Worker limits a whole attempt to 90 s.
	AcceptTimeout time.Duration
	// Resolver looks up host names; nil means the resolver of the system.
	Resolver *net.Resolver
	Now      func() time.Time // nil: time.Now
}

// Mailer is the deliver.Transport of senders of kind smtp.
type Mailer struct {
	cfg    Config
	dialer *net.Dialer
}

// New returns a Mailer. It returns an error if a required field is missing or a prefix
// of Allow is invalid.
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
// Message-ID, which contains the id of the message. These errors are permanent:
//
//   - a reply 5yz of the mail server
//   - a recipient who is deleted or disabled, or has no valid address
//   - a mail server with a forbidden address
//   - a sender without TLS that is not allowed
//   - an invalid From or Host of the sender, or a template that fails
//   - an address with a non-ASCII local part, if the server does not offer SMTPUTF8
//     (RFC 6531)
//
// All other errors are retried.
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
	return sendError(err, to.Address, e.Username)
}

// Preview returns the mail of an envelope in the best language for the locale, without
// sending it. Errors are those of the template and of Config.TrustURL.
func (m *Mailer) Preview(ctx context.Context, sender storage.Sender, e deliver.Envelope, locale string) (Text, error) {
	data, err := m.data(ctx, sender, e)
	if err != nil {
		return Text{}, err
	}
	return m.cfg.Templates.Render(e.Message.Type, locale, data)
}

// parseAddress parses an address with or without a display name.
func parseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errors.New("not an e-mail address") // the cause quotes the address
	}
	return asciiAddress(a)
}

// recipient returns the user's address and locale. A ContactChanged goes to the former
// address. Errors do not quote the address, because they are stored.
func (m *Mailer) recipient(ctx context.Context, e deliver.Envelope) (*mail.Address, string, error) {
	user, err := m.cfg.User(ctx, e.UserUID)
	if e.Message.Type == storage.MessageContactChanged {
		user.Email = e.Email
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, "", deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the recipient does not exist any more"), err))
	case err != nil:
		return nil, "", fmt.Errorf("read recipient: %w", err)
	case !user.Active:
		return nil, "", deliver.Permanent(deliver.Reason("the recipient is disabled"))
	case user.Email == "":
		return nil, "", deliver.Permanent(deliver.Reason("the recipient has no e-mail address"))
	}
	// An address with a display name or a comment is refused, and so is a list.
	to, err := mail.ParseAddress(user.Email)
	if err != nil || to.Address != user.Email {
		return nil, "", deliver.Permanent(deliver.Reason("the recipient's address is not an e-mail address"))
	}
	if to, err = asciiAddress(to); err != nil {
		return nil, "", deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the domain of the recipient's e-mail address is not valid"), err))
	}
	return to, user.Locale, nil
}

// data returns what the template of the message shows.
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

// The margins make up for the time until the mail is sent. Otherwise a mail would say
// 9 minutes instead of 10, or 6 days instead of 7.
const (
	minuteMargin = 5 * time.Second
	dayMargin    = time.Hour
)

// lockWithoutEndYear is the year in which a lock ends that only an administrator ends.
const lockWithoutEndYear = 9999

// lockEnd formats the end of a lock, rounded up to the minute. It returns "" if the end
// is not known or only an administrator ends the lock.
func lockEnd(t time.Time) string {
	if t.IsZero() || t.UTC().Year() >= lockWithoutEndYear {
		return ""
	}
	return t.UTC().Add(time.Minute - 1).Truncate(time.Minute).Format("2006-01-02 15:04 UTC")
}

// atLeastOne returns the number of whole units left, but at least 1.
func atLeastOne(left, unit time.Duration) int { return max(1, int(left/unit)) }

// link returns the URL that the mail shows, or "".
func (m *Mailer) link(ctx context.Context, e deliver.Envelope) (string, error) {
	if !isPlainURL(e.URL) {
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
		return "", fmt.Errorf("check whether a URL is trusted: %w", err)
	}
	if !trusted {
		return "", nil
	}
	return e.URL, nil
}

// isPlainURL reports whether the text is an http or https URL of printable ASCII and
// nothing else. It refuses text after the URL, and user information before the host,
// which looks like a host.
func isPlainURL(text string) bool {
	refused := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>\\^`|", r) }
	if len(text) > maxURL || strings.ContainsFunc(text, refused) {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}
