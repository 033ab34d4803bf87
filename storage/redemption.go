package storage

import "time"

// Redemption lets the one-time password of a login take effect in one statement, before
// the login is read. A store does that only in the ordinary case: the code is right, live
// and meant for this use; nothing is locked and no failure is counted; user and account
// are active, and the client admits them. In every other case it changes nothing. A store
// may be stricter, but never more lenient than Client.CodeRefusal, Client.CodeEnded and
// SettleLogin.
type Redemption struct {
	Key        LoginKey
	NameDigest Digest // of the presented code and the name of the login; see Code.NameDigest
	ClientID   string
	Purpose    Purpose     // that the code must have
	Admission  Admission   // by the client
	IssuedFrom time.Time   // codes that were issued earlier may have ended
	Grants     []RoleGrant // of which one must fit the user

	NewSourceID string       // ID of Key.Source if the login has not signed in from it yet; empty if Key.Source is empty
	SeenBefore  time.Time    // if Key.Source was last seen before this time, it is stored as seen at Now
	Family      *TokenFamily // that begins with the sign-in; the store sets UserUID, LoginID, SourceID and Scope. nil: none
	Now         time.Time
}

// RoleGrant is the scope of users whose roles come from the same records.
type RoleGrant struct {
	RoleSource string // see Principal
	Scope      []string
}

// Redeemed is a Redemption that took effect.
type Redeemed struct {
	Principal    Principal // only what tokens and audit events name, with Roles, Source.ID and RoleSource
	SourceID     string    // of the source of the sign-in; empty: unknown
	Scope        []string  // of the grant that fitted
	CodeID       string
	LastActiveAt time.Time // of the login, before
}

// Admission says which users a client admits; see Client.Admits.
type Admission struct {
	Kinds       []UserKind // all users of these kinds
	AccountUIDs []string   // and the users of these buyers and suppliers
}

// Admission returns which users the client admits.
func (c *Client) Admission() Admission {
	a := Admission{AccountUIDs: c.AccountUIDs}
	for _, of := range []struct {
		kind   UserKind
		admits bool
	}{{Admin, c.AllowSeller}, {Buyer, c.AllowAnyBuyer}, {Supplier, c.AllowAnySupplier}} {
		if of.admits {
			a.Kinds = append(a.Kinds, of.kind)
		}
	}
	return a
}

// UnchangedSince returns the latest time at which codes or tokens of any users of the
// client may have ended because of a change of the client.
func (c *Client) UnchangedSince() time.Time {
	since := c.ValidFrom
	for _, t := range c.PermittedSince {
		since = later(since, t)
	}
	return since
}
