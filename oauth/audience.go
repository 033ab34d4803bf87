package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"latchkey/grants"
	"latchkey/storage"
)

// errInvalidTarget says that a token was asked for a resource that there is not,
// or that the client may not have tokens for (RFC 8707 §2).
var errInvalidTarget = errors.New("resource is unknown or not for this client")

// audience is whom a token is for: in JSON a string for one, an array for several
// (RFC 7519 §4.1.3). An array of fewer than two was not written here.
type audience []string

// MarshalJSON implements json.Marshaler.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one *string
	if err := json.Unmarshal(text, &one); err == nil {
		*a = nil
		if one != nil {
			*a = audience{*one}
		}
		return nil
	}
	var several []string
	if err := json.Unmarshal(text, &several); err != nil {
		return fmt.Errorf("aud: %w", err)
	}
	if len(several) < 2 {
		return errors.New("aud: an array of fewer than two")
	}
	*a = several
	return nil
}

// within tells whether the audience is one, and has nobody who is not named.
func (a audience) within(names []string) bool {
	foreign := func(name string) bool { return !slices.Contains(names, name) }
	return len(a) > 0 && !slices.ContainsFunc(a, foreign)
}

// resourcesOf are the resources that a client's tokens may be for: the server's,
// the default audience among them, unless the client has a list of its own.
func (p *Provider) resourcesOf(c *storage.Client) []string {
	if len(c.Resources) == 0 {
		return p.resources
	}
	return slices.DeleteFunc(slices.Clone(c.Resources), func(name string) bool { return !slices.Contains(p.resources, name) })
}

// defaultAudience is what a client's tokens are for if it does not say: the
// server's default, or all that it may have if that is not among it.
func (p *Provider) defaultAudience(c *storage.Client) []string {
	allowed := p.resourcesOf(c)
	if slices.Contains(allowed, p.cfg.Audience) {
		return []string{p.cfg.Audience}
	}
	return allowed
}

// audienceOf is the audience of a token for the resources; without any, for the
// default. What a family or a token has is checked anew: the client's list and
// the server's may have changed.
func (p *Provider) audienceOf(c *storage.Client, resources []string) (audience, error) {
	if len(resources) == 0 {
		resources = p.defaultAudience(c)
	}
	a := audience(resources)
	if !a.within(p.resourcesOf(c)) {
		return nil, errInvalidTarget
	}
	return a, nil
}

// requestedResources reads the parameter resource (RFC 8707 §2), of which there
// may be several, and of token exchange also audience (RFC 8693 §2.1), which
// means the same here.
func (p *Provider) requestedResources(form url.Values, c *storage.Client) ([]string, error) {
	asked := form["resource"]
	for _, name := range asked {
		if !isAbsolute(name) {
			return nil, fmt.Errorf("%w: %.64q is no absolute URI", errInvalidTarget, name)
		}
	}
	if form.Get("grant_type") == grants.GrantTokenExchange {
		asked = slices.Concat(asked, form["audience"])
	}
	var resources []string
	allowed := p.resourcesOf(c)
	for _, name := range asked {
		if !slices.Contains(allowed, name) {
			return nil, errInvalidTarget
		}
		if !slices.Contains(resources, name) {
			resources = append(resources, name)
		}
	}
	return resources, nil
}

// isAbsolute tells whether a resource is an absolute URI without a fragment.
func isAbsolute(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "") && !hasFragment(resource)
}

// hasFragment sees an empty one as well, which net/url does not tell.
func hasFragment(uri string) bool { return slices.Contains([]byte(uri), '#') }
