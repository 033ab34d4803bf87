package oauth

import (
	"net/http"
	"net/netip"
	"strings"

	"latchkey/storage"
)

// UserAddress returns where the user is for whom the client, which must have
// authenticated itself, sends the request: where it came from, unless the client
// is confidential, its word is taken and it says something else in the header
// that Config.AddressHeader names. The answer is invalid if nobody knows.
func (p *Provider) UserAddress(r *http.Request, c *storage.Client) netip.Addr {
	if c.TrustAddress && !c.Public {
		if told, ok := p.toldAddress(r.Header); ok {
			return told
		}
	}
	return p.cfg.Address(r.Context())
}

// CallerAddress is UserAddress for who calls a resource endpoint. Only a token
// with which the client acts for itself, and has a role, is worth its secret: one
// of a user's is in the user's hands, and one without roles may be anybody's.
func (p *Provider) CallerAddress(r *http.Request, c *Caller) netip.Addr {
	if c.Principal != nil || len(c.Roles) == 0 {
		return p.cfg.Address(r.Context())
	}
	return p.UserAddress(r, c.Client)
}

// toldAddress reads the header that names the user's address. What is not one
// address, and that once, is as good as nothing.
func (p *Provider) toldAddress(h http.Header) (netip.Addr, bool) {
	if p.cfg.AddressHeader == "" {
		return netip.Addr{}, false
	}
	values := h.Values(p.cfg.AddressHeader)
	if len(values) != 1 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.TrimSpace(values[0]))
	return a.Unmap().WithZone(""), err == nil
}
