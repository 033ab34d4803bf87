package admin

import (
	"context"
	"slices"

	"latchkey/storage"
)

// ChangeSender decides whether the caller may make, change, assign, withdraw or
// delete a message sender or an integration. before is nil for a new one, after
// for one that is deleted. The caller needs the roles of RolesOfSender in both
// states.
func (r *Rules) ChangeSender(caller Caller, before, after *storage.Sender) error {
	for _, state := range []*storage.Sender{before, after} {
		if state == nil {
			continue
		}
		if err := caller.Require(RolesOfSender(*state)); err != nil {
			return err
		}
	}
	return nil
}

// RolesOfSender returns the roles that whoever receives a sender's messages can
// use, sorted: those that it adds to the tokens in them, and FullAccess if it
// serves the admin users, those to come included.
func RolesOfSender(s storage.Sender) []string {
	roles := union(s.ElevatedRoles)
	if s.AllowSeller {
		roles = union(roles, []string{RoleFullAccess})
	}
	return roles
}

// ChangeDeliveryConfig decides whether the caller may change or delete the
// delivery config of that ID: its endpoint, its secrets or whether it is on. It
// takes the roles of all senders that use it.
func (r *Rules) ChangeDeliveryConfig(ctx context.Context, caller Caller, id string) error {
	senders, err := r.store.Senders(ctx)
	if err != nil {
		return err
	}
	for _, s := range senders {
		if s.DeliveryConfig != id {
			continue
		}
		if err := caller.Require(RolesOfSender(s)); err != nil {
			return err
		}
	}
	return nil
}

// IsServed reports whether a message sender serves a user with messages of the
// type, so that it is worth asking for one.
func (r *Rules) IsServed(ctx context.Context, t storage.MessageType, u storage.User) (bool, error) {
	senders, err := r.store.Senders(ctx)
	return slices.ContainsFunc(senders, func(s storage.Sender) bool {
		return s.RealmID == u.RealmID && s.Serves(t, u)
	}), err
}
