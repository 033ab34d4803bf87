package dpop

import (
	"net"
	"net/url"
	"strings"
)

// normalize brings an absolute HTTP URL into the form in which two that mean the
// same are equal (RFC 3986 §6.2.2, §6.2.3), without query and fragment.
func normalize(raw string) (string, bool) {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, _ = strings.Cut(raw, "?")
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.ContainsFunc(u.Host, escaped) || u.User != nil {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	return scheme + "://" + authority(u, scheme) + withoutDots(unescape(u.EscapedPath())), true
}

// escaped tells whether a character of a host is an escape, or would need one: no
// host that a request goes to has any.
func escaped(c rune) bool { return c <= ' ' || c >= 0x7f || c == '%' }

// authority is the host in lower case, with the port unless it is the scheme's
// own.
func authority(u *url.URL, scheme string) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, port)
}

// withoutDots takes the segments "." and ".." out of a path and leaves a slash
// at its end and empty segments where they are (RFC 3986 §5.2.4).
func withoutDots(p string) string {
	if p == "" {
		return "/"
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unescape decodes what needs no escape and writes the other escapes in capitals
// (RFC 3986 §6.2.2.1, §6.2.2.2). The path is one that net/url has taken, so every
// escape is whole.
func unescape(p string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' || i+2 >= len(p) {
			b.WriteByte(p[i])
			continue
		}
		c := digit(p[i+1])<<4 | digit(p[i+2])
		if unreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
		i += 2
	}
	return b.String()
}

func digit(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// unreserved tells whether a character means the same with and without escape
// (RFC 3986 §2.3).
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~", c) >= 0
}
