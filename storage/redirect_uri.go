package storage

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxRedirectURI is the longest redirect URI that a client may have, in bytes.
const maxRedirectURI = 2000

// uriCharacters are the characters of RFC 3986 §2 except "*", which people take for a
// wildcard, and "#", which begins a fragment.
var uriCharacters = regexp.MustCompile(`^[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]+$`)

// privateScheme is a scheme of a native application. It is based on a domain name, so it
// has a period (RFC 8252 §7.1). Schemes that browsers handle themselves, such as javascript
// and data, have none.
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)

// CheckRedirectURI returns an error that says why a client must not have the redirect
// URI, or nil (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §2.1). Allowed are https, http on
// the loopback interface, and private schemes with a period. The URI is complete: it has
// no wildcard, fragment or user.
func CheckRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case len(uri) > maxRedirectURI:
		return fmt.Errorf("is longer than %d bytes", maxRedirectURI)
	case err != nil || !u.IsAbs():
		return errors.New("is no absolute URI")
	case strings.Contains(uri, "#"):
		return errors.New("must not have a fragment")
	case strings.Contains(uri, "*"):
		return errors.New("must not have a wildcard: it is compared as it is")
	case !uriCharacters.MatchString(uri):
		return errors.New("has characters that a URI cannot have")
	case u.User != nil:
		return errors.New("must not have a user")
	}
	return checkRedirectScheme(u)
}

// plainHost matches host names and IPv4 addresses. The other characters that a URI may have
// in a host separate directives or policies in the header Content-Security-Policy.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

func hasWebHost(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return plainHost.MatchString(u.Hostname()) || err == nil && a.Zone() == ""
}

func checkRedirectScheme(u *url.URL) error {
	switch {
	case (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && !hasWebHost(u):
		return errors.New("has a host that is neither a host name nor an IP address")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("must use https: plain http is for the loopback interface only")
	case privateScheme.MatchString(u.Scheme) && (u.Host != "" || u.Path != "" || u.Opaque != ""):
		return nil
	}
	return errors.New("must use https, http on the loopback interface, or a private scheme with a period, such as com.example.app:/callback")
}

// CheckLogoutURI returns an error that says why a client must not have the URI for
// back-channel logout, or nil (OpenID Connect Back-Channel Logout 1.0 §2.2).
func CheckLogoutURI(uri string) error {
	if err := CheckRedirectURI(uri); err != nil {
		return err
	}
	if !strings.HasPrefix(uri, "https:") && !strings.HasPrefix(uri, "http:") {
		return errors.New("must use https, or http on the loopback interface")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() && a.Zone() == ""
}

// loopbackURI separates the port from a URI of the loopback interface.
var loopbackURI = regexp.MustCompile(`^(http://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[[0-9a-fA-F:]+\]))(?::[0-9]{1,5})?((?:[/?].*)?)$`)

// HasRedirectURI reports whether the client has the redirect URI of a request. The
// comparison is exact, but the port of a URI of the loopback interface is free
// (RFC 8252 §7.3). The console has one port, that of the issuer: other programs on the
// machine must not get its codes.
func (c *Client) HasRedirectURI(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	asked := loopbackURI.FindStringSubmatch(uri)
	if asked == nil || c.ID == ConsoleClientID {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		has := loopbackURI.FindStringSubmatch(registered)
		return has != nil && has[1] == asked[1] && has[2] == asked[2]
	})
}
