package token

import (
	"context"
	"fmt"
	"time"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// messageTokenTTL is how long the token lives that a message carries for its
// recipient.
const messageTokenTTL = 10 * time.Minute

// Recipients reads the users that messages are for and signs the tokens that the
// messages carry.
type Recipients struct{ *Issuer }

// RecipientRequest names the user that a message is for.
type RecipientRequest struct {
	ClientID  string // through which the message was asked for; empty: none, and no token
	Username  string // of the recipient
	ProfileID string // of the recipient's login; empty: the client's
	LoginID   string // of the recipient, with UserUID instead of Username; empty: the username tells
	UserUID   string
	Elevated  []string // roles that the token has besides the recipient's own
	OnlyRoles []string // if any, the token has these alone
}

// Recipient reads the user that a message is for and returns it with a
// short-lived access token (OrderCloud: UserToken, PasswordRenewalAccessToken),
// or without one if the message was asked for through no client, through one
// whose tokens are bound to a key, or through one that demands roles which the
// user does not have. The token is no sign-in: it has neither amr nor auth_time. A
// locked login gets a token too, but the server refuses it while the lock lasts.
//
// Errors: storage.ErrNotFound if the client is gone or the user is, or the gate
// does not let it in any more, and those of the stores.
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
	// A lock was considered when the message was written. A message that tells of
	// the lock is for a user who is locked out.
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
	// The receiver of the message has no key. A user below the client's floor gets
	// no token of it.
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
		standing, err := re.cfg.Tokens.TokenStatus(ctx, storage.TokenRef{UserUID: r.UserUID, LoginID: r.LoginID})
		return standing.Principal, err
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

// messageClient returns the client of a message, if it has one, and completes
// the request with its profile.
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

// union returns the members of a, then those of b that are not in a.
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
