package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Config holds all settings of the server. The tags of a field describe its
// setting:
//
//   - env: the variable, without the prefix LATCHKEY_. In lower case it is the
//     key in the YAML file.
//   - default: the default value, as text. derived describes a default that is
//     computed from something else.
//   - meaning: the text in docs/CONFIG.md.
//   - secret: the value is never shown, and may also be given as the name of a
//     file that contains it (variable with _FILE, key with _file). secret:"only"
//     has no flag, because other users can read the arguments of a process.
type Config struct {
	Listen         string `env:"LISTEN" default:"127.0.0.1:8080" meaning:"Address that serves the API, as host:port. With port 0 the system chooses a free port, and the default issuer contains it."`
	OpsListen      string `env:"OPS_LISTEN" default:"127.0.0.1:8081" meaning:"Address that serves /healthz, /readyz and /metrics, as host:port. Do not expose it to the public."`
	TLSCertFile    string `env:"TLS_CERT_FILE" derived:"none" meaning:"File with the TLS certificate of listen and its chain, in PEM. It is read again within ten seconds when it changes. Empty: plain HTTP, behind a proxy that terminates TLS."`
	TLSKeyFile     string `env:"TLS_KEY_FILE" derived:"none" meaning:"File with the private key of tls_cert_file, in PEM."`
	HealthOnListen bool   `env:"HEALTH_ON_LISTEN" default:"false" meaning:"Serves /healthz at listen as well, for load balancers that can check only the port to which they send requests. /healthz answers 503 while the server stops, and does not query the database."`

	PlainHTTP bool       `env:"PLAIN_HTTP" default:"false" meaning:"Allows listen to be reachable from other machines without TLS in front of it, that is, without an https issuer and without trusted_proxies. Anybody on the network path can then read passwords and codes."`
	Issuer    string     `env:"ISSUER" derived:"that of the servers that run on the database, otherwise http://LISTEN" meaning:"URL by which clients reach the server: the iss of every token and the base of the metadata. It must be in its normal form: lower case, an ASCII host, no trailing slash. If it has a path, everything is served below that path, and also at the root, for proxies that remove the path. All servers of a database must have the same issuer."`
	Audience  string     `env:"AUDIENCE" derived:"the issuer" meaning:"The aud of access tokens whose request names no resource. The server's own endpoints below /v1 and /v2 accept only tokens for this audience."`
	Resources []Resource `env:"RESOURCES" derived:"none" meaning:"Comma-separated absolute URIs of the resources that access tokens may be for, besides audience (RFC 8707). The parameter resource of a request must equal one of them exactly."`
	DPoPNonce bool       `env:"DPOP_NONCE" default:"false" meaning:"Requires a nonce of this server in every DPoP proof (RFC 9449 section 8), so that proofs cannot be made in advance."`

	DatabaseURL       DatabaseURL   `env:"DATABASE_URL" default:"sqlite:latchkey.db" secret:"true" meaning:"sqlite:PATH or postgres://…. A flag must not contain a password, because the list of processes shows it: use the variable or a file."`
	DatabaseDirectURL DatabaseURL   `env:"DATABASE_DIRECT_URL" derived:"database_url" secret:"true" meaning:"The same PostgreSQL database as database_url, but not through its connection pooler: used for migrations, and for notifications of changes. Without it the server also works behind a pooler, but polls for changes four times a second."`
	DatabaseMaxConns  int           `env:"DATABASE_MAX_CONNS" default:"16" meaning:"Largest number of PostgreSQL connections, 1 to 1000. Lists use an eighth of them, but at least one. Not used with SQLite."`
	DatabaseWait      time.Duration `env:"DATABASE_WAIT" default:"60s" meaning:"How long serve waits at its start for a PostgreSQL server that does not answer, or is starting. 0s: it ends at once. At most 1h."`
	MasterKey         MasterKey     `env:"MASTER_KEY" derived:"with SQLite, the file PATH.key beside the database, created when absent" secret:"only" meaning:"Key that seals secrets at rest: 32 bytes in base64. In a comma-separated list, the first key seals and all keys open. Required with PostgreSQL."`

	LogLevel     zerolog.Level `env:"LOG_LEVEL" default:"info" meaning:"Lowest level that is logged: trace, debug, info, warn, error or disabled."`
	LogFormat    string        `env:"LOG_FORMAT" default:"json" meaning:"Format of the log: json, or text for people at a terminal."`
	SigningAlg   string        `env:"SIGNING_ALG" derived:"ES256, and RS256 for API clients that are created through /v1" meaning:"JWS algorithm of the tokens of clients without one of their own: ES256, RS256 or EdDSA. OrderCloud's own libraries verify RSA signatures only."`
	JWKSMaxAge   time.Duration `env:"JWKS_MAX_AGE" default:"1h" meaning:"How long others may cache the key set. A new key is announced this long before it signs. 1s to 24h."`
	KeyRotation  time.Duration `env:"KEY_ROTATION" default:"2160h" meaning:"How long a key signs before its successor takes over. A retired key stays published for a month, so short times make a long key set. From 1h to 87600h, and at least twice jwks_max_age. 0: keys rotate by command only."`
	SessionIdle  time.Duration `env:"SESSION_IDLE" default:"8h" meaning:"How long a browser stays signed in at the hosted pages without using the session. From 1m to session_life."`
	SessionLife  time.Duration `env:"SESSION_LIFE" default:"168h" meaning:"How long a browser stays signed in at the hosted pages at most. From 1m to 8760h."`
	RefreshGrace time.Duration `env:"REFRESH_GRACE" default:"60s" meaning:"How long a refresh token still works after its rotation, for clients that repeat a request and for requests that arrive late. Long enough for a restart of the database. The clocks of the replicas must differ by less. 0s to 60s."`

	OutboundAllow       []netip.Prefix `env:"OUTBOUND_ALLOW" derived:"none" meaning:"Comma-separated CIDR blocks of private or loopback addresses that webhooks and mail may connect to."`
	ConsoleSenderForced bool           `env:"CONSOLE_SENDER_FORCED" default:"false" meaning:"Allows senders that print one-time passwords to the terminal also with PostgreSQL."`
	SMTPPlaintext       bool           `env:"SMTP_PLAINTEXT" default:"false" meaning:"Allows senders with TLS none. Anybody on the network path can read their mails and the codes in them."`
	MailTemplates       string         `env:"MAIL_TEMPLATES" derived:"the embedded templates" meaning:"Directory with the mail templates."`
	PageTemplates       string         `env:"PAGE_TEMPLATES" derived:"the embedded files" meaning:"Directory with template, texts, style sheet and images of the sign-in pages."`
	SiteName            string         `env:"SITE_NAME" derived:"the host of the issuer" meaning:"Name of the site in mails of senders that have no name of their own."`

	OTPLimitRecipient    Rates          `env:"OTP_LIMIT_RECIPIENT" default:"5/10m,30/24h" meaning:"How many messages of all types may be requested for one username or e-mail address of a password profile, and how many may be sent to one login and to one mailbox. Names without a user count too. 5/10m is 5 at once and one more every 2 minutes. With 30/24h it is also no more than 30 and one more every 48 minutes. Requests for a name beyond the limit are answered 429. Messages to a login or a mailbox beyond it are not sent, and the answer is the same. Logins with one e-mail address share its mailbox. 0: no limit."`
	OTPLimitClient       Rate           `env:"OTP_LIMIT_CLIENT" default:"0" meaning:"How many messages may be requested through one API client, such as 600/1m. 0: no limit."`
	OTPLimitAddress      *Rate          `env:"OTP_LIMIT_ADDRESS" derived:"60/1m for public addresses, 0 for loopback, private, link-local and carrier-grade NAT ones (100.64.0.0/10) and those of trusted_proxies" meaning:"How many messages one IPv4 address, or one /64 of IPv6, may request, such as 60/1m: 60 at once and one more every second. A value that is given applies to every address. Behind a proxy, list it in trusted_proxies first, because otherwise all callers share its address. All users of a storefront that requests messages on their behalf share the address of the storefront. 0: no limit."`
	TrustedProxies       []netip.Prefix `env:"TRUSTED_PROXIES" derived:"none" meaning:"Comma-separated CIDR blocks of the proxies in front of the server. The header X-Forwarded-For is trusted from these addresses only."`
	EndUserAddressHeader string         `env:"END_USER_ADDRESS_HEADER" derived:"none" meaning:"Header in which an API client with TrustEndUserAddress sends the IP address of its user, such as X-Shop-User-Address. It is trusted if the client has authenticated with a secret or a key, and ignored otherwise. A storefront whose servers sign its users in should send it, because failed sign-ins are counted by address."`

	Shield            Rate `env:"SHIELD" default:"1000/1m" meaning:"How many requests of one IPv4 address, or of one /64 of IPv6, may fail before further ones are answered 429 at once. It applies to paths that check secrets: /oauth, /v1/password, /v1/username, /v2/account-members/tokens. Each server counts by itself. Requests that succeed are not counted. The servers of a storefront fail on behalf of all its users: with very many users raise the limit, or let these servers send X-Forwarded-For and list them in trusted_proxies. Loopback, private, link-local and carrier-grade NAT addresses (100.64.0.0/10) are not counted. 0: no limit."`
	SignUpLimit       Rate `env:"SIGN_UP_LIMIT" default:"10/10m" meaning:"How many users one IPv4 address, or one /64 of IPv6, may create by self-signup, on all servers together. Each costs a password hash and a record in the database. 0: no limit."`
	ClientSecretLimit Rate `env:"CLIENT_SECRET_LIMIT" default:"100/10m" meaning:"How many wrong secrets or assertions one IPv4 address, or one /64 of IPv6, may present for one API client, to all servers together. 100/10m is 100 at once and one more every 6 seconds. Further ones are answered 429 without a comparison. The right secret from another address is still accepted. Behind a proxy, list it in trusted_proxies first, because otherwise all callers share its address. 0: no limit."`

	GuessCeiling float64 `env:"GUESS_CEILING" default:"1e-5" meaning:"Highest probability, for each login and day, that somebody who guesses one-time passwords all day finds one. A password profile above it is refused, and the server does not start with one; \"latchkey policy explain\" shows the figures. Above 0, at most 1."`

	CORSOrigins    []Origin `env:"CORS_ORIGINS" derived:"none" meaning:"Comma-separated origins of the storefronts whose pages may call the server from a browser, such as https://shop.example."`
	RenewalOrigins []Origin `env:"RENEWAL_ORIGINS" derived:"none" meaning:"Comma-separated origins of the pages where users renew their password. If the list is not empty, a request with a page of another origin is refused. If it is empty, the page is sent to webhooks only. Mails contain only links to these origins and to the redirect URIs of a realm."`

	AuditRetention time.Duration `env:"AUDIT_RETENTION" default:"2160h" meaning:"How long audit events are kept in the database. 1h to 87600h."`

	HashConcurrency int           `env:"HASH_CONCURRENCY" derived:"number of CPUs" meaning:"How many password hashes are computed at once, 1 to 1024. Each takes about 19 MiB of memory."`
	RequestTimeout  time.Duration `env:"REQUEST_TIMEOUT" default:"10s" meaning:"How long one request may take. 100ms to 5m."`
	ShutdownDelay   time.Duration `env:"SHUTDOWN_DELAY" default:"1s" meaning:"How long a server that stops still accepts connections. During this time /readyz answers 503, so that load balancers send their requests elsewhere before the listener closes. Set it to the time that your load balancer needs to notice. 0s to 10m."`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" default:"15s" meaning:"How long a server that stops waits for requests in flight, after shutdown_delay. 100ms to 10m."`

	IssuerDerived bool // not a setting: Issuer was computed from Listen
}

// Default returns the configuration without any source: the default of each setting.
func Default() Config {
	var c Config
	_ = defaultLayer().apply(&c) // a test shows that this has no faults
	c.derive()
	return c
}

// derive fills empty settings that are computed from others.
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

// String returns the settings as key=value pairs. Secrets are redacted.
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

// GoString implements fmt.GoStringer, so that %#v redacts secrets too.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// MarshalZerologObject adds the settings to a log event. Secrets are redacted.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	for _, s := range Settings() {
		e.Str(s.Key, c.Show(s))
	}
}
