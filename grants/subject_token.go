package grants

import (
	"context"
	"time"

	"latchkey/storage"
)

// SubjectToken is the verified content of a token that a request presents instead of
// credentials: the member_token or selection_token of the account-member grant, or the
// subject_token of token exchange (RFC 8693 §2.1).
type SubjectToken struct {
	Principal storage.Principal // the user, as it is now
	Member    *storage.Member   // of the account that the token is scoped to, as it is now; nil: none
	AMR       []string          // authentication methods of the sign-in (RFC 8176 §2)
	Purpose   storage.Purpose   // of the one-time password of the sign-in; empty: none, or to sign in
	AuthTime  time.Time         // of the sign-in; zero: the token does not come from one
	Access    bool              // it is an access token; false: an account management or selection token, without roles
	Scope     []string          // of an access token
	Narrowed  bool              // see AccessToken.Narrowed
	FamilyID  string            // of the refresh token issued with it; may be empty
	SessionID string            // of the session that the token belongs to
	Resources []string          // audience of an access token; empty: the default audience
	JKT       string            // thumbprint of the key that it is bound to (RFC 9449 §6.1); empty: none
	SourceID  string            // of the source of the sign-in; empty: unknown
	TokenID   string            // of the token
	IssuedAt  time.Time         // of the token, in microseconds
	ExpiresAt time.Time         // of the token
}

// SubjectTokens verifies subject tokens, and writes selection tokens. VerifySubject and
// VerifySelection return ErrSubjectToken if the token is not one of ours, not of that
// kind, issued to another client, or expired. They also do if the token, its family, or
// the sessions of its user or login were ended since it was issued.
type SubjectTokens interface {
	// VerifySubject verifies an access token or an account management token.
	VerifySubject(ctx context.Context, c *storage.Client, token string) (SubjectToken, error)
	// VerifySelection verifies a selection token.
	VerifySelection(ctx context.Context, c *storage.Client, token string) (SubjectToken, error)
	// MintSelection signs a selection token: a short-lived token with which a user who
	// has just signed in chooses an account. It must have no other effect.
	MintSelection(ctx context.Context, s SelectionToken) (token string, life time.Duration, err error)
	// SpendSelection calls do and uses up a selection token in one transaction: both
	// take effect, or neither. It returns ErrSubjectToken if the token was used before.
	SpendSelection(ctx context.Context, h SubjectToken, do func(context.Context) error) error
}

// SelectionToken is the content of a selection token to mint.
type SelectionToken struct {
	Client    *storage.Client
	Principal *storage.Principal
	AMR       []string
	Purpose   storage.Purpose // of the one-time password of the sign-in; empty: none, or to sign in
	AuthTime  time.Time
	SourceID  string    // of the source of the sign-in; empty: unknown
	JKT       string    // thumbprint of the key that it is bound to; empty: none
	IssuedAt  time.Time // UTC, as exact as the clock
}

// MemberStore reads the memberships of a user in active accounts.
type MemberStore interface {
	// Members lists the memberships, the oldest first.
	Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error)
	// Member reads the membership in the account with that ID. It returns
	// storage.ErrNotFound if there is none, or the account is not active.
	Member(ctx context.Context, userUID, accountID string) (storage.Member, error)
}

// ProfileStore reads password profiles.
type ProfileStore interface {
	// PasswordProfile reads a profile by its id, or returns storage.ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
}

// recentSignIn is how long after a sign-in its account management tokens give tokens for
// the user's other accounts.
const recentSignIn = time.Hour

// IsRecentSignIn reports whether a sign-in at the time authTime is recent. While it is,
// its account management tokens give tokens for all accounts of the user. Later they
// give tokens for their own account only, so that a stolen one does not open the others.
func IsRecentSignIn(authTime, now time.Time) bool { return now.Before(authTime.Add(recentSignIn)) }

// confined reports whether the token is good for its own account only.
func (h *SubjectToken) confined(now time.Time) bool {
	return !h.Access && h.Member != nil && !IsRecentSignIn(h.AuthTime, now)
}
