package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"latchkey/otp/domain"
)

// ownPaths are the first segments of the paths that the server serves at its
// root. An issuer's path must not begin with one of them: a request could then
// mean either of two resources.
var ownPaths = []string{".well-known", "oauth", "openapi.json", "v1", "v2"}

// issuerProblem says what is wrong with an issuer identifier and what to write,
// or returns "". RFC 8414 §2 wants a URL without query and fragment. Clients
// compare issuers letter by letter, and many normalise URLs before they use
// them, so the URL must be in its normal form (RFC 3986 §6.2). Plain http is
// allowed, for development and for networks where something else protects the
// connection.
func issuerProblem(issuer string) string {
	if strings.ContainsFunc(issuer, isSpaceOrControl) {
		return "must have no spaces and control characters"
	}
	scheme, rest, _ := strings.Cut(issuer, "://")
	authority, below, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		return "must have no user: " + write(scheme+"://"+rest[at+1:])
	}
	if lower := strings.ToLower(scheme); lower != scheme && (lower == "http" || lower == "https") {
		return "must have its scheme in lower case: " + write(lower+"://"+rest)
	}
	if scheme != "http" && scheme != "https" || rest == "" {
		return "must be an http or https URL such as https://id.example"
	}
	if at := strings.IndexAny(rest, "?#"); at >= 0 {
		return "must have no query or fragment: " + write(scheme+"://"+rest[:at])
	}
	host, port := splitAuthority(authority)
	suffix := strings.TrimPrefix(rest, host)
	if problem := hostProblem(host, scheme+"://", suffix); problem != "" {
		return problem
	}
	if problem := portProblem(port, scheme); problem != "" {
		return problem
	}
	if len(rest) == len(authority) {
		return ""
	}
	return pathProblem(below, scheme+"://"+authority)
}

// write returns the advice at the end of a problem: the corrected URL. The URL may still
// have other faults. The next check reports those.
func write(url string) string { return fmt.Sprintf("write %s", printable(url)) }

// splitAuthority splits an authority (RFC 3986 §3.2) into the host, with the brackets of an
// IPv6 address, and the rest, which is empty or begins with a colon.
func splitAuthority(authority string) (host, port string) {
	from := strings.LastIndex(authority, "]") + 1 // colons in brackets belong to the host
	if colon := strings.Index(authority[from:], ":"); colon >= 0 {
		return authority[:from+colon], authority[from+colon:]
	}
	return authority, ""
}

func hostProblem(host, before, after string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		switch {
		case err != nil || !ip.Is6() || ip.Zone() != "" || !strings.HasSuffix(host, "]"):
			return "must have an IPv6 address without a zone in its brackets, such as http://[::1]:8080"
		case "["+ip.String()+"]" != host:
			return "must have its address in the usual form: " + write(before+"["+ip.String()+"]"+after)
		}
		return ""
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r > '~' }) {
		ascii, err := domain.ToASCII(host)
		if err != nil || !isHostName(ascii) {
			return "must have an internet host name in ASCII (RFC 5890)"
		}
		return "must have its host in ASCII (RFC 5890): " + write(before+ascii+after)
	}
	if lower := strings.ToLower(host); lower != host {
		return "must have its host in lower case: " + write(before+lower+after)
	}
	if bare := strings.TrimSuffix(host, "."); bare != host && isHostName(bare) {
		return "must have no dot at the end of its host: " + write(before+bare+after)
	}
	if !isHostName(host) {
		return "must have a host name or an IP address, such as https://id.example"
	}
	return ""
}

// isHostName accepts names of labels (RFC 1123 §2.1), underscores included because
// container networks use them, and IPv4 addresses. If the last label is a number, the name
// must be an IPv4 address (WHATWG URL §3.5).
func isHostName(host string) bool {
	labels := strings.Split(host, ".")
	if isNumber(labels[len(labels)-1]) {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is4()
	}
	odd := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || '9' < r) && (r < 'a' || 'z' < r)
	}
	return len(host) <= 253 && !slices.ContainsFunc(labels, func(l string) bool {
		return l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, odd)
	})
}

