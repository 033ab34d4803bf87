package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
	"latchkey/otp"
	"latchkey/storage"
)

// AssertionType is the client_assertion_type of a JWT (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	maxAssertionBytes = 8 << 10
	maxAssertionLife  = 5 * time.Minute // from now to exp
	assertionSkew     = time.Minute     // how far a client's clock may be off
	maxJTIBytes       = 256
)

// assertionClaims are the claims of a client assertion (RFC 7523 §3).
type assertionClaims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	Expires   numericDate      `json:"exp"`
	NotBefore numericDate      `json:"nbf"`
	IssuedAt  numericDate      `json:"iat"`
	ID        string           `json:"jti"`
}

// numericDate is an optional claim that must be a number (RFC 7519 §2). The
// library's type also accepts a number in quotes, and null.
type numericDate struct{ date *jwt.NumericDate }

// UnmarshalJSON implements json.Unmarshaler.
func (n *numericDate) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return errors.New("a time is not a number")
	}
	n.date = new(jwt.NumericDate)
	return n.date.UnmarshalJSON(text)
}

// GetExpirationTime implements jwt.Claims.
func (c *assertionClaims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.date, nil }

// GetNotBefore implements jwt.Claims.
func (c *assertionClaims) GetNotBefore() (*jwt.NumericDate, error) { return c.NotBefore.date, nil }

// GetIssuedAt implements jwt.Claims.
func (c *assertionClaims) GetIssuedAt() (*jwt.NumericDate, error) { return c.IssuedAt.date, nil }

// GetIssuer implements jwt.Claims.
func (c *assertionClaims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *assertionClaims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *assertionClaims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

// assertion is a client assertion whose signature is not verified yet.
type assertion struct {
	claims assertionClaims
	token  *jwt.Token
	signed string // the text that the signature covers
	kid    string // may be empty
}

// byAssertion returns the client that signed the assertion, and spends the assertion.
// It refuses a wrong assertion, an unknown client and a client of another method with
// ErrInvalid, after one verification of a signature.
func (au *Authenticator) byAssertion(ctx context.Context, presented credentials) (*storage.Client, error) {
	a, err := readAssertion(presented.assertion)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	client, err := au.findClient(ctx, a.claims.Subject)
	if err != nil {
		return nil, err
	}
	key := au.guard.key(ctx, client.ID)
	if err := au.guard.check(key); err != nil {
		return nil, err
	}
	if err := au.verifyAssertion(a, &client, presented.id); err != nil {
		return nil, au.guard.failed(ctx, key, err)
	}
	if !client.Active {
		return nil, ErrInactive
	}
	return &client, au.spendAssertion(ctx, &client, &a.claims)
}

// readAssertion decodes an assertion without verifying its signature, and makes the
// checks that need no client.
func readAssertion(text string) (*assertion, error) {
	if len(text) > maxAssertionBytes || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("the assertion is too long or has line breaks")
	}
	a := &assertion{}
	token, parts, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(text, &a.claims)
	if err != nil {
		return nil, fmt.Errorf("decode assertion: %w", err)
	}
	a.token, a.signed = token, parts[0]+"."+parts[1]
	if !slices.Contains(AssertionAlgs(), token.Method.Alg()) {
		return nil, fmt.Errorf("the algorithm %s is not for assertions", token.Method.Alg())
	}
	// Keys in the header are refused: only registered keys count.
	if err := jose.CheckHeader(token.Header); err != nil {
		return nil, err
	}
	if !isAssertionType(token.Header["typ"]) {
		return nil, errors.New("typ is that of another kind of JWT")
	}
	if kid, present := token.Header["kid"]; present {
		if a.kid, _ = kid.(string); a.kid == "" {
			return nil, errors.New("kid is not a text")
		}
	}
	if a.claims.Subject == "" || !otp.IsName(a.claims.Subject) {
		return nil, errors.New("sub is not a client id")
	}
	return a, nil
}

