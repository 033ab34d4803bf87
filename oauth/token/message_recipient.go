package token

import (
	"context"
	"fmt"
	"time"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// messageTokenTTL is the life of the token in a message.
const messageTokenTTL = 10 * time.Minute

// Recipients reads the users that messages are for and signs the tokens that the
// messages carry.
type Recipients struct{ *Issuer }

// RecipientRequest identifies the recipient of a message.
type RecipientRequest struct {
	ClientID  string // through which the message was requested; empty: none, then there is no token
	Username  string // of the recipient
	ProfileID string // of the recipient's login; empty: the client's
	LoginID   string // of the recipient, with UserUID instead of Username; empty: Username identifies the login
	UserUID   string
	Elevated  []string // roles that the token has besides the recipient's own
	OnlyRoles []string // if not empty, the token has only these
}

// Recipient reads the recipient of a message and signs a short-lived access token for
// it (OrderCloud: UserToken, PasswordRenewalAccessToken). There is no token if the
// message was requested through no client, through a client whose tokens are bound to
// a key, or through a client that demands roles which the user lacks. The token stands
// for no sign-in, so it has neither amr nor auth_time. A locked login gets a token
// too, but the server refuses it during the lock.
//
// Errors: storage.ErrNotFound if the client or the user does not exist any more or may
// not sign in, and those of the stores.
func (re *Recipients) Recipient(ctx context.Context, r RecipientRequest) (storage.Principal, string, error) {
	client, err := re.messageClient(ctx, &r)
	if err != nil {
		return storage.Principal{}, "", err
	}
	user, err := re.recipient(ctx, r)
	if err != nil {
		return user, "", fmt.Errorf("read user: %w", err)
	}
	now := re.cfg.Now().UTC()
	// The lock was considered when the message was written. A message about a lock
	// goes to a user who is locked out.
	user.Lockout, user.Source = storage.Lockout{}, storage.Source{}
	if client == nil {
		return user, "", admitted(user.Refusal(now))
	}
	if err := admitted(client.Refusal(&user, now)); err != nil {
		return user, "", err
	}
	own := grants.AllowedRoles(client, user.Roles)
	scope := r.OnlyRoles
	if len(scope) == 0 {
		scope = union(own, r.Elevated)
	}
	// The receiver of the message has no key. A user without the roles that the client
	// demands gets no token.
	if client.DPoPBound || BelowFloor(client, &user, nil) {
		return user, "", nil
	}
	token, err := re.mint(ctx, grants.AccessToken{
		Client: client, Principal: &user, Scope: scope,
		IssuedAt: now, ExpiresAt: now.Truncate(time.Second).Add(messageTokenTTL),
	}, AccessClaims{Elevated: beyond(scope, own)})
	return user, token, err
}

// recipient reads the user that the request names.
func (re *Recipients) recipient(ctx context.Context, r RecipientRequest) (storage.Principal, error) {
	if r.LoginID != "" {
		status, err := re.cfg.Tokens.TokenStatus(ctx, storage.TokenRef{UserUID: r.UserUID, LoginID: r.LoginID})
		return status.Principal, err
	}
	return re.cfg.Principals.Principal(ctx, storage.LoginKey{
		ProfileID: r.ProfileID, UsernameKey: otp.NormalizeUsername(r.Username),
	})
}

func admitted(refusal string) error {
	if refusal != "" {
		return fmt.Errorf("recipient: %w: %s", storage.ErrNotFound, refusal)
	}
	return nil
}

// messageClient returns the client of a message, or nil, and sets the profile of the
// request.
func (re *Recipients) messageClient(ctx context.Context, r *RecipientRequest) (*storage.Client, error) {
	if r.ClientID == "" {
		return nil, nil
	}
	client, err := re.cfg.Clients.Client(ctx, r.ClientID)
	if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	if r.ProfileID == "" {
		r.ProfileID = client.ProfileID
	}
	if r.ProfileID != client.ProfileID {
		return nil, fmt.Errorf("recipient: %w: the client serves another profile", storage.ErrNotFound)
	}
	return &client, nil
}

// union returns the elements of a, followed by those of b that are not in a.
func union(a, b []string) []string {
	all := append([]string(nil), a...)
	seen := make(map[string]bool, len(a))
	for _, s := range a {
		seen[s] = true
	}
	for _, s := range b {
		if !seen[s] {
			all = append(all, s)
		}
	}
	return all
}
