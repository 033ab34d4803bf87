package token

import (
	"context"
	"fmt"
	"slices"

	"latchkey/grants"
	"latchkey/storage"
)

// CurrentRoles returns the roles of an access token that still count: those that
// its user, client or membership has at this moment and the client's ceiling
// allows, and those that the sender of a message added. A role that was
// withdrawn stops counting here at once, though the token goes on. A role that
// was added needs a new token.
func CurrentRoles(c *AccessClaims, h *Holder) []string {
	has := h.Client.Roles
	switch {
	case h.Member != nil:
		has = h.Member.Membership.Roles
	case h.Principal != nil:
		has = h.Principal.Roles
	}
	entitled := grants.AllowedRoles(h.Client, c.Role)
	return slices.DeleteFunc(slices.Clone(c.Role), func(role string) bool {
		if slices.Contains(c.Elevated, role) {
			return false
		}
		return !slices.Contains(entitled, role) || !slices.Contains(has, role) && !slices.Contains(has, RoleFullAccess)
	})
}

// CurrentScope is CurrentRoles for the scope of a refresh family.
func CurrentScope(c *storage.Client, s *storage.FamilyState) []string {
	has := s.Principal.Roles
	if s.Member != nil {
		has = s.Member.Membership.Roles
	}
	lost := beyond(s.Family.Scope, has)
	return beyond(grants.AllowedRoles(c, s.Family.Scope), lost)
}

// AccessHolder is holder for an access token. It also returns ErrInvalidToken if
// the client now demands a role that the user, or the client that acts for
// itself, does not have. Account tokens carry no roles, and nothing is demanded
// for them.
func (v *Verifier) AccessHolder(ctx context.Context, c *AccessClaims) (*Holder, error) {
	h, err := v.holder(ctx, c.ref(), c.session(), &c.Claims)
	if err != nil {
		return nil, err
	}
	byIDAlone := h.Principal == nil && len(c.Role) == 0 // see ImplicitToken
	if !byIDAlone && BelowFloor(h.Client, h.Principal, h.Member) {
		return nil, fmt.Errorf("%w: a role is missing that the client demands", ErrInvalidToken)
	}
	return h, nil
}

// BelowFloor reports whether a role that the client demands is missing. p is nil
// for a client that acts for itself, m for a token that is scoped to no account.
func BelowFloor(c *storage.Client, p *storage.Principal, m *storage.Member) bool {
	has := c.Roles
	if p != nil {
		has = p.Roles
	}
	if m != nil {
		has = slices.Concat(has, m.Membership.Roles)
	}
	return len(beyond(c.MinimumRoles, has)) > 0
}

// beyond returns the members of roles that are not in has.
func beyond(roles, has []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return slices.Contains(has, role) })
}

// CurrentAccountRoles returns those of the token's roles in its account that its
// user still has there.
func CurrentAccountRoles(c *AccessClaims, h *Holder) []string {
	if h.Member == nil {
		return nil
	}
	return beyond(c.AccountRoles, beyond(c.AccountRoles, h.Member.Membership.Roles))
}
