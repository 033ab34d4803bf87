package surface

import (
	"context"

	"latchkey/storage"
)

// AccountStore stores accounts: buyers and suppliers, or the accounts of /v2.
type AccountStore interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	AccountByUID(ctx context.Context, uid string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error)
	DeleteAccount(ctx context.Context, uid string, version int64) error
}

// UserStore stores users with their logins.
type UserStore interface {
	User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error)
	UserByUID(ctx context.Context, uid string) (storage.User, error)
	ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error)
	AddUser(ctx context.Context, n storage.NewUser) (storage.UserLogin, error)
	// ChangeUser stores the user, and the login and the password if given, in one
	// transaction.
	ChangeUser(ctx context.Context, u storage.User, l *storage.Login, p *storage.PasswordChange) (storage.UserLogin, error)
	DeleteUser(ctx context.Context, uid string, version int64) error
	// DeleteUserLogin deletes the user if its login has the given version as well.
	DeleteUserLogin(ctx context.Context, u storage.UserLogin) error
}

// SenderStore stores message senders and integrations.
type SenderStore interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	PutSender(ctx context.Context, s storage.Sender) (storage.Sender, error)
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)
	DeleteSender(ctx context.Context, id string, version int64) error
}

// LoginReader reads the user of a login, and the rules for passwords.
type LoginReader interface {
	// PrincipalOf returns all that a decision about the user of a login needs.
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
	// Rules returns the password rules for a user in a password profile.
	Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error)
}

// PasswordMaker checks and hashes permanent passwords; *signin.Passwords is one.
// It writes nothing.
type PasswordMaker interface {
	// Prepare checks a password that an administrator sets for a user.
	Prepare(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error)
	// PrepareOwn checks a password that a user sets for itself.
	PrepareOwn(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error)
}

// Sealer encrypts secrets that must be read back; *keys.Sealer is one. context
// keeps the secret of one member from passing for that of another.
type Sealer interface {
	Seal(plain []byte, context string) (storage.Sealed, error)
	Open(sealed storage.Sealed, context string) ([]byte, error)
}
