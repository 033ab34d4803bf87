package token

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/storage"
)

// notBeforeLead is how long before its issue a token becomes valid by its nbf.
// Verifiers compare nbf with their own clock (RFC 7519 §4.1.5), and many allow no
// leeway. So a verifier whose clock is slow by up to this time accepts a new token.
const notBeforeLead = 10 * time.Second

// Values of the header parameter typ of account management tokens and selection tokens.
// Each kind of token has its own typ and audience. A verifier demands both, so it accepts
// no token of another kind.
const (
	typeAccountToken   = "account+jwt"
	typeSelectionToken = "selection+jwt"
)

// Claims are the claims that access tokens, account management tokens and selection
// tokens have in common: those of RFC 9068 §2.2, the precise time of issue, and the
// account that the token is scoped to. ID tokens and logout tokens do not have them; see
// idClaims and logoutClaims.
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
	// Purpose is the purpose of the one-time password that the sign-in used. It is
	// empty if none was used, or one to sign in.
	Purpose storage.Purpose `json:"purpose,omitempty"`
	// Session identifies the sign-in that the token comes from, if neither its refresh
	// family nor its own id does.
	Session  string `json:"session,omitempty"`
	SourceID string `json:"src,omitempty"` // where the sign-in came from, as the store knows it

	// Confirmation names the key that the token is bound to (RFC 7800 §3.1).
	Confirmation *Confirmation `json:"cnf,omitempty"`

	// IssuedMicros is iat in microseconds, because a password change and the sign-in
	// with the new password can be in one second. It is later than iat if the clock of
	// this server is behind that of the server which ended older tokens.
	IssuedMicros int64 `json:"iat_us"`

	AccountID       string   `json:"account_id,omitempty"`
	AccountName     string   `json:"account_name,omitempty"`
	AccountRoles    []string `json:"account_roles,omitempty"`
	AccountMemberID string   `json:"account_member_id,omitempty"`
	// AccountUID is the account's internal id. AccountID is unique for its kind
	// only, and an administrator may change it.
	AccountUID string `json:"account_uid,omitempty"`
}

// Confirmation identifies a key by its thumbprint (RFC 9449 §6.1).
type Confirmation struct {
	JKT string `json:"jkt"`
}

// confirm returns the claim cnf of a token that is bound to the key. It returns nil
// for an empty thumbprint.
func confirm(jkt string) *Confirmation {
	if jkt == "" {
		return nil
	}
	return &Confirmation{jkt}
}

var _ jwt.Claims = (*Claims)(nil)

// issuance holds the values that newClaims writes in the same way for every kind of
// token.
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

// issueMicros returns the claim iat_us. outdated compares it with the times at which older
// tokens ended.
func (i issuance) issueMicros() int64 {
	return storage.IssueTime(i.issuedAt, storage.TokensValidFrom(i.client, i.principal, i.member, i.amr)).UnixMicro()
}

// newClaims returns the claims of a new token for the audience.
func (is *Issuer) newClaims(aud Audience, i issuance) (Claims, error) {
	id, err := storage.NewID(is.cfg.Rand, "")
	if err != nil {
		return Claims{}, err
	}
	return is.claims(aud, id, i), nil
}

// claims is newClaims for a token with that id.
func (is *Issuer) claims(aud Audience, id string, i issuance) Claims {
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
	return c
}

// parseFor verifies a token of the type typ and decodes its claims into claims. common is
// the Claims in claims. Every audience of the token must be one of the resources.
func (is *Issuer) parseFor(token, typ string, resources []string, claims jwt.Claims, common *Claims) error {
	if err := is.cfg.Ring.Parse(token, typ, claims, is.cfg.Issuer); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if !common.Audience.within(resources) {
		return fmt.Errorf("%w: %w", ErrInvalidToken, jwt.ErrTokenInvalidAudience)
	}
	return nil
}

// Bound returns the thumbprint of the key that the token is bound to. It returns ""
// for a bearer token.
func (c *Claims) Bound() string {
	if c.Confirmation == nil {
		return ""
	}
	return c.Confirmation.JKT
}

// User returns the internal id of the token's user. It returns "" if the client acts
// for itself.
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

// GetNotBefore implements jwt.Claims. It returns nil, so that a replica whose clock is
// behind accepts a new token of another replica. Otherwise it would report the token
// as inactive, and would not revoke it. See holder.
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
