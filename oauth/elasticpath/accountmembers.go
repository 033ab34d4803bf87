package elasticpath

import (
	"net/http"

	"latchkey/storage"
)

const typeMember = "account_member"

// AccountMember is a user as accounts see it: read only, with the same id.
type AccountMember struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	UserFields
	Meta  Timestamps `json:"meta"`
	Links *Links     `json:"links,omitempty"` // in lists
}

// MemberBody is what is sent to change an account member: nothing of it can be
// changed here, where there are no flows.
type MemberBody struct {
	Type *string `json:"type"`
	ID   *string `json:"id"`
}

func memberPath(uid string) string { return "/v2/account-members/" + uid }

func member(u storage.User) AccountMember {
	return AccountMember{ID: u.UID, Type: typeMember, UserFields: userFields(u), Meta: timestamps(u.CreatedAt, u.UpdatedAt)}
}

func (a *API) listedMember(u storage.User) AccountMember {
	shown := member(u)
	shown.Links = &Links{Self: a.base + memberPath(u.UID)}
	return shown
}

func (a *API) listMembers(c *call) (reply, error) {
	q, err := userList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	scope := membersOf(settingsRealm)
	if c.holder != nil { // a member sees itself
		scope.Kind, q.Where = c.holder.Principal.User.Kind, append(q.Where, equals("UID", c.holder.Principal.User.UID))
	}
	found, err := a.cfg.Users.ListUsers(c.Context(), scope, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, func(u storage.UserLogin) AccountMember { return a.listedMember(u.User) }), nil
}

func (a *API) getMember(c *call) (reply, error) {
	u, err := a.memberOf(c)
	return a.document(http.StatusOK, member(u), memberPath(u.UID), u.Version), err
}

func (a *API) putMember(c *call) (reply, error) {
	var body MemberBody
	if _, err := c.read(&body, typeMember); err != nil {
		return reply{}, err
	}
	u, err := a.memberOf(c)
	return a.document(http.StatusOK, member(u), memberPath(u.UID), u.Version), err
}

// memberOf returns the account member that the path names, which is the caller
// itself if that is one.
func (a *API) memberOf(c *call) (storage.User, error) {
	id, ok := c.id("member")
	if !ok || !c.isOwn(id) {
		return storage.User{}, notFound("account member")
	}
	return a.memberByID(c, id)
}

// memberByID returns an account member: nobody who runs the shop is one.
func (a *API) memberByID(c *call, id string) (storage.User, error) {
	u, err := a.cfg.Users.UserByUID(c.Context(), id)
	if err == nil && (u.RealmID != settingsRealm || u.Kind != storage.Buyer && !c.isSelf(u)) {
		err = storage.ErrNotFound
	}
	return u, orNotFound(err, "account member")
}

// isSelf reports whether the user is the member who calls.
func (c *call) isSelf(u storage.User) bool {
	return c.holder != nil && c.holder.Principal.User.UID == u.UID
}
