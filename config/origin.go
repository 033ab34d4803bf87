package config

import (
	"errors"
	"net/url"
	"strings"
)

// Origin is a web origin as browsers send it (RFC 6454 §6.2): scheme, host, and the
// port unless it is the default of the scheme. An example is https://shop.example.
type Origin string

var errOrigin = errors.New("must be an origin such as https://shop.example, without a path")

// UnmarshalText implements encoding.TextUnmarshaler. It stores the normal form.
func (o *Origin) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(u.Host, "*") {
		return errOrigin
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(u.Host, ":") {
		return errOrigin
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	*o = Origin(u.Scheme + "://" + host)
	return nil
}
