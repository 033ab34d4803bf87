package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"latchkey/oauth/proof"
)

// possession is a refusal of a request that used the scheme DPoP.
type possession struct {
	error
	nonce string // for the next try
}

// Unwrap returns what was wrong.
func (e *possession) Unwrap() error { return e.error }

// Authorize returns who sends a request to a resource endpoint of the server,
// after its one Authorization header: Bearer with an access token (RFC 6750
// §2.1), or DPoP with one that is bound to a key, and the proof of its possession
// for this very request (RFC 9449 §7.1). A proof is good for one request. What
// Bearer demands of a token holds for both. A token anywhere else is not read.
//
// Errors: ErrNoToken, ErrInvalidToken, ErrTokenRevoked, proof.ErrInvalid,
// proof.ErrUseNonce and those of the stores; SetChallenge tells them.
func (v *Verifier) Authorize(r *http.Request) (*Caller, error) {
	scheme, token := authorization(r.Header)
	switch scheme {
	case "bearer":
		return v.Bearer(r.Context(), token)
	case "dpop":
		caller, err := v.possessor(r, token)
		if err != nil {
			return nil, &possession{err, v.cfg.Proofs.NonceFor(err)}
		}
		return caller, nil
	}
	return nil, ErrNoToken
}

// possessor returns who presents a token that is bound to a key. The proof is
// used up when nothing else is wrong.
func (v *Verifier) possessor(r *http.Request, token string) (*Caller, error) {
	claims, err := v.parseOwn(token)
	if err != nil {
		return nil, err
	}
	used, err := v.cfg.Proofs.Read(r, token)
	switch {
	case err != nil:
		return nil, refusedProof(err)
	case claims.Bound() == "":
		return nil, fmt.Errorf("%w: it is bound to no key", ErrInvalidToken)
	case used.JKT == "":
		return nil, refusedProof(fmt.Errorf("%w: none was sent", proof.ErrInvalid))
	case used.JKT != claims.Bound():
		return nil, fmt.Errorf("%w: it is bound to another key", ErrInvalidToken)
	}
	caller, err := v.caller(r.Context(), claims)
	if err != nil {
		return nil, err
	}
	return caller, refusedProof(v.cfg.Proofs.Spend(r.Context(), used))
}

// refusedProof makes ErrInvalidToken of the refusal of a proof, because a resource
// endpoint answers both in the same way. Other errors pass unchanged.
func refusedProof(err error) error {
	if errors.Is(err, proof.ErrInvalid) || errors.Is(err, proof.ErrUseNonce) {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return err
}

// Bearer returns who presents an access token, in one statement. The token must
// be an unexpired access token of ours that is for our own endpoints, at least
// among others, and bound to no key; not revoked, itself or with its family, and
// not older than what ends its user's tokens; its client must be active, its
// user pass the gate and, if it is scoped to an account, still be a member of
// that.
//
// Errors: ErrInvalidToken, ErrTokenRevoked, and those of the stores.
func (v *Verifier) Bearer(ctx context.Context, token string) (*Caller, error) {
	claims, err := v.parseOwn(token)
	if err != nil {
		return nil, err
	}
	if claims.Bound() != "" { // RFC 9449 §7.2
		return nil, fmt.Errorf("%w: it is bound to a key", ErrInvalidToken)
	}
	return v.caller(ctx, claims)
}

func (v *Verifier) caller(ctx context.Context, claims *AccessClaims) (*Caller, error) {
	holder, err := v.AccessHolder(ctx, claims)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Client: holder.Client, Principal: holder.Principal, Member: holder.Member,
		Roles: CurrentRoles(claims, holder), AMR: claims.AMR, Purpose: claims.Purpose,
		TokenID: claims.ID, FamilyID: claims.SessionID, SessionID: claims.session(),
		IssuedAt: claims.issued(), ExpiresAt: claims.expires(), AuthTime: claims.authenticated(),
	}, nil
}

// authorization returns the scheme, in small letters, and the token of a
// request's one Authorization header. Both are empty without one, with several,
// and with nothing behind the scheme or more than a token.
func authorization(h http.Header) (scheme, token string) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", ""
	}
	scheme, token, _ = strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if token == "" || strings.ContainsAny(token, " \t,") {
		return "", ""
	}
	return strings.ToLower(scheme), token
}

// BearerToken returns the token of a request's one Authorization header
// (RFC 6750 §2.1). It is not ok without one, with several, and with another
// scheme or nothing behind it.
func BearerToken(h http.Header) (token string, ok bool) {
	scheme, token := authorization(h)
	if scheme != "bearer" {
		return "", false
	}
	return token, true
}
