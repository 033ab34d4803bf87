package admin

import (
	"context"
	"errors"

	"latchkey/otp"
	"latchkey/storage"
)

// Errors of CheckContextUser.
var (
	ErrNoContextUser    = errors.New("there is no user with the username of the default context user")
	ErrContextUserBuyer = errors.New("anonymous buyers need a default context user who is a user of a buyer")
)

// CheckContextUser checks the user that a client acts as in its client credentials.
// A new one must exist, and for anonymous buyers it must be a user of a buyer. A
// user that was deleted since may stay, so that other members can still be changed.
func (r *Rules) CheckContextUser(ctx context.Context, before, after storage.Client) error {
	if after.DefaultContextUser == "" {
		return nil
	}
	user, err := r.contextUser(ctx, after)
	if err != nil {
		return err
	}
	isNew := before.DefaultContextUser != after.DefaultContextUser || before.ProfileID != after.ProfileID
	switch {
	case !user.Known && isNew:
		return ErrNoContextUser
	case after.AnonymousBuyer && user.Known && user.User.Kind != storage.Buyer:
		return ErrContextUserBuyer
	}
	return nil
}

func (r *Rules) contextUser(ctx context.Context, c storage.Client) (storage.Principal, error) {
	return r.store.Principal(ctx, storage.LoginKey{
		ProfileID: c.ProfileID, UsernameKey: otp.NormalizeUsername(c.DefaultContextUser),
	})
}

// IsSharedUser reports whether a token is of an anonymous buyer. Anonymous buyers of a client
// share its default context user. amr are the authentication methods of the token (RFC
// 8176). If there are any, somebody signed in as that user, who is not anonymous.
func IsSharedUser(c *storage.Client, user *storage.Principal, amr []string) bool {
	return c.AnonymousBuyer && otp.NormalizeUsername(c.DefaultContextUser) == user.Login.UsernameKey && len(amr) == 0
}
