package wire

import (
	"net/mail"
	"net/netip"
	"regexp"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// SMTP is the mail server of a message sender. The member is Latchkey's own.
type SMTP struct {
	Host     string
	Port     *int    // default 587, or 465 if TLS is "implicit"
	TLS      *string // "required" (default), "starttls", "implicit" or "none"
	Username *string
	Password *string `json:",omitempty"` // write only
	From     string  // an e-mail address, with or without a name in front
	SiteName *string // as mails name the site
}

// Ports of mail submission (RFC 8314 §3.3, RFC 6409 §3.1).
const (
	implicitTLSPort = 465
	submissionPort  = 587
)

// hostName matches the name of a host (RFC 1123 §2.1).
var hostName = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))*\.?$`)

// validate adds the faults to c. hasPassword says that a password is stored.
func (s *SMTP) validate(c *check, hasPassword bool) {
	in := check{path: Join(c.path, "SMTP")}
	defer func() { c.faults = append(c.faults, in.faults...) }()
	if _, err := netip.ParseAddr(s.Host); err != nil && (len(s.Host) > 253 || !hostName.MatchString(s.Host)) {
		in.fail("Host", "must be the name or the IP address of a mail server, without a port")
	}
	in.between("Port", s.Port, 1, 65535)
	in.oneOf("TLS", string(s.tls()), string(storage.RequiredTLS), string(storage.StartTLS), string(storage.ImplicitTLS), string(storage.PlainSMTP))
	in.text("Username", surface.ValueOr(s.Username, ""))
	in.secret("Password", s.Password, "leave it out to keep the stored one")
	switch named := surface.ValueOr(s.Username, "") != ""; {
	case named && s.tls() == storage.PlainSMTP:
		in.fail("Username", "cannot be used without TLS: the password could be read on its way")
	case named && s.Password == nil && !hasPassword:
		in.fail("Password", "is required with Username; a stored one is dropped when Host, Port, TLS or Username changes")
	case !named && s.Password != nil:
		in.fail("Password", "needs a Username")
	}
	if from, err := mail.ParseAddress(s.From); err != nil || strings.ContainsFunc(from.Address, func(r rune) bool { return r <= ' ' || r > '~' }) {
		in.fail("From", `must be an e-mail address such as noreply@example.com or "Shop" <noreply@example.com>`)
	}
	in.text("From", s.From)
	in.text("SiteName", surface.ValueOr(s.SiteName, ""))
}

func (s *SMTP) tls() storage.TLSMode {
	return storage.TLSMode(surface.ValueOr(s.TLS, string(storage.RequiredTLS)))
}

// toRecord keeps the stored password only for the same account on the same server.
// Otherwise an administrator who cannot read it could have it sent to another
// server.
func (s *SMTP) toRecord(base storage.SMTPSettings) storage.SMTPSettings {
	if s == nil {
		return storage.SMTPSettings{}
	}
	port := submissionPort
	if s.tls() == storage.ImplicitTLS {
		port = implicitTLSPort
	}
	r := storage.SMTPSettings{
		Host: s.Host, Port: surface.ValueOr(s.Port, port), TLS: s.tls(), Username: surface.ValueOr(s.Username, ""),
		From: s.From, SiteName: surface.ValueOr(s.SiteName, ""),
	}
	if r.Host == base.Host && r.Port == base.Port && r.TLS == base.TLS && r.Username == base.Username && r.Username != "" {
		r.Password = base.Password
	}
	return r
}

func smtpFromRecord(r storage.Sender) *SMTP {
	if r.Kind != storage.SMTPSender {
		return nil
	}
	return &SMTP{
		Host: r.SMTP.Host, Port: surface.Optional(r.SMTP.Port), TLS: surface.Optional(string(r.SMTP.TLS)),
		Username: surface.Optional(r.SMTP.Username), From: r.SMTP.From, SiteName: surface.Optional(r.SMTP.SiteName),
	}
}
