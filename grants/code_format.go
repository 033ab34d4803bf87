package grants

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"latchkey/storage"
)

const (
	codePrefix  = "lka_" // of authorization codes, so that scanners for leaked secrets recognise them
	codePurpose = "authorization_code"

	// AuthorizationLife is how long an authorization code is good (RFC 6749 §4.1.2).
	AuthorizationLife = time.Minute
)

// AuthorizationCodes writes and reads authorization codes. A code consists of the ID of
// its authorization and a secret of 256 bits. The database has a keyed digest of the
// secret.
type AuthorizationCodes struct {
	Digests Digester
	Rand    io.Reader
}

// Begin completes a new authorization: it sets the ID, the digest of the secret, and the
// times. It returns the code, or the error of Rand.
func (x *AuthorizationCodes) Begin(a storage.Authorization, now time.Time) (*storage.Authorization, string, error) {
	id, err := storage.NewID(x.Rand, "")
	if err != nil {
		return nil, "", err
	}
	secret, err := storage.NewSecret(x.Rand)
	if err != nil {
		return nil, "", fmt.Errorf("new authorization code: %w", err)
	}
	a.ID, a.Secret = id, x.Digests.Digest(codePurpose, id, secret)
	a.CreatedAt, a.ExpiresAt = now, now.Add(AuthorizationLife)
	return &a, codePrefix + id + "." + secret, nil
}

// parse returns the parts of a code. ok is false if it is not one.
func (x *AuthorizationCodes) parse(code string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(code, codePrefix)
	if !ok || len(code) > 128 {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}

// belongs reports whether the secret is that of the authorization.
func (x *AuthorizationCodes) belongs(a *storage.Authorization, secret string) bool {
	return x.Digests.Matches(a.Secret, codePurpose, a.ID, secret)
}

// challengeText matches a code challenge of the method S256 (RFC 7636 §4.2).
var challengeText = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// IsChallenge reports whether the text is a code challenge of the method S256.
func IsChallenge(text string) bool { return challengeText.MatchString(text) }

// verifierText matches a code verifier (RFC 7636 §4.1).
var verifierText = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies reports whether the verifier is the one of the challenge (RFC 7636 §4.6).
func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	return verifierText.MatchString(verifier) && subtle.ConstantTimeCompare([]byte(want), []byte(challenge)) == 1
}
