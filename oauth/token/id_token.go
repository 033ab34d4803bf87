package token

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"latchkey/grants"
	"latchkey/keys"
)

// idClaims are the claims of an ID token (OpenID Connect Core 1.0 §2). Those about the
// user are at the userinfo endpoint only, so that an ID token, which is kept for logouts,
// holds no address.
type idClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	AuthTime  int64    `json:"auth_time"`
	Nonce     string   `json:"nonce,omitempty"`
	ACR       string   `json:"acr"`
	AMR       []string `json:"amr"`
	SessionID string   `json:"sid"`
	TokenHash string   `json:"at_hash"`
}

// MintID implements grants.IDTokens. ID tokens are signed with RS256 unless the client
// has another algorithm: every client has to support it (OpenID Connect Core 1.0 §15.1).
func (is *Issuer) MintID(ctx context.Context, t grants.IDToken) (string, error) {
	alg := keys.RS256
	if t.Client.IDTokenAlg != "" {
		alg = t.Client.IDTokenAlg
	}
	signed, err := is.sign(ctx, alg, keys.TypeJWT, &idClaims{
		Issuer: is.cfg.Issuer, Subject: t.Principal.User.UID, Audience: t.Client.ID,
		ExpiresAt: t.ExpiresAt.Unix(), IssuedAt: t.IssuedAt.Unix(), AuthTime: t.AuthTime.Unix(), Nonce: t.Nonce,
		ACR: grants.ACR(t.AMR), AMR: t.AMR, SessionID: t.SessionID, TokenHash: tokenHash(alg, t.AccessToken),
	})
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	return signed, nil
}

// tokenHash returns the claim at_hash (OpenID Connect Core 1.0 §3.1.3.6): the left half of
// the hash that belongs to the algorithm. Ed25519 uses SHA-512 (RFC 8032 §5.1).
func tokenHash(alg, token string) string {
	sum := sha256.Sum256([]byte(token))
	half := sum[:len(sum)/2]
	if alg == keys.EdDSA {
		long := sha512.Sum512([]byte(token))
		half = long[:len(long)/2]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// IDHint has the claims of an ID token that was issued earlier.
type IDHint struct{ Subject, ClientID, SessionID string }

// ReadIDHint reads an ID token of this server that is presented as a hint (OpenID Connect
// Core 1.0 §3.1.2.1). It may have expired. ok is false if it is not one of ours, or its
// key is not published any more.
func (is *Issuer) ReadIDHint(token string) (hint IDHint, ok bool) {
	claims := new(hintClaims)
	if err := is.cfg.Ring.ParseHint(token, keys.TypeJWT, claims, is.cfg.Issuer); err != nil || claims.SessionID == "" || len(claims.Audience) != 1 {
		return IDHint{}, false
	}
	return IDHint{claims.Subject, claims.Audience[0], claims.SessionID}, true
}

// hintClaims are the claims of an ID token that are read again.
type hintClaims struct {
	Claims
	SessionID string `json:"sid"`
}

// Identity returns the scopes of OpenID Connect that an access token carries. Tokens
// without a browser's session have none: such names are roles in them.
func (c *AccessClaims) Identity() []string {
	var identity []string
	for _, name := range strings.Fields(c.Scope) {
		if !slices.Contains(c.Role, name) {
			identity = append(identity, name)
		}
	}
	return identity
}
