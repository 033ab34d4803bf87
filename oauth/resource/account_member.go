package resource

import (
	"context"
	"net/http"
	"slices"
)

// AccountHeader is the header in which clients of Elastic Path send account management
// authentication tokens.
const AccountHeader = "EP-Account-Management-Authentication-Token"

// RequireAccountMember returns a middleware that requires one AccountHeader with an
// account management authentication token, whose member has all of the roles in the
// account. Handlers get the token with AccountMemberFromContext.
//
// An access token is not required. If Require has accepted one before, both tokens must
// belong together. An access token of a user must have the member's subject, and if it
// is scoped to an account, that must be the member's account. An access token that a
// client has for itself, like a storefront, is accepted with any member's token. Tokens
// that do not belong together are answered 403.
func (v *Verifier) RequireAccountMember(roles ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := v.authenticateMember(r)
			if err == nil {
				err = v.checkMember(r.Context(), t, roles)
			}
			if err != nil {
				v.refuse(w, refusal{cause: err, tokenType: "account management authentication token"})
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), latestAccount{}, t)))
		})
	}
}

// authenticateMember returns the token in the AccountHeader of a request.
func (v *Verifier) authenticateMember(r *http.Request) (*Token, error) {
	switch values := r.Header.Values(AccountHeader); len(values) {
	case 0:
		return nil, errNoToken
	case 1:
		return v.VerifyAccountMember(r.Context(), values[0])
	}
	return nil, errMalformed
}

// checkMember returns an error if the member lacks a role, or if the access token of the
// request does not belong to the member.
func (v *Verifier) checkMember(ctx context.Context, member *Token, roles []string) error {
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
		return errTokenMismatch
	}
	return nil
}
