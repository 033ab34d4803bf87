package oauth

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey/oauth/token"
	"latchkey/storage"
)

// UserAddress returns where the user is for whom the client, which must have
// authenticated itself, sends the request: where it came from, unless the client
// is confidential, its word is taken and it says something else in the header
// that Config.AddressHeader names. The answer is invalid if nobody knows.
func (e *Endpoints) UserAddress(r *http.Request, c *storage.Client) netip.Addr {
	if c.TrustAddress && !c.Public {
		if told, ok := e.toldAddress(r.Header); ok {
			return told
		}
	}
	return e.cfg.Address(r.Context())
}

// CallerAddress is UserAddress for who calls a resource endpoint. Only a token
// with which the client acts for itself, and has a role, is worth its secret: one
// of a user's is in the user's hands, and one without roles may be anybody's.
func (e *Endpoints) CallerAddress(r *http.Request, c *token.Caller) netip.Addr {
	if c.Principal != nil || len(c.Roles) == 0 {
		return e.cfg.Address(r.Context())
	}
	return e.UserAddress(r, c.Client)
}

// toldAddress reads the header that names the user's address. What is not one
// address, and that once, is as good as nothing.
func (e *Endpoints) toldAddress(h http.Header) (netip.Addr, bool) {
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
