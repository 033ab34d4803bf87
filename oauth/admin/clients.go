package admin

import (
	"context"
	"errors"
	"slices"

	"latchkey/storage"
)

// ChangeClient returns nil if the caller may make or change a client, its secrets or
// its assignments. before is nil for a new client. For secrets and assignments both
// are the same client. The caller needs the roles of RolesOfClient in both states.
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
// FullAccess, because it could be the last one.
var ErrOwnClient = errors.New("the client through which the caller has FullAccess cannot be deleted")

// DeleteClient returns nil if the caller may delete a client; see ChangeClient. It may
// also return ErrOwnClient.
func (r *Rules) DeleteClient(ctx context.Context, caller Caller, c storage.Client) error {
	if caller.ClientID == c.ID && caller.Has(RoleFullAccess) {
		return ErrOwnClient
	}
	return r.ChangeClient(ctx, caller, &c, nil)
}

// RolesOfClient returns the roles, sorted, that a person who controls a client can
// use.
//
// They are the client's own roles and those of the admin user that it acts as. If
// admin users sign in through it, they are also the most that these users can get
// there: the roles of its ceiling, or FullAccess without a ceiling, and the roles that
// it demands. A client without grants that stands for resources can introspect their
// tokens, which takes the role TokenIntrospection.
//
// Users of buyers and suppliers do not count, because the seller side manages them
// whatever their roles are. If the client names a user who does not exist, that counts
// as FullAccess, because nobody knows who will get the name.
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

// RaisedClient returns the roles, sorted, that a change adds to those of
// RolesOfClient. Everybody who knows a secret of the client gets them.
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
