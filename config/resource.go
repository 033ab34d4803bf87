package config

import (
	"errors"
	"net/url"
	"strings"
)

// Resource is a resource that access tokens are for: an absolute URI without a
// fragment (RFC 8707 §2). Resources are compared byte by byte.
type Resource string

var errResource = errors.New("must be an absolute URI such as https://api.example/orders, without a fragment")

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Resource) UnmarshalText(text []byte) error {
	name := string(text)
	u, err := url.Parse(name)
	if err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "" || u.User != nil {
		return errResource
	}
	if strings.Contains(name, "#") || strings.ContainsFunc(name, isSpaceOrControl) {
		return errResource
	}
	*r = Resource(name)
	return nil
}
