package oauth

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey/oauth/token"
	"latchkey/storage"
)

// UserAddress returns the address of the user for whom an authenticated client sends
// the request. It is the address in the header Config.AddressHeader if the client
// is confidential and trusted with it (storage.Client.TrustAddress). Otherwise it is
// the address that the request came from, which is invalid if unknown.
func (e *Endpoints) UserAddress(r *http.Request, c *storage.Client) netip.Addr {
	if c.TrustAddress && !c.Public {
		if named, ok := e.addressFromHeader(r.Header); ok {
			return named
		}
	}
	return e.cfg.Address(r.Context())
}

// CallerAddress returns the UserAddress of the caller of a resource endpoint. Only a
// token of a client that acts for itself and has a role proves that the client sent
// the request: users have their own tokens, and anybody can get one without roles.
func (e *Endpoints) CallerAddress(r *http.Request, c *token.Caller) netip.Addr {
	if c.Principal != nil || len(c.Roles) == 0 {
		return e.cfg.Address(r.Context())
	}
	return e.UserAddress(r, c.Client)
}

// addressFromHeader reads the header that names the user's address. ok is false if
// there is no such header, several, or one that is not a single address.
func (e *Endpoints) addressFromHeader(h http.Header) (netip.Addr, bool) {
	if e.cfg.AddressHeader == "" {
		return netip.Addr{}, false
	}
	values := h.Values(e.cfg.AddressHeader)
	if len(values) != 1 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.TrimSpace(values[0]))
	return a.Unmap().WithZone(""), err == nil
}