// isAssertionType reports whether the optional header parameter typ fits an
// assertion. A JWT of another explicit type is refused (RFC 8725 §3.11).
func isAssertionType(typ any) bool {
	if typ == nil {
		return true
	}
	text, _ := typ.(string)
	return jose.SameType(text, "jwt") || jose.SameType(text, "client-authentication+jwt")
}

// verifyAssertion checks the signature and the claims of an assertion of the
// client. It does not check whether the assertion was used before. clientID is the
// parameter of the request; it may be empty.
func (au *Authenticator) verifyAssertion(a *assertion, client *storage.Client, clientID string) error {
	alg := a.token.Method.Alg()
	keys := keysFor(au.keysOf(client), a.kid, alg)
	known := len(keys) > 0
	if !known {
		keys = []any{au.decoys[alg]} // as much work as for a client that exists
	}
	if !slices.ContainsFunc(keys, func(key any) bool { return a.token.Method.Verify(a.signed, a.token.Signature, key) == nil }) || !known {
		return errors.New("no key of the client has made the signature")
	}
	claims := &a.claims
	switch now := au.cfg.Now(); {
	case !strings.EqualFold(claims.Issuer, client.ID), !strings.EqualFold(claims.Subject, client.ID):
		return errors.New("iss and sub are not the client")
	case clientID != "" && !strings.EqualFold(clientID, client.ID):
		return errors.New("client_id is another client")
	case len(claims.Audience) != 1 || !au.isAudience(claims.Audience[0]):
		return errors.New("aud is not this server alone")
	case claims.ID == "" || len(claims.ID) > maxJTIBytes:
		return errors.New("jti is missing or too long")
	case claims.Expires.date != nil && claims.Expires.date.After(now.Add(maxAssertionLife+assertionSkew)):
		return errors.New("exp is too far ahead")
	}
	return jwt.NewValidator(
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(assertionSkew), jwt.WithTimeFunc(au.cfg.Now),
	).Validate(claims)
}

// isAudience reports whether aud names this server: by its issuer identifier or by
// its token endpoint (RFC 7523 §3).
func (au *Authenticator) isAudience(aud string) bool {
	return aud == au.cfg.Issuer || aud == au.cfg.TokenEndpoint
}

// keysOf returns the keys of a client that authenticates by assertions.
func (au *Authenticator) keysOf(client *storage.Client) []verificationKey {
	if client.AuthMethod != storage.AuthMethodPrivateKeyJWT {
		return nil
	}
	keys, err := parseKeySet(client.JWKS)
	if err != nil { // CheckKeySet refuses such a set before it is stored
		au.cfg.Logger.Error().Err(err).Str("client_id", client.ID).Msg("the client's key set cannot be read")
	}
	return keys
}

// spendAssertion makes an assertion unusable. The store remembers it until every
// server, even one whose clock is behind by assertionSkew, refuses it as expired.
func (au *Authenticator) spendAssertion(ctx context.Context, client *storage.Client, claims *assertionClaims) error {
	sum := sha256.New()
	for _, part := range []string{"client assertion", strings.ToLower(client.ID), claims.ID} {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // writing to a hash cannot fail
	}
	err := au.cfg.UsedIDs.SpendID(ctx, sum.Sum(nil), claims.Expires.date.Add(2*assertionSkew).UTC())
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: the assertion was used before", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("spend assertion: %w", err)
	}
	return nil
}

// newDecoys returns a public key for each algorithm, without its private key. An
// assertion of an unknown client is verified with one of them, which takes as long
// as with a client's key.
func newDecoys(random io.Reader) (map[string]any, error) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("decoy key: %w", err)
	}
	edwards, _, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("decoy key: %w", err)
	}
	modulus := make([]byte, jose.MinRSABits/8)
	if _, err := io.ReadFull(random, modulus); err != nil {
		return nil, fmt.Errorf("decoy key: %w", err)
	}
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	number := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	return map[string]any{jose.ES256: &curve.PublicKey, jose.EdDSA: edwards, jose.RS256: number, jose.PS256: number}, nil
}
