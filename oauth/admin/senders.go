package admin

import (
	"context"
	"slices"

	"latchkey/storage"
)

// ChangeSender returns nil if the caller may make, change, assign, withdraw or delete
// a message sender or an integration. before is nil for a new one, after is nil for
// one that is deleted. The caller needs the roles of RolesOfSender in both states.
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

// RolesOfSender returns the roles, sorted, that the receiver of a sender's messages
// can use: the roles that the sender adds to the tokens in messages, and FullAccess if
// it serves all admin users, future ones included.
func RolesOfSender(s storage.Sender) []string {
	roles := union(s.ElevatedRoles)
	if s.AllowSeller {
		roles = union(roles, []string{RoleFullAccess})
	}
	return roles
}

// ChangeDeliveryConfig returns nil if the caller may change or delete the delivery
// config of the ID: its endpoint, its secrets, or whether it is enabled. The caller
// needs the roles of all senders that use it.
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
