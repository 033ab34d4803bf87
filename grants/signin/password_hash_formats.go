package signin

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// ErrHashRefused means that a password hash has an unsupported scheme, is malformed,
// or needs more work than is allowed.
var ErrHashRefused = errors.New("password hash refused")

// The current parameters, which Hash uses: one of the equivalent argon2id settings
// that OWASP recommends.
const (
	currentMemory = 19 * 1024 // KiB
	currentPasses = 2
	currentLanes  = 1
	currentSalt   = 16 // bytes
	currentTag    = 32 // bytes
)

// The limits of imported hashes. Without limits, one line of an import could make
// each sign-in take gigabytes or minutes.
const (
	maxMemory     = 256 * 1024 // KiB
	maxPasses     = 10
	maxLanes      = 8
	minSalt       = 8
	maxSalt       = 64
	minTag        = 16
	maxTag        = 64
	minCost       = 4
	maxCost       = 14
	minIterations = 1_000
	maxIterations = 2_000_000
	maxEncoded    = 512 // bytes of the whole string
	bcryptInput   = 72  // bytes of a password that bcrypt reads
)

// passwordHash is a parsed hash whose parameters are within the limits.
type passwordHash interface {
	matches(password string) (bool, error)
	weight() int64 // its memory in units of a hash with the current parameters
}

// CheckEncoded returns ErrHashRefused with the reason if Verify cannot verify the
// encoded hash. It computes nothing. Supported are:
//
//   - bcrypt: $2a$, $2b$ and $2y$, cost 4 to 14
//   - argon2id: PHC string of version 19, up to 256 MiB, 10 passes, 8 lanes
//   - PBKDF2 with SHA-256 or SHA-512: $pbkdf2-sha256$29000$salt$tag or i=29000 as in
//     a PHC string, 1,000 to 2,000,000 iterations
func CheckEncoded(encoded string) error {
	_, err := parseHash(encoded)
	return err
}

func parseHash(encoded string) (passwordHash, error) {
	if len(encoded) > maxEncoded {
		return nil, refuse("longer than %d bytes", maxEncoded)
	}
	parts := strings.Split(encoded, "$")
	if len(parts) < 4 || parts[0] != "" {
		return nil, refuse("it is neither a PHC nor a crypt string")
	}
	switch parts[1] {
	case "argon2id":
		return parseArgon2(parts[2:])
	case "2a", "2b", "2y":
		return parseBcrypt(encoded, parts[2:])
	case "pbkdf2-sha256":
		return parsePBKDF2(parts[2:], sha256.New)
	case "pbkdf2-sha512":
		return parsePBKDF2(parts[2:], sha512.New)
	case "pbkdf2", "pbkdf2-sha1":
		return nil, refuse("PBKDF2 with SHA-1 is not supported")
	}
	return nil, refuse("the scheme is not supported")
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrHashRefused, fmt.Sprintf(format, args...))
}

type argon2Hash struct {
	memory, passes uint32 // KiB, count
	lanes          uint8
	salt, tag      []byte
	tagLen         uint32 // bytes
}

// parseArgon2 reads version, parameters, salt and tag of a PHC string. All parameters
// are required, because libraries differ in the defaults of absent ones.
func parseArgon2(parts []string) (passwordHash, error) {
	if len(parts) != 4 || parts[0] != "v=19" {
		return nil, refuse("argon2id needs v=19, parameters, salt and tag")
	}
	params := strings.Split(parts[1], ",")
	if len(params) != 3 {
		return nil, refuse("argon2id needs the parameters m, t and p, and no others")
	}
	lanes, errP := parameter(params[2], "p=", 1, maxLanes)
	memory, errM := parameter(params[0], "m=", 8*max(lanes, 1), maxMemory) // RFC 9106 §3.1
	passes, errT := parameter(params[1], "t=", 1, maxPasses)
	salt, tag, err := saltAndTag(parts[2], parts[3], base64.RawStdEncoding)
	if err := errors.Join(errM, errT, errP, err); err != nil {
		return nil, err
	}
	return argon2Hash{
		memory: uint32(memory), passes: uint32(passes), lanes: uint8(lanes), //nolint:gosec // bounded above
		salt: salt, tag: tag, tagLen: uint32(len(tag)), //nolint:gosec // likewise
	}, nil
}

func (a argon2Hash) matches(password string) (bool, error) {
	return subtle.ConstantTimeCompare(a.compute(password), a.tag) == 1, nil
}

func (a argon2Hash) weight() int64 { return (int64(a.memory) + currentMemory - 1) / currentMemory }

