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

// What a Verifier without other settings takes.
const (
	DefaultMaxAge = 5 * time.Minute
	DefaultSkew   = 30 * time.Second
)

const (
	maxProofBytes = 8 << 10
	maxIDBytes    = 256
	proofType     = "dpop+jwt"
)

// ErrProof says that a proof is missing or proves nothing. The detail is for the
// log.
var ErrProof = errors.New("dpop: invalid proof")

// Proof is what a verified proof says.
type Proof struct {
	JKT      string    // SHA-256 thumbprint of the key, base64url (RFC 7638)
	ID       string    // jti; with the key it names the proof
	Nonce    string    // of the server; empty: none
	IssuedAt time.Time // UTC, by the clock of the client
}

// Request is the HTTP request that a proof is to be for.
type Request struct {
	Method string
	URL    string // absolute; query and fragment do not count (RFC 9449 §4.3)
	// AccessToken is what came with the proof, which must name it then. It is
	// empty at the token endpoint.
	AccessToken string
}

// Verifier verifies proofs. Its zero value is ready to use; a Verifier may be
// used by several goroutines.
type Verifier struct {
	Algorithms []string         // of JWS (RFC 7518 §3.1), among those of Algorithms, which are the default
	Now        func() time.Time // default: time.Now
	MaxAge     time.Duration    // of a proof; default: DefaultMaxAge
	Skew       time.Duration    // by how much a client's clock may be ahead; default: DefaultSkew
}

// Algorithms returns the names of all JWS algorithms that this package verifies.
func Algorithms() []string { return jose.ProofAlgorithms() }

// FromHeader returns the one proof of a request. It is empty without a DPoP
// header, and ErrProof with several (RFC 9449 §4.3, check 1).
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

// Verify checks that a proof was made for the request by whoever has the private
// key of the public one in it (RFC 9449 §4.3). Whether it was used before, and
// whether its nonce is one that the server gave, is for the caller to ask. The
// error is an ErrProof.
func (v *Verifier) Verify(proof string, r Request) (Proof, error) {
	if len(proof) > maxProofBytes || strings.ContainsFunc(proof, foreign) {
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

// Until returns when no clock that is at most the skew apart from this one takes
// the proof any more: whoever remembers it to see it used once may forget it.
func (v *Verifier) Until(p Proof) time.Time { return p.IssuedAt.Add(v.maxAge() + v.skew()) }

// Digest names the use of a proof for a request: it is the same for every replay
// and for nothing else. The purpose keeps it apart from other digests.
func (p Proof) Digest(purpose string, r Request) []byte {
	target, _ := normalize(r.URL) // Verify has taken it
	sum := sha256.New()
	for _, part := range []string{purpose, p.JKT, target, p.ID} { // the last may be anything, no other has a zero byte
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	return sum.Sum(nil)
}

// foreign tells whether a character has no place in a compact JWS. The decoder
// of base64 skips line ends.
func foreign(c rune) bool {
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

// tokenHash is what a proof says of an access token (RFC 9449 §4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
