package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Config is every setting of the server. Its tags are the one place where a
// setting is described:
//
//   - env: the variable, without the prefix LATCHKEY_; in lower case it is the
//     key in the YAML file;
//   - default: the value when nothing else is given, as text; derived describes
//     a default that follows from something else;
//   - meaning: the text in docs/CONFIG.md;
//   - secret: the value is never shown, and may also be given as the name of a
//     file that holds it (variable with _FILE, key with _file); secret:"only"
//     has no flag, because the arguments of a process are for all to read.
type Config struct {
	Listen    string     `env:"LISTEN" default:"127.0.0.1:8080" meaning:"Address that serves the API, as host:port. Port 0 takes any free port, which the default issuer then names."`
	OpsListen string     `env:"OPS_LISTEN" default:"127.0.0.1:8081" meaning:"Address that serves /healthz, /readyz and /metrics, as host:port. Not for the public."`
	PlainHTTP bool       `env:"PLAIN_HTTP" default:"false" meaning:"Lets listen be open to other machines although nothing is said of TLS in front of it: neither is issuer an https URL nor are there trusted_proxies. Everybody on the way then reads passwords and codes."`
	Issuer    string     `env:"ISSUER" derived:"that of the servers that run on the database, otherwise http://LISTEN" meaning:"URL by which clients reach the server: the iss of every token and the base of the metadata. In its normal form: lower case, an ASCII host, no trailing slash. Everything is served below its path, if it has one, and at the root as well, for proxies that take the path away. All servers of a database must have the same."`
	Audience  string     `env:"AUDIENCE" derived:"the issuer" meaning:"The aud of access tokens that were asked for without naming a resource. The server's own endpoints below /v1 and /v2 take tokens for it only."`
	Resources []Resource `env:"RESOURCES" derived:"none" meaning:"Comma-separated absolute URIs of what access tokens may be for besides audience (RFC 8707). Whoever asks must name one of them letter by letter in the parameter resource."`
	DPoPNonce bool       `env:"DPOP_NONCE" default:"false" meaning:"Demands that every DPoP proof has a nonce of this server (RFC 9449 section 8), which ends those made in advance."`

	DatabaseURL      DatabaseURL `env:"DATABASE_URL" default:"sqlite:latchkey.db" secret:"true" meaning:"sqlite:PATH or postgres://…. A URL with a password is refused as a flag, since the list of processes shows it: use the variable or a file."`
	DatabaseMaxConns int         `env:"DATABASE_MAX_CONNS" default:"16" meaning:"Largest number of PostgreSQL connections, 1 to 1000. Lists use an eighth of them, but at least one. SQLite does not use it."`
	MasterKey        MasterKey   `env:"MASTER_KEY" derived:"with SQLite, the file PATH.key beside the database, created when absent" secret:"only" meaning:"Key that seals secrets at rest: 32 bytes in base64. Of a comma-separated list the first seals, the rest still open. Required with PostgreSQL."`

	LogLevel     zerolog.Level `env:"LOG_LEVEL" default:"info" meaning:"Least level that is logged: trace, debug, info, warn, error or disabled."`
	SigningAlg   string        `env:"SIGNING_ALG" derived:"ES256, and RS256 for API clients that are created through /v1" meaning:"JWS algorithm of the tokens of clients that name none: ES256, RS256 or EdDSA. OrderCloud's token checkers verify RSA signatures only."`
	JWKSMaxAge   time.Duration `env:"JWKS_MAX_AGE" default:"1h" meaning:"How long others may cache the key set. A new key is announced this long before it signs. 1s to 24h."`
	KeyRotation  time.Duration `env:"KEY_ROTATION" default:"2160h" meaning:"How long a key signs before its successor takes over by itself. A retired key stays published for a month, so short times make a long key set. 0: keys rotate only when told to; else 1h to 87600h, and at least twice jwks_max_age."`
	RefreshGrace time.Duration `env:"REFRESH_GRACE" default:"10s" meaning:"How long the previous refresh token still works after a rotation, for clients that repeat a request; the clocks of replicas must agree better than that. 0s to 60s."`

	OutboundAllow       []netip.Prefix `env:"OUTBOUND_ALLOW" derived:"none" meaning:"Comma-separated CIDR blocks that webhooks and mail may reach although they are private or loopback."`
	ConsoleSenderForced bool           `env:"CONSOLE_SENDER_FORCED" default:"false" meaning:"Allows a sender that prints one-time passwords to the terminal although the database is PostgreSQL."`
	SMTPPlaintext       bool           `env:"SMTP_PLAINTEXT" default:"false" meaning:"Allows senders with TLS none, whose mails, codes included, anybody on the way can read."`
	MailTemplates       string         `env:"MAIL_TEMPLATES" derived:"the embedded templates" meaning:"Directory of the templates of mails."`
	SiteName            string         `env:"SITE_NAME" derived:"the host of the issuer" meaning:"What mails call the site, unless the sender has a name of its own."`

	OTPLimitRecipient    Rates          `env:"OTP_LIMIT_RECIPIENT" default:"5/10m,30/24h" meaning:"How many messages may be asked for one username or e-mail address of a password profile, whether or not anybody has it, and how many one login and one mailbox get, of all types together: 5/10m is 5 at once and one more every 2 minutes; with 30/24h, no more than 30 and one more every 48 minutes. What is asked beyond it for a name is answered 429; what a login or a mailbox would get beyond it is not sent, and the answer is the same. Logins with one e-mail address share its mailbox. 0: no limit."`
	OTPLimitClient       Rate           `env:"OTP_LIMIT_CLIENT" default:"0" meaning:"How many messages may be asked for through one API client, such as 600/1m. 0: no limit."`
	OTPLimitAddress      *Rate          `env:"OTP_LIMIT_ADDRESS" derived:"60/1m for public addresses, 0 for loopback, private and link-local ones and those of trusted_proxies" meaning:"How many messages one IPv4 address, or one /64 of IPv6, may ask for, such as 60/1m: 60 at once and one more every second. A value that is given applies to every address. Behind a proxy name it in trusted_proxies first, or everybody shares its address; a storefront that asks on behalf of its users has one, too. 0: no limit."`
	TrustedProxies       []netip.Prefix `env:"TRUSTED_PROXIES" derived:"none" meaning:"Comma-separated CIDR blocks of the proxies in front of the server. From them, and from nobody else, X-Forwarded-For is believed."`
	EndUserAddressHeader string         `env:"END_USER_ADDRESS_HEADER" derived:"none" meaning:"Header in which an API client with TrustEndUserAddress says which address its user has, such as X-Shop-User-Address. From such a client, if it has authenticated itself by a secret or a key, one IP address is believed; from anybody else the header is ignored. A storefront whose servers sign its users in should send it: failed sign-ins are counted by address."`

	Shield            Rate `env:"SHIELD" default:"1000/1m" meaning:"How many refused requests one IPv4 address, or one /64 of IPv6, may send to where secrets are tried (/oauth, /v1/password, /v2/account-members/tokens) before its next ones are answered 429 at once, for each server by itself. Requests that succeed are not counted. A storefront's servers fail for all of its users: raise it for very many, or let them pass X-Forwarded-For and name them in trusted_proxies. Loopback and private addresses are not counted. 0: no limit."`
	SignUpLimit       Rate `env:"SIGN_UP_LIMIT" default:"10/10m" meaning:"How many users one IPv4 address, or one /64 of IPv6, may make by self-signup, all servers together: each costs a password hash and a place in the database. 0: no limit."`
	ClientSecretLimit Rate `env:"CLIENT_SECRET_LIMIT" default:"100/10m" meaning:"How many wrong secrets or assertions one IPv4 address, or one /64 of IPv6, may present for one API client: 100/10m is 100 at once and one more every 6 seconds, all servers together. Further ones are answered 429 uncompared; the right secret from elsewhere is not kept out. Behind a proxy name it in trusted_proxies first, or everybody shares its address. 0: no limit."`

	GuessCeiling float64 `env:"GUESS_CEILING" default:"1e-5" meaning:"Highest odds, for each login and day, that somebody who guesses at one-time passwords all day hits one. A password profile above it is refused, and the server does not start with one; \"latchkey policy explain\" shows the figures. Above 0, at most 1."`

	CORSOrigins    []Origin `env:"CORS_ORIGINS" derived:"none" meaning:"Comma-separated origins of the storefronts whose pages may call the server from a browser, such as https://shop.example."`
	RenewalOrigins []Origin `env:"RENEWAL_ORIGINS" derived:"none" meaning:"Comma-separated origins of the pages where users renew their password. With any, a request that names a page elsewhere is refused; without, such a page is told to webhooks alone. Mails link to no other but where a realm redirects to."`

	AuditRetention time.Duration `env:"AUDIT_RETENTION" default:"2160h" meaning:"How long audit events are kept in the database. 1h to 87600h."`

	HashConcurrency int           `env:"HASH_CONCURRENCY" derived:"number of CPUs" meaning:"How many password hashes are computed at once, 1 to 1024; each takes about 19 MiB."`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" default:"10s" meaning:"How long one request may take. 100ms to 5m."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" default:"15s" meaning:"How long a stop waits for the requests in flight. 100ms to 10m."`

	IssuerDerived bool // no setting: no source named the issuer
}

// Default returns the configuration of a server that was told nothing.
func Default() Config {
	var c Config
	_ = defaultLayer().apply(&c) // a test shows that this has no faults
	c.derive()
	return c
}

// derive fills what follows from other settings.
func (c *Config) derive() {
	if c.Issuer == "" {
		c.Issuer, c.IssuerDerived = derivedIssuer(c.Listen), true
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.SiteName == "" {
		c.SiteName = hostOf(c.Issuer)
	}
}

// String renders the settings as key=value pairs, secrets redacted.
func (c Config) String() string {
	var b strings.Builder
	for i, s := range Settings() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.Key + "=" + c.Show(s))
	}
	return b.String()
}

// GoString keeps %#v from printing what String hides.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// MarshalZerologObject adds the settings to a log event, secrets redacted.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	for _, s := range Settings() {
		e.Str(s.Key, c.Show(s))
	}
}