// String returns the hash as a PHC string.
func (a argon2Hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", a.memory, a.passes, a.lanes, b64.EncodeToString(a.salt), b64.EncodeToString(a.tag))
}

// isCurrent reports whether h has the current parameters. A stronger hash is not
// current either: every login should cost as much as an unknown name.
func isCurrent(h passwordHash) bool {
	a, ok := h.(argon2Hash)
	return ok && a.memory == currentMemory && a.passes == currentPasses && a.lanes == currentLanes &&
		len(a.salt) >= currentSalt && len(a.tag) >= currentTag
}

type bcryptHash struct{ encoded []byte }

func parseBcrypt(encoded string, parts []string) (passwordHash, error) {
	if len(parts) != 2 || len(parts[0]) != 2 {
		return nil, refuse("bcrypt needs a cost of two digits, then salt and hash")
	}
	if _, err := parameter(strings.TrimPrefix(parts[0], "0"), "", minCost, maxCost); err != nil {
		return nil, err
	}
	if ok, _ := regexp.MatchString(`^[./A-Za-z0-9]{53}$`, parts[1]); !ok {
		return nil, refuse("bcrypt needs 53 characters of salt and hash")
	}
	return bcryptHash{encoded: []byte(encoded)}, nil
}

// matches refuses passwords that bcrypt confuses with others. bcrypt ignores all bytes
// after the 72nd. It repeats a short password with a NUL after it, so "a" and
// "a\x00a" have the same hash. Such a password costs the same work as any other.
func (b bcryptHash) matches(password string) (bool, error) {
	presented := []byte(password)
	ambiguous := len(presented) > bcryptInput || strings.ContainsRune(password, 0)
	err := bcrypt.CompareHashAndPassword(b.encoded, presented[:min(len(presented), bcryptInput)])
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil && !ambiguous, err
}

func (bcryptHash) weight() int64 { return 1 }

type pbkdf2Hash struct {
	iterations int
	salt, tag  []byte
	hash       func() hash.Hash
}

// parsePBKDF2 reads passlib's form, iterations$salt$tag in base64 with '.' for
// '+', and the PHC form, i=iterations[,l=length]$salt$tag.
func parsePBKDF2(parts []string, h func() hash.Hash) (passwordHash, error) {
	if len(parts) != 3 {
		return nil, refuse("PBKDF2 needs iterations, salt and tag")
	}
	count, length, hasLength := strings.Cut(parts[0], ",")
	iterations, errI := parameter(strings.TrimPrefix(count, "i="), "", minIterations, maxIterations)
	plus := strings.NewReplacer(".", "+")
	salt, tag, err := saltAndTag(plus.Replace(parts[1]), plus.Replace(parts[2]), base64.RawStdEncoding)
	if err := errors.Join(errI, err); err != nil {
		return nil, err
	}
	if hasLength && length != "l="+strconv.Itoa(len(tag)) {
		return nil, refuse("the length does not fit the tag")
	}
	return pbkdf2Hash{iterations: iterations, salt: salt, tag: tag, hash: h}, nil
}

func (p pbkdf2Hash) matches(password string) (bool, error) {
	tag, err := pbkdf2.Key(p.hash, password, p.salt, p.iterations, len(p.tag))
	return subtle.ConstantTimeCompare(tag, p.tag) == 1 && err == nil, err
}

func (pbkdf2Hash) weight() int64 { return 1 }

// parameter reads a decimal number without sign or leading zeros.
func parameter(s, prefix string, low, high int) (int, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || strconv.Itoa(n) != digits {
		return 0, refuse("a parameter is not a number of the form %sN", prefix) // without its text: it may be the salt
	}
	if n < low || n > high {
		return 0, refuse("%q is not between %d and %d", s, low, high)
	}
	return n, nil
}

func saltAndTag(salt, tag string, enc *base64.Encoding) ([]byte, []byte, error) {
	s, errS := enc.Strict().DecodeString(salt)
	t, errT := enc.Strict().DecodeString(tag)
	switch {
	case errS != nil || errT != nil:
		return nil, nil, refuse("salt or tag is not base64 without padding")
	case len(s) < minSalt || len(s) > maxSalt:
		return nil, nil, refuse("the salt has %d bytes, not %d to %d", len(s), minSalt, maxSalt)
	case len(t) < minTag || len(t) > maxTag:
		return nil, nil, refuse("the tag has %d bytes, not %d to %d", len(t), minTag, maxTag)
	}
	return s, t, nil
}
