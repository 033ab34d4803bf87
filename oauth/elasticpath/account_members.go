package elasticpath

import (
	"net/http"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// listMembers lists all account members. A member sees only itself.
func listMembers(c *call) (surface.Answer, error) {
	fetch := func(q storage.Query) (storage.Page[storage.UserLogin], error) {
		scope := membersOf(wire.SettingsRealm)
		if c.holder != nil {
			scope.Kind, q.Where = c.holder.Principal.User.Kind, append(q.Where, equals("UID", c.holder.Principal.User.UID))
		}
		return c.cfg.Users.ListUsers(c.Context(), scope, q)
	}
	return list(c, userList, fetch, func(u storage.UserLogin) (wire.AccountMember, error) {
		return wire.ListedMember(u.User, c.base), nil
	})
}

func getMember(c *call) (surface.Answer, error) {
	u, err := findMember(c)
	return document(c, http.StatusOK, wire.MemberFromRecord(u), wire.MemberPath(u.UID), u.Version), err
}

// putMember changes nothing, because this server has no authentication flows.
func putMember(c *call) (surface.Answer, error) {
	var body wire.MemberBody
	if _, err := c.read(&body, wire.TypeMember); err != nil {
		return surface.Answer{}, err
	}
	return getMember(c)
}

// findMember returns the account member that the path names. If a member calls, that
// is the caller.
func findMember(c *call) (storage.User, error) {
	id, ok := c.id("member")
	if !ok || !c.isOwn(id) {
		return storage.User{}, notFound("account member")
	}
	return memberByID(c, id)
}

// memberByID returns an account member. Users who run the shop are not account
// members.
func memberByID(c *call, id string) (storage.User, error) {
	u, err := c.cfg.Users.UserByUID(c.Context(), id)
	if err == nil && (u.RealmID != wire.SettingsRealm || u.Kind != storage.Buyer && !c.isSelf(u.UID)) {
		err = storage.ErrNotFound
	}
	return u, orNotFound(err, "account member")
}
