package wire

import "latchkey/storage"

// TypeMember is the type of an account member.
const TypeMember = "account_member"

// AccountMember is a user as accounts see it. It has the id of the user and cannot
// be changed.
type AccountMember struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	UserFields
	Meta  Timestamps `json:"meta"`
	Links *Links     `json:"links,omitempty"` // in lists
}

// MemberBody is what is sent to change an account member. Only its authentication
// flows could be changed, and there are none here.
type MemberBody struct {
	Type *string `json:"type"`
	ID   *string `json:"id"`
}

// MemberPath returns the path of an account member.
func MemberPath(userUID string) string { return "/v2/account-members/" + userUID }

// MemberFromRecord returns an account member as it is shown.
func MemberFromRecord(u storage.User) AccountMember {
	return AccountMember{ID: u.UID, Type: TypeMember, UserFields: userFields(u), Meta: timestamps(u.CreatedAt, u.UpdatedAt)}
}

// ListedMember returns an account member as lists show it. base is the address of
// the server.
func ListedMember(u storage.User, base string) AccountMember {
	shown := MemberFromRecord(u)
	shown.Links = &Links{Self: base + MemberPath(u.UID)}
	return shown
}
