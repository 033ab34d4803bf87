package elasticpath

import (
	"context"

	"latchkey/storage"
)

// RealmStore keeps authentication realms.
type RealmStore interface {
	Realm(ctx context.Context, id string) (storage.Realm, error)
	PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error)
	ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error)
}

// ProfileStore keeps password profiles.
type ProfileStore interface {
	// PasswordProfile may answer from memory; lists do not.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
	// DeletePasswordProfile deletes the logins of the profile as well. A profile
	// that is in use is storage.ErrConflict.
	DeletePasswordProfile(ctx context.Context, id string, version int64) error
}

// UserStore keeps users.
type UserStore interface {
	UserByUID(ctx context.Context, uid string) (storage.User, error)
	ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error)
	AddUser(ctx context.Context, u storage.NewUser) (storage.UserLogin, error)
	// ChangeUser stores the user, and the login and the password if given, in one
	// transaction.
	ChangeUser(ctx context.Context, u storage.User, l *storage.Login, p *storage.PasswordChange) (storage.UserLogin, error)
	DeleteUser(ctx context.Context, uid string, version int64) error
}

// LoginStore keeps the names that users sign in with.
type LoginStore interface {
	LoginByID(ctx context.Context, id string) (storage.Login, error)
	ListLogins(ctx context.Context, userUID string, q storage.Query) (storage.Page[storage.Login], error)
	PutLogin(ctx context.Context, l storage.Login) (storage.Login, error)
	DeleteLogin(ctx context.Context, id string, version int64) error
	// PrincipalOf reads all that a decision about the login's user needs.
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
	// Rules returns what a password of the user must be like in the profile.
	Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error)
}

// AccountStore keeps accounts.
type AccountStore interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	AccountByUID(ctx context.Context, uid string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error)
	DeleteAccount(ctx context.Context, uid string, version int64) error
}

// MembershipStore keeps who is a member of which account.
type MembershipStore interface {
	MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
	DeleteMembership(ctx context.Context, accountUID, userUID string) error
	ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error)
	// ListNonMembers lists the users who are no members of the account.
	ListNonMembers(ctx context.Context, realmID, accountUID string, q storage.Query) (storage.Page[storage.User], error)
	// Members lists the active accounts of a user in a fixed order.
	Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error)
}
