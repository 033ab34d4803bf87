package grants

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

// refreshPrefix marks our refresh tokens, so that scanners for leaked secrets can
// recognise them.
const refreshPrefix = "lkr_"

// MACer authenticates refresh tokens under a pepper; *keys.Peppers implements it.
type MACer interface {
	// MAC returns the HMAC-SHA-256 of data under the pepper with that id, or false
	// if there is none.
	MAC(pepperID, purpose string, data []byte) ([]byte, bool)
	// CurrentID returns the id of the pepper for new tokens.
	CurrentID() string
}

// RefreshTokens writes and reads refresh tokens. A token consists of the id of its
// family, its generation, the id of a pepper, the family's random seed of 128 bits, and
// a MAC of all these under the pepper:
//
//	lkr_FAMILY.GENERATION.PEPPER.SEED.MAC
//
// The database has only the digest of the seed, and the pepper is sealed. So neither the
// database nor the pepper alone is enough to forge a token. The next token is computed
// from the present one. So a retry gets the same token, and a family is one row however
// often it is refreshed.
type RefreshTokens struct {
	Peppers MACer
	Rand    io.Reader
}

// RefreshToken is a parsed refresh token whose MAC is right.
type RefreshToken struct {
	FamilyID   string
	Generation int64
	seed       string
	pepperID   string
}

// refresh is a verified refresh token and its family.
type refresh struct {
	token  RefreshToken
	family storage.TokenFamily
	jkt    string // thumbprint of the key whose possession was proven; empty: none
}

// Begin completes a new family: it sets its id, its generation and the digest of its seed,
// and returns its first token.
func (t *RefreshTokens) Begin(family storage.TokenFamily) (*storage.TokenFamily, string, error) {
	id, err := storage.NewID(t.Rand, "")
	if err != nil {
		return nil, "", err
	}
	var seed [16]byte
	if _, err := io.ReadFull(t.Rand, seed[:]); err != nil {
		return nil, "", fmt.Errorf("new refresh token: %w", err)
	}
	first := RefreshToken{FamilyID: id, Generation: 1, seed: base64.RawURLEncoding.EncodeToString(seed[:]), pepperID: t.Peppers.CurrentID()}
	family.ID, family.Generation, family.SeedDigest = id, 1, first.seedDigest()
	token, err := t.write(first)
	return &family, token, err
}

// newFamily returns the refresh token family of a sign-in with the access token first,
// and its first refresh token. It returns nil if the client gets no refresh tokens.
func (t *RefreshTokens) newFamily(first AccessToken) (*storage.TokenFamily, string, error) {
	c := first.Client
	if c.RefreshTokenTTL <= 0 || !c.HasGrant(GrantRefreshToken) {
		return nil, "", nil
	}
	now := first.familyStart()
	family := familyOf(first, now.Add(c.RefreshTokenTTL))
	family.IdleUntil = idleUntil(c, now)
	return t.Begin(family)
}

// familyStart returns when the family of an access token begins.
func (t *AccessToken) familyStart() time.Time {
	return storage.IssueTime(storage.IssueTime(t.IssuedAt, t.Client.RefreshTokensValidFrom()), storage.TokensValidFrom(t.Client, t.Principal, t.Member, t.AMR))
}

// familyOf returns the family that begins with the access token first. Begin completes it.
func familyOf(first AccessToken, expires time.Time) storage.TokenFamily {
	c, u, now := first.Client, first.Principal, first.familyStart()
	family := storage.TokenFamily{
		ClientID: c.ID, UserUID: u.User.UID, LoginID: u.Login.ID, SourceID: first.SourceID,
		SessionID: first.BrowserSession, Scope: first.allScopes(), Resources: first.Resources, AMR: first.AMR, Purpose: first.Purpose, AuthTime: first.AuthTime,
		RotatedAt: now, CreatedAt: now,
		ExpiresAt: expires,
	}
	if first.Member != nil {
		family.AccountUID = first.Member.Account.UID
	}
	if c.Public { // a confidential client authenticates itself at each use (RFC 9449 §5)
		family.JKT = first.JKT
	}
	return family
}

// idleUntil returns when a family that is used now expires if it is not used again;
// zero: never.
func idleUntil(c *storage.Client, now time.Time) time.Time {
	if c.RefreshIdleTTL <= 0 {
		return time.Time{}
	}
	return now.Add(c.RefreshIdleTTL)
}

// At returns the token of the same family with another generation.
func (t *RefreshTokens) At(token RefreshToken, generation int64) (string, error) {
	token.Generation = generation
	return t.write(token)
}

func (t *RefreshTokens) write(token RefreshToken) (string, error) {
	body := token.body()
	mac, ok := t.mac(token.pepperID, body)
	if !ok {
		return "", fmt.Errorf("no pepper %q for a refresh token", token.pepperID)
	}
	return body + "." + mac, nil
}

// Parse parses a token and checks its MAC. It does not check the state of the family.
// It returns ErrRefreshToken if this server did not write the token.
func (t *RefreshTokens) Parse(token string) (RefreshToken, error) {
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 || !IsRefreshToken(token) {
		return RefreshToken{}, ErrRefreshToken
	}
	parts := strings.Split(token[len(refreshPrefix):cut], ".")
	if len(parts) != 4 {
		return RefreshToken{}, ErrRefreshToken
	}
	generation, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return RefreshToken{}, ErrRefreshToken
	}
	want, ok := t.mac(parts[2], token[:cut])
	if !ok || !hmac.Equal([]byte(want), []byte(token[cut+1:])) {
		return RefreshToken{}, ErrRefreshToken
	}
	return RefreshToken{FamilyID: parts[0], Generation: generation, pepperID: parts[2], seed: parts[3]}, nil
}

// IsRefreshToken reports whether a token has the prefix of our refresh tokens. It does
// not check the MAC.
func IsRefreshToken(token string) bool { return strings.HasPrefix(token, refreshPrefix) }

// BelongsTo reports whether the token belongs to the family.
func (r RefreshToken) BelongsTo(f *storage.TokenFamily) bool {
	return r.FamilyID == f.ID && subtle.ConstantTimeCompare(r.seedDigest(), f.SeedDigest) == 1
}

func (r RefreshToken) body() string {
	return refreshPrefix + r.FamilyID + "." + strconv.FormatInt(r.Generation, 10) + "." + r.pepperID + "." + r.seed
}

func (r RefreshToken) seedDigest() []byte {
	sum := sha256.Sum256([]byte(r.seed))
	return sum[:]
}

func (t *RefreshTokens) mac(pepperID, body string) (string, bool) {
	mac, ok := t.Peppers.MAC(pepperID, "refresh_token", []byte(body))
	return base64.RawURLEncoding.EncodeToString(mac), ok
}
