package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"latchkey/grants"
	"latchkey/storage"
)

// ErrInvalidTarget says that a token was asked for a resource that there is not,
// or that the client may not have tokens for (RFC 8707 §2).
var ErrInvalidTarget = errors.New("resource is unknown or not for this client")

// Audience is the claim aud. It is a string in JSON for one name, and an array for
// several (RFC 7519 §4.1.3). Single names are encoded as a string, so an array with
// fewer than two is not in a token of ours.
type Audience []string

// MarshalJSON implements json.Marshaler.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Audience) UnmarshalJSON(text []byte) error {
	var one *string
	if err := json.Unmarshal(text, &one); err == nil {
		*a = nil
		if one != nil {
			*a = Audience{*one}
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

// within reports whether the audience is not empty and every name is in names.
func (a Audience) within(names []string) bool {
	foreign := func(name string) bool { return !slices.Contains(names, name) }
	return len(a) > 0 && !slices.ContainsFunc(a, foreign)
}

// resourcesOf are the resources that a client's tokens may be for: the server's,
// the default audience among them, unless the client has a list of its own.
func (is *Issuer) resourcesOf(c *storage.Client) []string {
	if len(c.Resources) == 0 {
		return is.resources
	}
	return slices.DeleteFunc(slices.Clone(c.Resources), func(name string) bool { return !slices.Contains(is.resources, name) })
}

// DefaultAudience is what a client's tokens are for if it does not say: the
// server's default, or all that it may have if that is not among it.
func (is *Issuer) DefaultAudience(c *storage.Client) []string {
	allowed := is.resourcesOf(c)
	if slices.Contains(allowed, is.cfg.Audience) {
		return []string{is.cfg.Audience}
	}
	return allowed
}

// audienceOf is the audience of a token for the resources; without any, for the
// default. What a family or a token has is checked anew: the client's list and
// the server's may have changed.
func (is *Issuer) audienceOf(c *storage.Client, resources []string) (Audience, error) {
	if len(resources) == 0 {
		resources = is.DefaultAudience(c)
	}
	a := Audience(resources)
	if !a.within(is.resourcesOf(c)) {
		return nil, ErrInvalidTarget
	}
	return a, nil
}

// RequestedResources reads the parameter resource (RFC 8707 §2), of which there
// may be several, and of token exchange also audience (RFC 8693 §2.1), which
// means the same here.
func (is *Issuer) RequestedResources(form url.Values, c *storage.Client) ([]string, error) {
	asked := form["resource"]
	for _, name := range asked {
		if !isAbsolute(name) {
			return nil, fmt.Errorf("%w: %.64q is no absolute URI", ErrInvalidTarget, name)
		}
	}
	if form.Get("grant_type") == grants.GrantTokenExchange {
		asked = slices.Concat(asked, form["audience"])
	}
	var resources []string
	allowed := is.resourcesOf(c)
	for _, name := range asked {
		if !slices.Contains(allowed, name) {
			return nil, ErrInvalidTarget
		}
		if !slices.Contains(resources, name) {
			resources = append(resources, name)
		}
	}
	return resources, nil
}

// isAbsolute reports whether a resource is an absolute URI without a fragment.
func isAbsolute(resource string) bool {
	u, err := url.Parse(resource)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "") && !hasFragment(resource)
}

// hasFragment also finds an empty fragment, which net/url does not report.
func hasFragment(uri string) bool { return slices.Contains([]byte(uri), '#') }
