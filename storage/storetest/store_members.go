package storetest

import (
	"context"
	"time"

	"latchkey/storage"
)

// MembersAndPasswords holds the methods about memberships, users with logins, and
// permanent passwords.
type MembersAndPasswords interface {
	Members
	Signup
	Passwords
	Principals
}

// Members reads the memberships of users.
type Members interface {
	Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error)
	Member(ctx context.Context, userUID, accountID string) (storage.Member, error)
	MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error)
	AccountByUID(ctx context.Context, uid string) (storage.Account, error)
}

// Signup creates and changes users with their logins.
type Signup interface {
	AddUser(ctx context.Context, n storage.NewUser) (storage.UserLogin, error)
	ChangeUser(ctx context.Context, u storage.User, l *storage.Login, p *storage.PasswordChange) (storage.UserLogin, error)
	RevokeUserTokens(ctx context.Context, userUID string, now time.Time) error
}

// Passwords sets permanent passwords.
type Passwords interface {
	Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error)
	VerificationCode(ctx context.Context, loginID string) (storage.VerificationCode, error)
	ChangePassword(ctx context.Context, x storage.PasswordChange) error
	FormerPasswords(ctx context.Context, loginID string, n int) ([]string, error)
}

// Principals reads logins by their IDs.
type Principals interface {
	LoginByID(ctx context.Context, id string) (storage.Login, error)
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
}
