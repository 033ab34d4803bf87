package token

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/storage"
)

// notBeforeLead is how long before its issue a token becomes valid by its nbf.
// Verifiers compare nbf with their own clock (RFC 7519 §4.1.5), and many of them
// allow no leeway: a verifier whose clock is behind by less takes a fresh token.
const notBeforeLead = 10 * time.Second

// Values of the header parameter typ of our tokens that are no access tokens.
// Each kind is read in one place only, which demands its own type and audience.
const (
	typeAccountToken   = "account+jwt"
	typeSelectionToken = "selection+jwt"
)

// Claims are the claims that all our kinds of token have: those of
// RFC 9068 §2.2, the precise time of issue, and the account that the token is
// scoped to.
type Claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  Audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	LoginID   string   `json:"login_id,omitempty"`
	// Purpose is that of the one-time password that the sign-in used; empty: none,
	// or to sign in.
	Purpose storage.Purpose `json:"purpose,omitempty"`
	// Session is the sign-in that the token comes from, where neither a refresh
	// family nor the token's own id stands for it.
	Session  string `json:"session,omitempty"`
	SourceID string `json:"src,omitempty"` // where the sign-in came from, as the store knows it

	// Confirmation says to which key the token is bound (RFC 7800 §3.1).
	Confirmation *Confirmation `json:"cnf,omitempty"`

	// IssuedMicros is iat in microseconds: a password change and the sign-in
	// with the new password can be in one second. It is later than iat if the
	// clock of this server is behind the one that ended older tokens.
	IssuedMicros int64 `json:"iat_us"`

	AccountID       string   `json:"account_id,omitempty"`
	AccountName     string   `json:"account_name,omitempty"`
	AccountRoles    []string `json:"account_roles,omitempty"`
	AccountMemberID string   `json:"account_member_id,omitempty"`
	// AccountUID is the account's internal id. AccountID is unique for its kind
	// only, and an administrator may change it.
	AccountUID string `json:"account_uid,omitempty"`
}

// Confirmation is a key by its thumbprint (RFC 9449 §6.1).
type Confirmation struct {
	JKT string `json:"jkt"`
}

// confirm returns what a token bound to the key says; nil: an empty one is none.
func confirm(jkt string) *Confirmation {
	if jkt == "" {
		return nil
	}
	return &Confirmation{jkt}
}

var _ jwt.Claims = (*Claims)(nil)

// issuance is what newClaims fills in alike for every kind of token.
type issuance struct {
	client              *storage.Client
	principal           *storage.Principal // nil: the client acts for itself
	member              *storage.Member    // nil: no account
	amr                 []string
	purpose             storage.Purpose
	session             string
	authTime            time.Time
	sourceID            string
	issuedAt, expiresAt time.Time
}

// issueMicros is the time of issue as holder compares it with the marks of whom
// the token is for.
func (i issuance) issueMicros() int64 {
	return storage.IssueTime(i.issuedAt, storage.TokensValidFrom(i.client, i.principal, i.member)).UnixMicro()
}

// newClaims returns the claims of a new token for that audience.
func (is *Issuer) newClaims(aud Audience, i issuance) (Claims, error) {
	id, err := storage.NewID(is.cfg.Rand, "")
	if err != nil {
		return Claims{}, err
	}
	c := Claims{
		Issuer: is.cfg.Issuer, Audience: aud, ID: id,
		Subject: i.client.ID, ClientID: i.client.ID,
		IssuedAt: i.issuedAt.Unix(), NotBefore: i.issuedAt.Add(-notBeforeLead).Unix(), ExpiresAt: i.expiresAt.Unix(),
		IssuedMicros: i.issueMicros(), AMR: i.amr, Purpose: i.purpose, Session: i.session,
	}
	if !i.authTime.IsZero() {
		c.AuthTime = i.authTime.Unix()
	}
	if i.principal != nil {
		c.Subject, c.LoginID, c.SourceID = i.principal.User.UID, i.principal.Login.ID, i.sourceID
	}
	if m := i.member; m != nil {
		c.AccountID, c.AccountName, c.AccountUID = m.Account.ID, m.Account.Name, m.Account.UID
		c.AccountRoles, c.AccountMemberID = m.Membership.Roles, m.Membership.UserUID
	}
	return c, nil
}

// parseFor verifies a token of that typ, which is for some of the resources and
// for nothing else, and decodes its claims into claims, of which common is the
// part that all kinds have.
func (is *Issuer) parseFor(token, typ string, resources []string, claims jwt.Claims, common *Claims) error {
	if err := is.cfg.Ring.Parse(token, typ, claims, is.cfg.Issuer); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if !common.Audience.within(resources) {
		return fmt.Errorf("%w: %w", ErrInvalidToken, jwt.ErrTokenInvalidAudience)
	}
	return nil
}

// Bound returns the thumbprint of the key that the token is bound to; empty: it
// is for whoever bears it.
func (c *Claims) Bound() string {
	if c.Confirmation == nil {
		return ""
	}
	return c.Confirmation.JKT
}

// User returns the internal id of the token's user; empty: the client itself.
func (c *Claims) User() string {
	if c.LoginID == "" {
		return ""
	}
	return c.Subject
}

func (c *Claims) issued() time.Time {
	if c.IssuedMicros == 0 { // written before the claim existed
		return moment(c.IssuedAt)
	}
	return time.UnixMicro(c.IssuedMicros).UTC()
}

func (c *Claims) expires() time.Time       { return moment(c.ExpiresAt) }
func (c *Claims) authenticated() time.Time { return moment(c.AuthTime) }

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// GetExpirationTime implements jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }

// GetIssuedAt implements jwt.Claims.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt), nil }

// GetNotBefore implements jwt.Claims. It is nil, so that a replica whose clock
// is behind knows a fresh token of another one: else it would call it inactive,
// and take its revocation for that of an unknown token. See holder.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer implements jwt.Claims.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings(c.Audience), nil
}

func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0))
}
