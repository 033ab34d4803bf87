package token

import (
	"context"
	"fmt"
	"slices"

	"latchkey/grants"
	"latchkey/storage"
)

// CurrentRoles returns the roles of an access token that are still valid. These are
// the roles that its user, client or membership has now and that the client's ceiling
// allows, and the roles that the sender of a message added. A role that was withdrawn
// is invalid here at once, although the token stays valid. A role that was added needs
// a new token.
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

// CurrentScope returns the roles of a refresh family that are still valid, as
// CurrentRoles does.
func CurrentScope(c *storage.Client, s *storage.FamilyState) []string {
	has := s.Principal.Roles
	if s.Member != nil {
		has = s.Member.Membership.Roles
	}
	var identity []string
	roles := s.Family.Scope
	if s.Family.SessionID != "" {
		identity, roles = grants.SplitScope(roles)
	}
	lost := beyond(roles, has)
	return slices.Concat(identity, beyond(grants.AllowedRoles(c, roles), lost))
}

// AccessHolder returns the Holder of an access token, as holder does. It also returns
// ErrInvalidToken if the user lacks a role that the client demands now, or the client
// lacks it and acts for itself. Account tokens have no roles, so nothing is demanded
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

// BelowFloor reports whether a role that the client demands is missing. p is nil for a
// client that acts for itself, m is nil for a token that is scoped to no account.
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

// beyond returns the roles that are not in has.
func beyond(roles, has []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return slices.Contains(has, role) })
}

// CurrentAccountRoles returns the roles of the token in its account that the user
// still has there.
func CurrentAccountRoles(c *AccessClaims, h *Holder) []string {
	if h.Member == nil {
		return nil
	}
	return beyond(c.AccountRoles, beyond(c.AccountRoles, h.Member.Membership.Roles))
}
