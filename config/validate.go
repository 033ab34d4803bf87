package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"latchkey/keys/jose"

	"github.com/rs/zerolog"
)

// Validate returns Faults with all settings that have an invalid value, or nil.
func (c Config) Validate() error { return c.faults().orNil() }

func (c Config) faults() Faults {
	var v validator
	v.address("listen", c.Listen)
	v.address("ops_listen", c.OpsListen)
	v.check("ops_listen", c.OpsListen != c.Listen || strings.HasSuffix(c.Listen, ":0"), "must differ from listen")
	v.check("listen", c.PlainHTTP || c.protected(), "is open to others in plain HTTP: put TLS in front of it and make issuer the https URL there, or allow it with plain_http")
	v.check("tls_key_file", (c.TLSCertFile == "") == (c.TLSKeyFile == ""), "and tls_cert_file go together")
	v.check("issuer", c.TLSCertFile == "" || strings.HasPrefix(c.Issuer, "https://"), "must be an https URL with tls_cert_file")
	if !Faults(v).has("listen") || c.Issuer != derivedIssuer(c.Listen) {
		v.problem("issuer", c.issuerProblem())
	}
	v.check("audience", c.Audience != "" && !strings.ContainsFunc(c.Audience, isSpaceOrControl), "must be a name without spaces")
	v.problem("database_url", databaseProblem(c.DatabaseURL))
	if c.DatabaseDirectURL.Reveal() != "" {
		v.problem("database_direct_url", databaseProblem(c.DatabaseDirectURL))
		v.check("database_direct_url", c.DatabaseDirectURL.Postgres() && c.DatabaseURL.Postgres(), "must be postgres://…, like database_url")
	}
	v.between("database_max_conns", c.DatabaseMaxConns, 1, 1000)
	v.duration("database_wait", c.DatabaseWait, 0, time.Hour)
	v.problem("master_key", c.masterKeyProblem())
	v.check("log_level", validLevel(c.LogLevel), wants["zerolog.Level"])
	v.check("signing_alg", c.SigningAlg == "" || slices.Contains(jose.SigningAlgorithms(), c.SigningAlg), "must be one of "+strings.Join(jose.SigningAlgorithms(), ", "))
	v.duration("jwks_max_age", c.JWKSMaxAge, time.Second, 24*time.Hour)
	v.problem("key_rotation", c.keyRotationProblem())
	v.duration("session_life", c.SessionLife, time.Minute, 8760*time.Hour)
	v.duration("session_idle", c.SessionIdle, time.Minute, c.SessionLife)
	v.duration("refresh_grace", c.RefreshGrace, 0, time.Minute)
	for _, p := range c.OutboundAllow {
		v.check("outbound_allow", p.IsValid() && p == p.Masked(), fmt.Sprintf("%s has bits set behind its prefix length", p))
	}
	for _, p := range c.TrustedProxies {
		v.check("trusted_proxies", p.IsValid() && p == p.Masked(), fmt.Sprintf("%s has bits set behind its prefix length", p))
	}
	v.problem("end_user_address_header", headerProblem(c.EndUserAddressHeader))
	v.check("site_name", len(c.SiteName) <= 200 && !strings.ContainsFunc(c.SiteName, unicode.IsControl), "must be one line of at most 200 bytes")
	v.check("guess_ceiling", c.GuessCeiling > 0 && c.GuessCeiling <= 1, "must be above 0 and at most 1")
	v.duration("audit_retention", c.AuditRetention, time.Hour, 87600*time.Hour)
	v.check("log_format", c.LogFormat == "json" || c.LogFormat == "text", "must be json or text")
	v.between("hash_concurrency", c.HashConcurrency, 1, 1024)
	v.duration("request_timeout", c.RequestTimeout, 100*time.Millisecond, 5*time.Minute)
	v.duration("shutdown_delay", c.ShutdownDelay, 0, 10*time.Minute)
	v.duration("shutdown_timeout", c.ShutdownTimeout, 100*time.Millisecond, 10*time.Minute)
	return Faults(v)
}

