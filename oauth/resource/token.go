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

// Values of the header parameter typ. A token of one kind is never taken for one
// of the other (RFC 8725 §3.11).
const (
	typeAccessToken  = "at+jwt" // RFC 9068 §2.1
	typeAccountToken = "account+jwt"
)

// maxTokenSize is the length in bytes above which a token is refused unread.
const maxTokenSize = 16 << 10

// kind is what makes the tokens of one kind: their type and whom they are for.
type kind struct {
	typ       string
	audiences []string
}

// Token is what a verified token says.
type Token struct {
	ID        string // jti
	Subject   string // of the user, which never changes; ClientID if a client acts for itself
	ClientID  string
	Audience  []string
	Scopes    []string  // of an access token
	AMR       []string  // how the user signed in (RFC 8176): "otp" or "pwd"
	AuthTime  time.Time // of the sign-in, UTC; zero: nobody signed in
	IssuedAt  time.Time // UTC
	ExpiresAt time.Time // UTC
	Account   *Account  // that the token is scoped to; nil: none

	// KeyThumbprint is of the key that the token is bound to (RFC 9449 §6.1);
	// empty: a bearer token.
	KeyThumbprint string
	// Claims are all claims as they were, numbers as float64.
	Claims map[string]any
}

// Account is the organisation that a token is scoped to.
type Account struct {
	UID      string // never changes
	ID       string // that administrators know it by
	Name     string
	Roles    []string // of the member in the account
	MemberID string   // of the user in the account
	RealmID  string   // of an account management authentication token
	StoreID  string   // likewise; may be empty
}

// HasScopes tells whether the token carries all of the scopes.
func (t *Token) HasScopes(scopes ...string) bool {
	for _, scope := range scopes {
		if !slices.Contains(t.Scopes, scope) {
			return false
		}
	}
	return true
}

// OfClient tells whether the token stands for a client and no user.
func (t *Token) OfClient() bool { return t.Subject == t.ClientID }

// Verify returns what an access token says, for services that are not net/http
// handlers. Errors: ErrInvalidToken, which a token that is bound to a key gets
// too since nobody proves possession of it here, and ErrUnavailable.
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

// VerifyAccountMember returns what an account management authentication token
// says. Errors: ErrInvalidToken and ErrUnavailable.
func (v *Verifier) VerifyAccountMember(ctx context.Context, token string) (*Token, error) {
	t, err := v.verify(ctx, token, v.account)
	if err != nil {
		return nil, err
	}
	if t.Account == nil || t.KeyThumbprint != "" {
		return nil, fmt.Errorf("%w: no account, or bound to a key", ErrInvalidToken)
	}
	t.Scopes = nil // what stands there is the account
	return t, nil
}

// verify checks a token of that kind (RFC 9068 §4).
func (v *Verifier) verify(ctx context.Context, token string, k kind) (*Token, error) {
	if len(token) > maxTokenSize || strings.ContainsFunc(token, foreign) {
		return nil, fmt.Errorf("%w: not a JWS of at most %d bytes", ErrInvalidToken, maxTokenSize)
	}
	var t *Token
	claims := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, func(parsed *jwt.Token) (_ any, err error) {
		if err = checkHeader(parsed.Header, k.typ); err != nil {
			return nil, err
		}
		if t, err = v.read(claims, k); err != nil {
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

// foreign tells whether a character has no place in a compact JWS. The decoder
// of base64 skips line ends, so one token would have many spellings.
func foreign(c rune) bool {
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

// keyFor returns the public key that the token has to be verified with. The key
// decides on the algorithm, not the token (RFC 8725 §3.1).
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
