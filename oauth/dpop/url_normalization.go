package dpop

import (
	"net"
	"net/url"
	"strings"
)

// normalizeURL normalizes an absolute HTTP URL, so that two equivalent URLs become equal
// (RFC 3986 §6.2.2, §6.2.3). It removes query and fragment. It returns false if the text
// is not an absolute HTTP URL.
func normalizeURL(raw string) (string, bool) {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, _ = strings.Cut(raw, "?")
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.ContainsFunc(u.Host, escapedInHost) || u.User != nil {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	return scheme + "://" + authority(u, scheme) + removeDotSegments(normalizeEscapes(u.EscapedPath())), true
}

// escapedInHost reports whether a character of a host is a percent sign or would need
// percent-encoding. Such hosts are refused, because no request is sent to one.
func escapedInHost(c rune) bool { return c <= ' ' || c >= 0x7f || c == '%' }

// authority returns the host in lower case, and the port unless it is the default port
// of the scheme.
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

// removeDotSegments removes the segments "." and ".." from a path (RFC 3986 §5.2.4). It
// keeps empty segments and a slash at the end.
func removeDotSegments(p string) string {
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

// normalizeEscapes decodes percent-encoded characters that are unreserved, and writes the
// other escapes in upper case (RFC 3986 §6.2.2.1, §6.2.2.2). net/url has parsed the path,
// so no escape is incomplete.
func normalizeEscapes(p string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' || i+2 >= len(p) {
			b.WriteByte(p[i])
			continue
		}
		c := hexDigit(p[i+1])<<4 | hexDigit(p[i+2])
		if unreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
		i += 2
	}
	return b.String()
}

// hexDigit returns the value of a hexadecimal digit.
func hexDigit(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// unreserved reports whether a character means the same with and without
// percent-encoding (RFC 3986 §2.3).
func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~", c) >= 0
}
