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

// ErrInvalidTarget says that a requested resource does not exist, or that the client
// may not have tokens for it (RFC 8707 §2).
var ErrInvalidTarget = errors.New("resource is unknown or not for this client")

// Audience is the claim aud. It is a string in JSON for one name, and an array for
// several (RFC 7519 §4.1.3). Our tokens encode single names as a string, so an array
// with fewer than two entries is not from us.
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

// within reports whether the audience is not empty and names has all of it.
func (a Audience) within(names []string) bool {
	foreign := func(name string) bool { return !slices.Contains(names, name) }
	return len(a) > 0 && !slices.ContainsFunc(a, foreign)
}

// resourcesOf returns the resources that a client's tokens may be for: those of the
// client, or all of the server if the client has no list.
func (is *Issuer) resourcesOf(c *storage.Client) []string {
	if len(c.Resources) == 0 {
		return is.resources
	}
	return slices.DeleteFunc(slices.Clone(c.Resources), func(name string) bool { return !slices.Contains(is.resources, name) })
}

// DefaultAudience returns the audience of a client's tokens if the request names no
// resource: the server's default, or all resources of the client if the default is not
// among them.
func (is *Issuer) DefaultAudience(c *storage.Client) []string {
	allowed := is.resourcesOf(c)
	if slices.Contains(allowed, is.cfg.Audience) {
		return []string{is.cfg.Audience}
	}
	return allowed
}

// audienceOf returns the audience of a token for the resources, or DefaultAudience if
// there are none. The resources of a family or a token are checked again, because the
// lists of the client and the server may have changed.
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

// RequestedResources reads the parameter resource (RFC 8707 §2), which may be
// repeated. For token exchange it also reads audience (RFC 8693 §2.1), which has the
// same meaning here. It returns ErrInvalidTarget.
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
