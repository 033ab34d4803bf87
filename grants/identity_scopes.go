package grants

import (
	"slices"

	"latchkey/storage"
)

// The scopes of OpenID Connect Core 1.0 §5.4 and §11. They are no roles.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopePhone         = "phone"
	ScopeOfflineAccess = "offline_access"
)

// IdentityScopes returns the scopes of OpenID Connect. Every client of the authorization
// code grant may request them, beside roles.
func IdentityScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopePhone, ScopeOfflineAccess}
}

// SplitScope separates the scopes of OpenID Connect from the roles, in the scope of an
// authorization request.
func SplitScope(scope []string) (identity, roles []string) {
	for _, s := range scope {
		if slices.Contains(IdentityScopes(), s) {
			identity = append(identity, s)
		} else {
			roles = append(roles, s)
		}
	}
	return identity, roles
}

// AuthorizedRoles returns the roles of a token for an authorization request with the
// roles requested. They are those of GrantRoles: without requested roles all that user
// and client have in common, as in the password grant. There are two differences. A
// third-party client gets requested roles only, because its users consent to what is
// requested. A request with the scope openid asks for an identity, so it succeeds also if
// none of its roles can be granted.
func AuthorizedRoles(c *storage.Client, has, identity, requested []string) ([]string, error) {
	openID := slices.Contains(identity, ScopeOpenID)
	granted, err := GrantRoles(c, has, nil)
	switch {
	case err != nil: // the user lacks one of the client's MinimumRoles
		return nil, err
	case len(requested) == 0 && c.ThirdParty:
		return nil, nil
	case len(requested) == 0:
		return granted, nil
	case openID:
		return intersect(granted, requested), nil
	}
	return selectRoles(c, has, requested)
}

// identityOf returns the scopes of OpenID Connect among the scope of a family. Only
// families of the authorization code grant have some: in others such names are roles.
func identityOf(f *storage.TokenFamily) []string {
	if f.SessionID == "" {
		return nil
	}
	identity, _ := SplitScope(f.Scope)
	return identity
}

// refreshedScope returns the scopes of OpenID Connect and the roles of a token of a family
// (RFC 6749 §6).
func refreshedScope(c *storage.Client, s *Session, f *storage.TokenFamily, requested []string) (identity, roles []string, err error) {
	identity = identityOf(f)
	if len(identity) == 0 || len(requested) == 0 {
		roles, err = familyRoles(c, s, f, identity, requested)
		return identity, roles, err
	}
	identity = intersect(identity, requested)
	asked := slices.DeleteFunc(slices.Clone(requested), func(name string) bool { return slices.Contains(identity, name) })
	if len(asked) == 0 {
		return identity, nil, checkMinimum(c, s)
	}
	roles, err = narrowRoles(c, s, f.Scope, asked)
	return identity, roles, err
}

// familyRoles is narrowRoles for a family. One with the scope openid may have no roles.
func familyRoles(c *storage.Client, s *Session, f *storage.TokenFamily, identity, requested []string) ([]string, error) {
	granted := slices.DeleteFunc(slices.Clone(f.Scope), func(name string) bool { return slices.Contains(identity, name) })
	return narrowRoles(c, s, granted, requested)
}
