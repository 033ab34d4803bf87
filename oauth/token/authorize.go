package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"latchkey/oauth/proof"
)

// dpopRefusal is the refusal of a request that used the scheme DPoP.
type dpopRefusal struct {
	error
	nonce string // for the next try
}

// Unwrap returns what was wrong.
func (e *dpopRefusal) Unwrap() error { return e.error }

// Authorize returns the caller of a resource endpoint of this server. The request must
// have one Authorization header: Bearer with an access token (RFC 6750 §2.1), or DPoP
// with an access token that is bound to a key. With DPoP the request also needs a
// proof of possession, which can be used once (RFC 9449 §7.1). Tokens in other places
// are not read. The token must satisfy the demands of Bearer.
//
// Errors: ErrNoToken, ErrInvalidToken, ErrTokenRevoked, proof.ErrInvalid,
// proof.ErrUseNonce and those of the stores. SetChallenge writes their headers.
func (v *Verifier) Authorize(r *http.Request) (*Caller, error) {
	scheme, token := authorization(r.Header)
	switch scheme {
	case "bearer":
		return v.Bearer(r.Context(), token)
	case "dpop":
		caller, err := v.possessor(r, token)
		if err != nil {
			return nil, &dpopRefusal{err, v.cfg.Proofs.NonceFor(err)}
		}
		return caller, nil
	}
	return nil, ErrNoToken
}

// possessor returns the caller of a token that is bound to a key. It spends the proof
// after all other checks.
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

// refusedProof turns the refusal of a proof into ErrInvalidToken, because a resource
// endpoint answers both in the same way. It returns other errors unchanged.
func refusedProof(err error) error {
	if errors.Is(err, proof.ErrInvalid) || errors.Is(err, proof.ErrUseNonce) {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return err
}

// Bearer returns the caller that presents an access token. It reads the database in
// one statement.
//
// The token must be one of ours, unexpired, not bound to a key, not revoked, and for
// our own endpoints, at least among others. Its refresh family must not be revoked,
// and nothing may have ended the tokens of its user since it was issued. Its client
// must be active, and its user must be allowed to sign in. If it is scoped to an
// account, the user must still be a member.
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
		Roles: CurrentRoles(claims, holder), Identity: claims.Identity(), AMR: claims.AMR, Purpose: claims.Purpose,
		TokenID: claims.ID, FamilyID: claims.SessionID, SessionID: claims.session(),
		IssuedAt: claims.issued(), ExpiresAt: claims.expires(), AuthTime: claims.authenticated(),
	}, nil
}

// authorization returns the scheme in lower case and the token of the only
// Authorization header. Both are empty if there is no such header or more than one,
// and if the scheme is not followed by exactly one token.
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

// BearerToken returns the token of the only Authorization header (RFC 6750 §2.1). ok
// is false without the header, with several, with another scheme and without a token.
func BearerToken(h http.Header) (token string, ok bool) {
	scheme, token := authorization(h)
	if scheme != "bearer" {
		return "", false
	}
	return token, true
}
