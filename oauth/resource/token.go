package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
)

// Values of the header parameter typ. They keep a token of one type from being accepted
// as another type (RFC 8725 §3.11).
const (
	typeAccessToken  = "at+jwt" // RFC 9068 §2.1
	typeAccountToken = "account+jwt"
)

// maxTokenSize is the maximum length of a token in bytes. Longer ones are not parsed.
const maxTokenSize = 16 << 10

// kind describes a kind of token: its typ and its audiences.
type kind struct {
	typ       string
	audiences []string
}

// Token has the claims of a verified token.
type Token struct {
	ID        string // jti
	Subject   string // uid of the user, which never changes; ClientID if a client acts for itself
	ClientID  string
	Audience  []string
	Scopes    []string  // of an access token
	AMR       []string  // how the user signed in (RFC 8176): "otp" or "pwd"
	AuthTime  time.Time // of the sign-in, UTC; zero: no user signed in
	IssuedAt  time.Time // UTC
	ExpiresAt time.Time // UTC
	Account   *Account  // to which the token is scoped; nil: none

	// KeyThumbprint is the thumbprint of the key to which the token is bound (RFC
	// 9449 §6.1); empty: a bearer token.
	KeyThumbprint string
	// Claims are all claims, with numbers as float64.
	Claims map[string]any
}

// Account is the organisation to which a token is scoped.
type Account struct {
	UID      string // never changes
	ID       string // that administrators chose
	Name     string
	Roles    []string // of the member in the account
	MemberID string   // of the user in the account
	RealmID  string   // only in account management authentication tokens
	StoreID  string   // only in account management authentication tokens; may be empty
}

// HasScopes reports whether the token has all of the scopes.
func (t *Token) HasScopes(scopes ...string) bool {
	for _, scope := range scopes {
		if !slices.Contains(t.Scopes, scope) {
			return false
		}
	}
	return true
}

// OfClient reports whether the token belongs to a client that acts for itself.
func (t *Token) OfClient() bool { return t.Subject == t.ClientID }

// Verify verifies an access token outside of net/http. It returns ErrInvalidToken or
// ErrUnavailable. A token that is bound to a key is ErrInvalidToken, because there is no
// proof for it.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	t, err := v.verify(ctx, token, v.access)
	if err != nil {
		return nil, err
	}
	if t.KeyThumbprint != "" {
		return nil, fmt.Errorf("%w: bound to a key", ErrInvalidToken)
	}
	return t, nil
}

// VerifyAccountMember verifies an account management authentication token. It returns
// ErrInvalidToken or ErrUnavailable.
func (v *Verifier) VerifyAccountMember(ctx context.Context, token string) (*Token, error) {
	t, err := v.verify(ctx, token, v.account)
	if err != nil {
		return nil, err
	}
	if t.Account == nil || t.KeyThumbprint != "" {
		return nil, fmt.Errorf("%w: no account, or bound to a key", ErrInvalidToken)
	}
	t.Scopes = nil // in these tokens, scope is the account
	return t, nil
}

// verify verifies a token of the kind (RFC 9068 §4).
func (v *Verifier) verify(ctx context.Context, token string, k kind) (*Token, error) {
	if len(token) > maxTokenSize || strings.ContainsFunc(token, outsideCompactJWS) {
		return nil, fmt.Errorf("%w: not a JWS of at most %d bytes", ErrInvalidToken, maxTokenSize)
	}
	var t *Token
	claims := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, func(parsed *jwt.Token) (_ any, err error) {
		if err = checkHeader(parsed.Header, k.typ); err != nil {
			return nil, err
		}
		if t, err = v.readClaims(claims, k); err != nil {
			return nil, err
		}
		return v.keyFor(ctx, parsed)
	})
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return t, nil
}

// outsideCompactJWS reports whether a character cannot be part of a JWS in compact
// serialization. It is checked because the base64 decoder ignores line ends, so a token
// would have many spellings.
func outsideCompactJWS(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return false
	}
	return true
}

func checkHeader(header map[string]any, typ string) error {
	if err := jose.CheckHeader(header); err != nil {
		return err
	}
	if got, _ := header["typ"].(string); !jose.SameType(got, typ) {
		return fmt.Errorf("wrong typ, want %q", typ)
	}
	return nil
}

// keyFor returns the public key of the token's kid. The algorithm of the token must be
// that of the key (RFC 8725 §3.1).
func (v *Verifier) keyFor(ctx context.Context, t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, errors.New("no kid")
	}
	k, err := v.keys.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	if t.Method.Alg() != k.alg {
		return nil, fmt.Errorf("wrong alg for the key, want %q", k.alg)
	}
	return k.public, nil
}
