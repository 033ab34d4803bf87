package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
)

// Defaults of a Verifier.
const (
	DefaultMaxAge = 5 * time.Minute
	DefaultSkew   = 30 * time.Second
)

const (
	maxProofBytes = 8 << 10
	maxIDBytes    = 256
	proofType     = "dpop+jwt"
)

// ErrProof says that a proof is missing or invalid. The text of the error is for the
// log only.
var ErrProof = errors.New("dpop: invalid proof")

// Proof has the claims of a verified proof.
type Proof struct {
	JKT      string    // SHA-256 thumbprint of the key, base64url (RFC 7638)
	ID       string    // jti; unique for the key
	Nonce    string    // that the server issued; empty: none
	IssuedAt time.Time // iat, UTC, by the clock of the client
}

// Request is the HTTP request for which a proof must have been made.
type Request struct {
	Method string
	URL    string // absolute; query and fragment are ignored (RFC 9449 §4.3)
	// AccessToken is the access token that the request presents. The proof must
	// contain its hash. It is empty at the token endpoint.
	AccessToken string
}

// Verifier verifies proofs. Its zero value is ready to use. It is safe for concurrent
// use.
type Verifier struct {
	Algorithms []string         // accepted JWS algorithms (RFC 7518 §3.1); default: all that the function Algorithms returns
	Now        func() time.Time // default: time.Now
	MaxAge     time.Duration    // of a proof, by iat; default: DefaultMaxAge
	Skew       time.Duration    // allowed difference between the clocks of client and server; default: DefaultSkew
}

// Algorithms returns the names of all JWS algorithms that this package verifies.
func Algorithms() []string { return jose.ProofAlgorithms() }

// FromHeader returns the proof in the DPoP header, or "" without that header. It
// returns ErrProof if there are several (RFC 9449 §4.3, check 1) or it is empty.
func FromHeader(h http.Header) (string, error) {
	values := h.Values("DPoP")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", fmt.Errorf("%w: %d proofs", ErrProof, len(values))
	case values[0] == "":
		return "", fmt.Errorf("%w: empty", ErrProof)
	}
	return values[0], nil
}

// Verify checks that a proof was made for the request and is signed with the private
// key of its public key (RFC 9449 §4.3). The caller checks that the proof was not used
// before and that its nonce is valid. The error is an ErrProof.
func (v *Verifier) Verify(proof string, r Request) (Proof, error) {
	if len(proof) > maxProofBytes || strings.ContainsFunc(proof, outsideCompactJWS) {
		return Proof{}, fmt.Errorf("%w: not a JWS of at most %d bytes", ErrProof, maxProofBytes)
	}
	var key key
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods(v.algorithms()), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(proof, claims, func(t *jwt.Token) (any, error) {
		var err error
		key, err = readHeader(t.Header)
		return key.public, err
	})
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	p, err := v.readClaims(claims, r)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	p.JKT = key.thumbprint
	return p, nil
}

// AcceptedUntil returns the time after which no replica accepts the proof, if its clock
// differs by at most the skew. A record of used proofs may delete the proof then.
func (v *Verifier) AcceptedUntil(p Proof) time.Time { return p.IssuedAt.Add(v.maxAge() + v.skew()) }

// Digest identifies the use of a proof for a request. It is the same for each replay,
// and different for any other proof or request. The purpose separates it from other
// digests.
func (p Proof) Digest(purpose string, r Request) []byte {
	target, _ := normalizeURL(r.URL) // Verify has accepted it
	sum := sha256.New()
	for _, part := range []string{purpose, p.JKT, target, p.ID} { // the last may be any text; the others have no zero byte
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	return sum.Sum(nil)
}

// outsideCompactJWS reports whether a character cannot be part of a JWS in compact
// serialization. It is checked because the base64 decoder ignores line ends.
func outsideCompactJWS(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		return false
	}
	return true
}

func (v *Verifier) algorithms() []string {
	all := Algorithms()
	if len(v.Algorithms) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(alg string) bool { return !slices.Contains(v.Algorithms, alg) })
}

func (v *Verifier) maxAge() time.Duration {
	if v.MaxAge > 0 {
		return v.MaxAge
	}
	return DefaultMaxAge
}

func (v *Verifier) skew() time.Duration {
	if v.Skew > 0 {
		return v.Skew
	}
	return DefaultSkew
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// tokenHash returns the claim ath for an access token (RFC 9449 §4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
