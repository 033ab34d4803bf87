package resource

import (
	"context"
	"net/http"
	"slices"
)

// AccountHeader is where Elastic Path's clients send account management
// authentication tokens.
const AccountHeader = "EP-Account-Management-Authentication-Token"

// RequireAccountMember lets requests through that carry an account management
// authentication token of a member who has all of the roles in the account, in
// their one header of that name. Handlers find it by AccountMemberFromContext.
//
// It needs no access token. Behind Require the two must fit: a token of a user
// must be that user's, and one that is scoped to an account that account's; a
// token that a client has for itself, as a storefront does, goes with any
// member's. What does not fit is answered 403.
func (v *Verifier) RequireAccountMember(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := v.member(r)
			if err == nil {
				err = v.admits(r.Context(), t, roles)
			}
			if err != nil {
				v.refuse(w, refusal{cause: err, about: "account management authentication token"})
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), latestAccount{}, t)))
		})
	}
}

func (v *Verifier) member(r *http.Request) (*Token, error) {
	switch values := r.Header.Values(AccountHeader); len(values) {
	case 0:
		return nil, errNoToken
	case 1:
		return v.VerifyAccountMember(r.Context(), values[0])
	}
	return nil, errMalformed
}

// admits tells why a good token of a member is not enough.
func (v *Verifier) admits(ctx context.Context, member *Token, roles []string) error {
	for _, role := range roles {
		if !slices.Contains(member.Account.Roles, role) {
			return ErrInsufficientScope
		}
	}
	access, ok := ctx.Value(contextKey{v, typeAccessToken}).(*Token)
	if !ok || access.OfClient() {
		return nil
	}
	if access.Subject != member.Subject || access.Account != nil && access.Account.UID != member.Account.UID {
		return errNotTheirs
	}
	return nil
}
