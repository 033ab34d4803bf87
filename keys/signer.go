package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	fosite "github.com/ory/fosite/token/jwt"

	"latchkey/keys/jose"
)

var _ fosite.Signer = (*Signer)(nil)

// SignerConfig configures a Signer. Ring and Issuer are required.
type SignerConfig struct {
	Ring   *Ring
	Issuer string // of the tokens that Decode accepts
	Type   string // header parameter typ; "": TypeAccessToken
	Alg    string // JWS algorithm; "": the ring's default
}

// Signer lets fosite's JWT strategies sign and verify with the ring.
type Signer struct {
	ring   *Ring
	issuer string
	typ    string
	alg    string
}

// NewSigner returns a Signer. It returns an error if a required field is missing or the
// algorithm is not supported.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	if cfg.Ring == nil || cfg.Issuer == "" {
		return nil, errors.New("new signer: ring and issuer are required")
	}
	if cfg.Alg != "" {
		if _, err := signingMethod(cfg.Alg); err != nil {
			return nil, fmt.Errorf("new signer: %w", err)
		}
	}
	s := &Signer{ring: cfg.Ring, issuer: cfg.Issuer, typ: cfg.Type, alg: cfg.Alg}
	if s.typ == "" {
		s.typ = TypeAccessToken
	}
	return s, nil
}

// Generate signs the claims. The header has the parameters of the session, except those
// that Decode would refuse. alg, kid and typ are always the ring's.
func (s *Signer) Generate(_ context.Context, claims fosite.MapClaims, extra fosite.Mapper) (token, signature string, err error) {
	if claims == nil || extra == nil {
		return "", "", errors.New("generate token: no claims or no header")
	}
	e, err := s.ring.signer(s.alg)
	if err != nil {
		return "", "", err
	}
	head, err := encodeHeader(s.header(e, extra.ToMap()))
	if err != nil {
		return "", "", err
	}
	// A plain map, because fosite's type has a decoding of its own.
	if token, err = e.sign(head, map[string]any(claims)); err != nil {
		return "", "", err
	}
	return token, token[strings.LastIndexByte(token, '.')+1:], nil
}

func (s *Signer) header(e *entry, extra map[string]any) map[string]any {
	h := make(map[string]any, len(extra)+3)
	maps.Copy(h, extra)
	maps.DeleteFunc(h, func(name string, _ any) bool { return jose.IsForbiddenHeader(name) })
	h["alg"], h["kid"], h["typ"] = e.key.Alg, e.key.KID, s.typ
	return h
}

// Validate verifies a token as Decode does and returns its signature part.
func (s *Signer) Validate(ctx context.Context, token string) (string, error) {
	if _, err := s.Decode(ctx, token); err != nil {
		return "", err
	}
	return s.GetSignature(ctx, token)
}

// Decode verifies a token as Ring.Parse does. Each error is a
// *fosite.ValidationError, the only kind that fosite's strategies translate.
func (s *Signer) Decode(_ context.Context, token string) (*fosite.Token, error) {
	claims := jwt.MapClaims{}
	parsed, err := s.ring.parse(token, s.typ, claims, s.issuer)
	if err != nil {
		return nil, &fosite.ValidationError{Inner: err, Errors: validationBits(err)}
	}
	out := fosite.NewWithClaims(fosite.SigningMethodNone, fosite.MapClaims(claims))
	out.Header = parsed.Header
	switch parsed.Method.Alg() {
	case ES256:
		out.Method = ES256
	case RS256:
		out.Method = RS256
	case EdDSA:
		out.Method = EdDSA
	}
	if aud, err := claims.GetAudience(); err == nil && len(aud) > 0 {
		// fosite drops audiences that are not a []string.
		out.Claims["aud"] = []string(aud)
	}
	return out, nil
}

// validationBits converts an error of golang-jwt to the bits of fosite. If the error wraps
// several reasons, the most serious one decides.
func validationBits(err error) uint32 {
	for _, c := range []struct {
		reason error
		bits   uint32
	}{
		{jwt.ErrTokenMalformed, fosite.ValidationErrorMalformed},
		{jwt.ErrTokenUnverifiable, fosite.ValidationErrorUnverifiable},
		{jwt.ErrTokenSignatureInvalid, fosite.ValidationErrorSignatureInvalid},
		{jwt.ErrTokenExpired, fosite.ValidationErrorExpired},
		{jwt.ErrTokenNotValidYet, fosite.ValidationErrorNotValidYet},
		{jwt.ErrTokenInvalidIssuer, fosite.ValidationErrorIssuer},
	} {
		if errors.Is(err, c.reason) {
			return c.bits
		}
	}
	return fosite.ValidationErrorClaimsInvalid
}

// Hash returns the SHA-256 digest of the bytes.
func (s *Signer) Hash(_ context.Context, in []byte) ([]byte, error) {
	sum := sha256.Sum256(in)
	return sum[:], nil
}

// GetSignature returns the third part of a token without verifying it.
func (s *Signer) GetSignature(_ context.Context, token string) (string, error) {
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 {
		return "", errors.New("token does not have three parts")
	}
	return parts[2], nil
}

// GetSigningMethodLength returns the length of a digest of Hash in bytes.
func (s *Signer) GetSigningMethodLength(context.Context) int { return sha256.Size }
