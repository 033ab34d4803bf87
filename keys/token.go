package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
)

// Values of the header parameter typ.
const (
	TypeAccessToken = "at+jwt"     // RFC 9068 §2.1
	TypeJWT         = "JWT"        // RFC 7519 §5.1
	TypeLogoutToken = "logout+jwt" // OpenID Connect Back-Channel Logout 1.0 §2.4
)

// MaxTokenSize is the maximum length of a token in bytes. Longer ones are not parsed.
const MaxTokenSize = 16 << 10

// header is the protected header of the tokens we sign.
type header struct {
	Alg string `json:"alg"`
	KID string `json:"kid"`
	Typ string `json:"typ"`
}

// encodeHeader returns the first part of a token.
func encodeHeader(h header) (string, error) {
	raw, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Sign returns a token with the claims and the header parameter typ, for example
// TypeAccessToken. It is signed with the active key of the algorithm ("": the default
// one). The claims are any value that encodes as a JSON object. The caller must make sure
// that they expire within MaxTokenLife. It returns ErrNoKey, or the error of encoding or
// signing.
func (r *Ring) Sign(alg, typ string, claims any) (token string, err error) {
	sign, err := r.Signer(alg, typ)
	if err != nil {
		return "", err
	}
	return sign(claims)
}

// Signer is Sign in two steps. It chooses the key, and the function that it returns signs
// claims with that key, even if the key is retired or revoked meanwhile. Use the function
// for one token only. The parameters and errors are those of Sign.
func (r *Ring) Signer(alg, typ string) (sign func(claims any) (string, error), err error) {
	e, err := r.signer(alg)
	if err != nil {
		return nil, err
	}
	head, ok := e.headers[typ]
	if !ok {
		if head, err = encodeHeader(header{Alg: e.key.Alg, KID: e.key.KID, Typ: typ}); err != nil {
			return nil, err
		}
	}
	return func(claims any) (string, error) { return e.token(head, claims) }, nil
}

// token returns a token with the encoded header head and the claims. It is written into one
// buffer, because it is the largest text that most requests make.
func (e *entry) token(head string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	if len(payload) == 0 || payload[0] != '{' {
		return "", errors.New("encode claims: not a JSON object")
	}
	encoding := base64.RawURLEncoding
	token := make([]byte, 0, len(head)+1+encoding.EncodedLen(len(payload))+1+encoding.EncodedLen(usualSignature))
	token = append(append(token, head...), '.')
	token = encoding.AppendEncode(token, payload)
	signature, err := e.sign(token, e.key.Private)
	if err != nil {
		return "", fmt.Errorf("sign with %s key %q: %w", e.key.Alg, e.key.KID, err)
	}
	token = encoding.AppendEncode(append(token, '.'), signature)
	return string(token), nil
}

// usualSignature is the size of a signature of ES256 and EdDSA in bytes.
const usualSignature = 64

// Parse verifies a token that a Ring has signed, and decodes its claims into claims, a
// pointer to a struct or a jwt.MapClaims. The rules are those of RFC 9068 §4 and RFC 8725
// §3, without leeway:
//
//   - The kid is that of a published key, and the token is signed with the key and its
//     algorithm.
//   - The typ and the issuer are the given ones.
//   - The claims iat and exp are present, and the token is valid now.
//
// Every error means that the token is refused and that claims must not be used. errors.Is
// finds the reason among the errors of golang-jwt.
func (r *Ring) Parse(token, typ string, claims jwt.Claims, issuer string) error {
	if err := checkForm(token); err != nil {
		return err
	}
	_, err := r.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		return r.keyFor(t, typ)
	})
	if err != nil {
		return err
	}
	if err := checkOrigin(claims, issuer); err != nil {
		return fmt.Errorf("%w: %w", jwt.ErrTokenInvalidClaims, err)
	}
	return nil
}

// ParseHint is Parse for a token that may have expired, as long as its key is published.
func (r *Ring) ParseHint(token, typ string, claims jwt.Claims, issuer string) error {
	if err := checkForm(token); err != nil {
		return err
	}
	parser := jwt.NewParser(jwt.WithValidMethods(jose.SigningAlgorithms()), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	if _, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return r.keyFor(t, typ) }); err != nil {
		return err
	}
	if err := checkOrigin(claims, issuer); err != nil {
		return fmt.Errorf("%w: %w", jwt.ErrTokenInvalidClaims, err)
	}
	return nil
}

// checkForm refuses a token that is too long or has a line break, before anything is
// decoded. Go's base64 decoder ignores line breaks even when it is strict, so a token would
// have many spellings.
func checkForm(token string) error {
	if len(token) > MaxTokenSize {
		return fmt.Errorf("%w: longer than %d bytes", jwt.ErrTokenMalformed, MaxTokenSize)
	}
	if strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("%w: line break", jwt.ErrTokenMalformed)
	}
	return nil
}

// keyFor returns the public key of the token's kid.
func (r *Ring) keyFor(t *jwt.Token, typ string) (any, error) {
	if err := jose.CheckHeader(t.Header); err != nil {
		return nil, err
	}
	if got, ok := t.Header["typ"].(string); !ok || !jose.SameType(got, typ) {
		return nil, fmt.Errorf("wrong typ, want %q", typ)
	}
	kid, ok := t.Header["kid"].(string)
	if !ok {
		return nil, errors.New("no kid")
	}
	e := r.current.Load().published(kid, r.now())
	if e == nil {
		return nil, ErrUnknownKey
	}
	// The algorithm of the token must be that of the key (RFC 8725 §3.1).
	if t.Method.Alg() != e.key.Alg {
		return nil, fmt.Errorf("wrong alg for the key, want %q", e.key.Alg)
	}
	return e.key.Public, nil
}

// checkOrigin checks iat and iss, which are optional in the library.
func checkOrigin(claims jwt.Claims, issuer string) error {
	if iat, err := claims.GetIssuedAt(); err != nil || iat == nil {
		return fmt.Errorf("%w: iat", jwt.ErrTokenRequiredClaimMissing)
	}
	if iss, err := claims.GetIssuer(); err != nil || iss == "" || iss != issuer {
		return jwt.ErrTokenInvalidIssuer
	}
	return nil
}

// newParser returns the parser of the library with its strictest settings.
func newParser(now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(jose.SigningAlgorithms()),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(now),
	)
}
