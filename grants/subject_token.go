package grants

import (
	"context"
	"time"

	"latchkey/storage"
)

// SubjectToken is a token that its holder got by signing in, verified: what may stand
// for a new sign-in.
type SubjectToken struct {
	Principal storage.Principal // as it is now
	Member    *storage.Member   // of the account that the token is scoped to, as it is now; nil: none
	AMR       []string          // RFC 8176, of the sign-in
	Purpose   storage.Purpose   // of the one-time password that the sign-in used; empty: none, or to sign in
	AuthTime  time.Time         // of the sign-in; zero: the token came of none
	Access    bool              // an access token; false: an account management token, which carries no roles
	Scope     []string          // of an access token
	Narrowed  bool              // it carries less than its user could have had; see AccessToken
	FamilyID  string            // of the refresh token issued with it; may be empty
	SessionID string            // of the session that the token belongs to
	Resources []string          // an access token's audience; empty: what a token is for by default
	JKT       string            // thumbprint of the key that it is bound to (RFC 9449 §6.1); empty: none
	SourceID  string            // of the source that the user signed in from; may be empty
	TokenID   string            // of the token
	IssuedAt  time.Time         // of the token, in microseconds
	ExpiresAt time.Time         // of the token
}

// SubjectTokens verifies held tokens and writes the ones for choosing an account.
// SubjectToken and Selection answer ErrSubjectToken unless the token is ours, of that
// kind and that client's, has not expired, and neither it nor its family nor
// the sessions of its user or login were ended since it was issued.
type SubjectTokens interface {
	// SubjectToken reads an access token, or an account management token.
	VerifySubject(ctx context.Context, c *storage.Client, token string) (SubjectToken, error)
	// Selection reads a selection token.
	VerifySelection(ctx context.Context, c *storage.Client, token string) (SubjectToken, error)
	// MintSelection writes a short-lived token with which a user who has just
	// signed in chooses an account, and tells how long it lives. It must have
	// no effect but its result.
	MintSelection(ctx context.Context, s SelectionToken) (token string, life time.Duration, err error)
	// Spend uses a selection token up, if do succeeds: both take effect or
	// neither. A token that was spent before is ErrSubjectToken.
	SpendSelection(ctx context.Context, h SubjectToken, do func(context.Context) error) error
}

// SelectionToken is what a selection token is to say.
type SelectionToken struct {
	Client    *storage.Client
	Principal *storage.Principal
	AMR       []string
	Purpose   storage.Purpose // of the one-time password that was presented; empty: none, or to sign in
	AuthTime  time.Time
	SourceID  string    // of the source that the user signed in from; may be empty
	JKT       string    // thumbprint of the key that it is bound to; empty: none
	IssuedAt  time.Time // UTC, as exact as the clock
}

// MemberStore reads the memberships of a user in active accounts.
type MemberStore interface {
	// Members lists them, the oldest first.
	Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error)
	// Member reads the one in the account of that ID, or answers
	// storage.ErrNotFound.
	Member(ctx context.Context, userUID, accountID string) (storage.Member, error)
}

// ProfileStore reads password profiles.
type ProfileStore interface {
	// PasswordProfile reads one, or answers storage.ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
}

// recentSignIn is how long after a sign-in an account management token can be
// turned into tokens for the user's other accounts.
const recentSignIn = time.Hour

// IsRecentSignIn reports whether a sign-in at that time is recent: the user has just
// proven to be there, so an account management token stands for all accounts of
// the user. Later it stands for its own account only, so that whoever gets hold
// of it does not get into the others.
func IsRecentSignIn(signIn, now time.Time) bool { return now.Before(signIn.Add(recentSignIn)) }

// confined reports whether the held token is good for its own account only.
func (h *SubjectToken) confined(now time.Time) bool {
	return !h.Access && h.Member != nil && !IsRecentSignIn(h.AuthTime, now)
}
