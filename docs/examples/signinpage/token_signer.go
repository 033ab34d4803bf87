package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	fosite "github.com/ory/fosite/token/jwt"

	"latchkey/keys"
)

// signer lets fosite's JWT strategies sign and verify access tokens with the ring.
type signer struct {
	ring   *keys.Ring
	issuer string
}

var _ fosite.Signer = signer{}

// Generate implements fosite.Signer. alg, kid and typ of the header are the ring's; it
// has no other parameters.
func (s signer) Generate(_ context.Context, claims fosite.MapClaims, _ fosite.Mapper) (token, signature string, err error) {
	// A plain map, because fosite's type has an encoding of its own.
	if token, err = s.ring.Sign("", keys.TypeAccessToken, map[string]any(claims)); err != nil {
		return "", "", err
	}
	return token, token[strings.LastIndexByte(token, '.')+1:], nil
}

// Validate implements fosite.Signer.
func (s signer) Validate(ctx context.Context, token string) (string, error) {
	if _, err := s.Decode(ctx, token); err != nil {
		return "", err
	}
	return s.GetSignature(ctx, token)
}

// Decode implements fosite.Signer. Its errors are *fosite.ValidationError, because
// fosite's strategies turn no other error into one of OAuth.
func (s signer) Decode(_ context.Context, token string) (*fosite.Token, error) {
	claims := jwt.MapClaims{}
	if err := s.ring.Parse(token, keys.TypeAccessToken, claims, s.issuer); err != nil {
		reason := fosite.ValidationErrorClaimsInvalid
		switch {
		case errors.Is(err, jwt.ErrTokenMalformed):
			reason = fosite.ValidationErrorMalformed
		case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid):
			reason = fosite.ValidationErrorSignatureInvalid
		case errors.Is(err, jwt.ErrTokenExpired):
			reason = fosite.ValidationErrorExpired
		}
		return nil, &fosite.ValidationError{Inner: err, Errors: reason}
	}
	return fosite.NewWithClaims(fosite.SigningMethodNone, fosite.MapClaims(claims)), nil
}

// Hash implements fosite.Signer.
func (signer) Hash(_ context.Context, in []byte) ([]byte, error) {
	sum := sha256.Sum256(in)
	return sum[:], nil
}

// GetSignature implements fosite.Signer. It does not verify the token.
func (signer) GetSignature(_ context.Context, token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("the token does not have three parts")
	}
	return parts[2], nil
}

// GetSigningMethodLength implements fosite.Signer.
func (signer) GetSigningMethodLength(context.Context) int { return sha256.Size }
