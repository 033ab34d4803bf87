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
	TypeAccessToken = "at+jwt" // RFC 9068 §2.1
	TypeJWT         = "JWT"    // RFC 7519 §5.1
)

// MaxTokenSize is the length in bytes above which a token is refused unread.
const MaxTokenSize = 16 << 10

// header is the protected header of the tokens we sign.
type header struct {
	Alg string `json:"alg"`
	KID string `json:"kid"`
	Typ string `json:"typ"`
}

// encodeHeader returns the first part of a token.
func encodeHeader(h any) (string, error) {
	raw, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// Sign returns claims as a token of that typ (TypeAccessToken, say), signed
// with the key of the algorithm ("": the default one) that is active now. The
// claims are any value that encodes as a JSON object; that they expire within
// MaxTokenLife is for the caller to see to. It returns ErrNoKey, or what
// encoding or signing gave.
func (r *Ring) Sign(alg, typ string, claims any) (token string, err error) {
	e, err := r.signer(alg)
	if err != nil {
		return "", err
	}
	head, ok := e.headers[typ]
	if !ok {
		if head, err = encodeHeader(header{Alg: e.key.Alg, KID: e.key.KID, Typ: typ}); err != nil {
			return "", err
		}
	}
	return e.sign(head, claims)
}

func (e *entry) sign(head string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	if len(payload) == 0 || payload[0] != '{' {
		return "", errors.New("encode claims: not a JSON object")
	}
	text := head + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := e.method.Sign(text, e.key.Private)
	if err != nil {
		return "", fmt.Errorf("sign with %s key %q: %w", e.key.Alg, e.key.KID, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Parse verifies a token of ours and decodes its claims into claims, a pointer
// to a struct or a jwt.MapClaims. The token must name one of the ring's keys by
// its kid and be signed by it with that key's algorithm, be of that typ, come
// from that issuer, say when it was issued and when it expires, and be valid
// now, without leeway (RFC 9068 §4, RFC 8725 §3). On an error the claims are
// not to be used; every error means that the token is refused, and errors.Is
// finds the reason among the errors of golang-jwt.
func (r *Ring) Parse(token, typ string, claims jwt.Claims, issuer string) error {
	_, err := r.parse(token, typ, claims, issuer)
	return err
}

func (r *Ring) parse(token, typ string, claims jwt.Claims, issuer string) (*jwt.Token, error) {
	if err := plausible(token); err != nil {
		return nil, err
	}
	parsed, err := r.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		return r.keyFor(t, typ)
	})
	if err != nil {
		return nil, err
	}
	if err := checkOrigin(claims, issuer); err != nil {
		return nil, fmt.Errorf("%w: %w", jwt.ErrTokenInvalidClaims, err)
	}
	return parsed, nil
}

// plausible refuses what cannot be one of our tokens before anything of it is
// decoded. Go's base64 decoder skips line breaks even when it is strict, which
// would give one token many spellings.
func plausible(token string) error {
	if len(token) > MaxTokenSize {
		return fmt.Errorf("%w: longer than %d bytes", jwt.ErrTokenMalformed, MaxTokenSize)
	}
	if strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("%w: line break", jwt.ErrTokenMalformed)
	}
	return nil
}

// keyFor returns the public key that the token has to be verified with.
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
	// The key decides on the algorithm, not the token (RFC 8725 §3.1).
	if t.Method.Alg() != e.key.Alg {
		return nil, fmt.Errorf("wrong alg for the key, want %q", e.key.Alg)
	}
	return e.key.Public, nil
}

// checkOrigin demands what the library's validator leaves optional.
func checkOrigin(claims jwt.Claims, issuer string) error {
	if iat, err := claims.GetIssuedAt(); err != nil || iat == nil {
		return fmt.Errorf("%w: iat", jwt.ErrTokenRequiredClaimMissing)
	}
	if iss, err := claims.GetIssuer(); err != nil || iss == "" || iss != issuer {
		return jwt.ErrTokenInvalidIssuer
	}
	return nil
}

// newParser returns the library's parser, set as strictly as it can be.
func newParser(now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(jose.SigningAlgorithms()),
		jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(now),
	)
}