// protected reports whether connections to the server are protected: the server is
// reachable from this machine only, or a proxy in front of it terminates TLS
// (RFC 6749 §1.6, §3.2).
func (c Config) protected() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || host == "localhost" { // an invalid address has a fault of its own
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || c.TLSCertFile != "" || strings.HasPrefix(c.Issuer, "https://") || len(c.TrustedProxies) > 0
}

// validator collects faults.
type validator Faults

func (v *validator) problem(key, problem string) {
	if problem != "" {
		*v = append(*v, Fault{Setting: key, Problem: problem})
	}
}

func (v *validator) check(key string, ok bool, problem string) {
	if !ok {
		v.problem(key, problem)
	}
}

func (v *validator) between(key string, n, least, most int) {
	v.check(key, least <= n && n <= most, fmt.Sprintf("must be from %d to %d", least, most))
}

func (v *validator) duration(key string, d, least, most time.Duration) {
	v.check(key, least <= d && d <= most, fmt.Sprintf("must be from %s to %s", least, most))
}

func (v *validator) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	n, numErr := strconv.ParseUint(port, 10, 16)
	ok := err == nil && numErr == nil && n <= 65535 && !strings.ContainsFunc(host, isSpaceOrControl) && !strings.ContainsAny(host, "/?#@")
	v.check(key, ok, "must be host:port with a port from 0 to 65535")
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

func validLevel(l zerolog.Level) bool {
	return zerolog.TraceLevel <= l && l <= zerolog.ErrorLevel || l == zerolog.Disabled
}

// databaseProblem returns what is wrong with the URL of a database and what to write
// instead. It repeats nothing of the URL, because any part of it may be the password.
func databaseProblem(u DatabaseURL) string {
	if path, ok := u.SQLitePath(); ok {
		return sqlitePathProblem(path)
	}
	parsed, err := url.Parse(u.Reveal())
	switch {
	case !u.Postgres():
		return "must be sqlite:PATH or postgres://…"
	case (err != nil || hasMisplacedUser(parsed)) && strings.Contains(u.Reveal(), "@"):
		return "is no URL: in user and password, write each of : / ? # [ ] @ % and the space as % with its code, such as %40 for @ and %2F for /"
	case err != nil || parsed.Path == "" && parsed.Host == "":
		return "is no URL: must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with HOST:PORT,HOST:PORT for several hosts"
	}
	return ""
}

// hasMisplacedUser reports whether an unescaped character of the password has ended the
// part of the URL that user and password are in.
func hasMisplacedUser(u *url.URL) bool {
	name, _, _ := strings.Cut(u.RawQuery, "=")
	return u.Fragment != "" || u.User == nil && strings.Contains(u.Path+name, "@")
}

// sqlitePathProblem returns what is wrong with a path that follows "sqlite:".
func sqlitePathProblem(path string) string {
	switch {
	case path == ":memory:":
		return "must name a file, because memory is lost in a restart"
	case strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return "has // before the path: write sqlite:PATH for a relative path, or sqlite:/PATH for an absolute one"
	case strings.ContainsRune(path, '?'):
		return "has parameters behind ?, which SQLite databases do not take here: write sqlite:PATH alone"
	}
	return ""
}

// keyRotationProblem checks key_rotation. A key must sign for at least twice the time for
// which its successor is announced.
func (c Config) keyRotationProblem() string {
	switch {
	case c.KeyRotation == 0:
		return ""
	case c.KeyRotation < time.Hour || c.KeyRotation > 87600*time.Hour:
		return "must be 0, or from 1h to 87600h"
	case c.KeyRotation < 2*c.JWKSMaxAge:
		return "must be 0, or at least twice jwks_max_age"
	}
	return ""
}

func (c Config) masterKeyProblem() string {
	if len(c.MasterKey.keys) == 0 && c.DatabaseURL.Postgres() {
		return "is required with PostgreSQL (32 random bytes in base64)"
	}
	return ""
}