// isNumber reports whether a label could be part of an IPv4 address, whose parts
// may be hexadecimal in URLs.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return !strings.ContainsFunc(hex, func(r rune) bool { return (r < '0' || '9' < r) && (r < 'a' || 'f' < r) })
	}
	return label != "" && !strings.ContainsFunc(label, func(r rune) bool { return r < '0' || '9' < r })
}

func portProblem(port, scheme string) string {
	if port == "" {
		return ""
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	switch {
	case err != nil || n == 0 || strconv.FormatUint(n, 10) != port[1:]:
		return "must have a port from 1 to 65535, or none and no colon"
	case scheme == "https" && n == 443, scheme == "http" && n == 80:
		return fmt.Sprintf("must not name the port %d, which %s has anyway", n, scheme)
	}
	return ""
}

// pathProblem checks the path of an issuer behind its first slash. Only
// characters that every URL library, proxy and router leaves alone are allowed:
// those that RFC 3986 §2.3 calls unreserved.
func pathProblem(below, before string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("-._~", r) && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
	}
	if strings.ContainsFunc(strings.ReplaceAll(below, "/", ""), odd) {
		return "must have no other characters in its path than letters, digits and -._~"
	}
	clean := strings.TrimSuffix(path.Clean("/"+below), "/")
	if first := strings.Split(strings.TrimPrefix(clean, "/"), "/")[0]; slices.Contains(ownPaths, first) {
		return "must not have a path that begins with one of the server's own: /" + strings.Join(ownPaths, ", /")
	}
	switch "/" + below {
	case clean:
		return ""
	case clean + "/":
		return "must not end in a slash: " + write(before+clean)
	}
	return "must have no empty segments and no . or .. in its path: " + write(before+clean)
}

// derivedIssuer returns the default issuer of a server that listens at the address:
// the URL at which a client on the same machine calls it.
func derivedIssuer(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen // the address has a fault of its own
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	} else if err == nil {
		host = ip.String()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	}
	address := net.JoinHostPort(strings.ToLower(host), port)
	if port == "80" {
		address = strings.TrimSuffix(address, ":80")
	}
	return "http://" + address
}

// AnyPort reports whether the system chooses the port to listen on; see WithPort.
func (c Config) AnyPort() bool {
	_, port, err := net.SplitHostPort(c.Listen)
	return err == nil && strings.Trim(port, "0") == "" && port != ""
}

// issuerProblem checks the issuer. If the system chooses the port, it checks the issuer
// with an arbitrary port.
func (c Config) issuerProblem() string {
	if c.AnyPort() {
		c = c.WithPort(1)
	}
	problem := issuerProblem(c.Issuer)
	if problem != "" && c.Issuer == derivedIssuer(c.Listen) {
		problem += " (it follows from listen)"
	}
	return problem
}

// WithPort returns the configuration with the port that the system chose. It
// returns c unchanged if Listen does not have port 0. An issuer that was derived
// from Listen then contains the port, and an audience that was derived from the
// issuer does too.
func (c Config) WithPort(port int) Config {
	if !c.AnyPort() {
		return c
	}
	host, _, _ := net.SplitHostPort(c.Listen) // AnyPort has split it
	before := derivedIssuer(c.Listen)
	c.Listen = net.JoinHostPort(host, strconv.Itoa(port))
	if c.Issuer != before {
		return c
	}
	return c.WithIssuer(derivedIssuer(c.Listen))
}

// WithIssuer returns the configuration with the issuer of other servers. Audience
// and site name change with it if they were derived from the issuer.
func (c Config) WithIssuer(issuer string) Config {
	before := c
	c.Issuer = issuer
	if c.Audience == before.Issuer {
		c.Audience = issuer
	}
	if c.SiteName == hostOf(before.Issuer) {
		c.SiteName = hostOf(issuer)
	}
	return c
}

// hostOf returns the host of a URL, or "" if the text is no URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// IssuerPath returns the path of the issuer without a slash at its end. It is
// usually empty.
func (c Config) IssuerPath() string {
	_, rest, _ := strings.Cut(c.Issuer, "://")
	if slash := strings.Index(rest, "/"); slash >= 0 {
		return strings.TrimSuffix(rest[slash:], "/")
	}
	return ""
}
