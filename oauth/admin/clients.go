package admin

import (
	"context"
	"errors"
	"slices"

	"latchkey/storage"
)

// ChangeClient decides whether the caller may make or change a client, its secrets
// or its assignments. before is nil for a new client; for secrets and assignments
// the two are the same. The
// caller needs the roles of RolesOfClient in both states.
func (r *Rules) ChangeClient(ctx context.Context, caller Caller, before, after *storage.Client) error {
	for _, state := range []*storage.Client{before, after} {
		if state == nil {
			continue
		}
		roles, err := r.RolesOfClient(ctx, *state)
		if err == nil {
			err = caller.Require(roles)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ErrOwnClient says that a caller may not delete the client through which it has
// FullAccess: it could be the last one.
var ErrOwnClient = errors.New("the client through which the caller has FullAccess cannot be deleted")

// DeleteClient decides whether the caller may delete a client; see ChangeClient.
// ErrOwnClient is the other refusal.
func (r *Rules) DeleteClient(ctx context.Context, caller Caller, c storage.Client) error {
	if caller.ClientID == c.ID && caller.Has(RoleFullAccess) {
		return ErrOwnClient
	}
	return r.ChangeClient(ctx, caller, &c, nil)
}

// RolesOfClient returns the roles that whoever controls a client can use, sorted.
//
// They are the client's own and those of an admin user whom it acts as. If admin
// users sign in through it, they are also the most that those can get there: the
// roles of its ceiling, or FullAccess without one, and the roles that it demands
// of everybody. A client without grants that stands for resources is told of the
// tokens for those, which takes the role TokenIntrospection.
//
// Users of buyers and suppliers do not count: the seller side manages them
// whatever their roles. A user whom the client names and who does not exist
// counts as FullAccess, since nobody knows who will get the name.
func (r *Rules) RolesOfClient(ctx context.Context, c storage.Client) ([]string, error) {
	roles := slices.Clone(c.Roles)
	if len(c.GrantTypes) == 0 && len(c.Resources) > 0 {
		roles = append(roles, RoleIntrospect)
	}
	if c.AllowSeller {
		roles = append(roles, c.MinimumRoles...)
		if len(c.MaximumRoles) == 0 {
			roles = append(roles, RoleFullAccess)
		}
		roles = append(roles, c.MaximumRoles...)
	}
	if c.DefaultContextUser == "" {
		return union(roles), nil
	}
	user, err := r.contextUser(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case !user.Known:
		roles = append(roles, RoleFullAccess)
	case user.User.Kind == storage.Admin:
		roles = append(roles, user.Roles...)
	}
	return union(roles), nil
}

// RaisedClient returns the roles that a change adds to those of RolesOfClient,
// sorted. They become the roles of everybody who knows a secret of the client.
func (r *Rules) RaisedClient(ctx context.Context, before, after storage.Client) ([]string, error) {
	had, err := r.RolesOfClient(ctx, before)
	if err != nil {
		return nil, err
	}
	has, err := r.RolesOfClient(ctx, after)
	if err != nil {
		return nil, err
	}
	return Caller{Roles: had}.Beyond(has), nil
}
