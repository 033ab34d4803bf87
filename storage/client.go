package storage

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Client is an OAuth client (OrderCloud: API client; Elastic Path: application
// key).
type Client struct {
	ID        string // as registered; matched ignoring letter case
	Name      string
	Active    bool
	Public    bool   // authenticates by its ID alone; a client that gets a secret is never public again
	ProfileID string // the password profile whose logins sign in through it

	GrantTypes  []string // RFC 6749 grant types it may use
	Credentials Credentials
	Roles       []string // granted to the client itself by client credentials without a context user

	MinimumRoles []string // roles that a user must have to sign in
	MaximumRoles []string // the only roles that a token may carry; empty: any

	AllowAnyBuyer    bool // users of every buyer may sign in; false: only those of AccountUIDs
	AllowAnySupplier bool
	AllowSeller      bool     // admin users may sign in
	AccountUIDs      []string // assigned buyers and suppliers

	DefaultContextUser  string // username that client credentials act as
	RequiresContextUser bool   // client credentials are refused without one (OrderCloud)
	AnonymousBuyer      bool

	AccessTokenTTL     time.Duration // 0: the client sets none; see AccessTokenLife
	RefreshTokenTTL    time.Duration // life in total since the sign-in; 0: no refresh tokens
	RefreshIdleTTL     time.Duration // a refresh token that is not used for so long expires; 0: no such limit
	AnonymousTokenTTL  time.Duration
	ReuseRefreshTokens bool   // no rotation: the same refresh token stays valid
	SigningAlg         string // JWS algorithm of its access tokens; "": the server's default

	AuthMethod   string          // how it authenticates (RFC 7591 §2): AuthMethodPrivateKeyJWT; "": by a secret, or not at all
	JWKS         json.RawMessage // its public keys, a JWK Set (RFC 7517), for AuthMethodPrivateKeyJWT
	Resources    []string        // resources that its tokens may be for (RFC 8707); empty: all of the server's
	DPoPBound    bool            // its access tokens must be bound to a key (RFC 9449 §5.2)
	TrustAddress bool            // if the client is confidential, it may state the network address of its user
	Registration Digest          // of its registration access token (RFC 7592); zero: none

	RedirectURIs           []string // to which authorization responses go; see HasRedirectURI
	PostLogoutRedirectURIs []string // to which browsers may go after a logout
	BackchannelLogoutURI   string   // to which logout tokens are sent (OpenID Connect Back-Channel Logout 1.0); empty: none
	ThirdParty             bool     // its users are asked for their consent
	IDTokenAlg             string   // JWS algorithm of its ID tokens; empty: RS256
	RequirePAR             bool     // it must push its authorization requests (RFC 9126)

	Secrets []ClientSecret
	XP      json.RawMessage // the administrator's own data

	ValidFrom time.Time // tokens and codes issued earlier have ended; set when the client is created, deactivated and activated

	// PermittedSince has the time since which the client has had each of its permissions:
	// the users that it admits, one-time passwords, permanent passwords, refresh tokens. The
	// client has had a permission without an entry since it was created. Stores set it; see
	// PermittedSinceAfter.
	PermittedSince map[string]time.Time

	Version              int64 // rises with each change
	CreatedAt, UpdatedAt time.Time
}

// ConsoleClientID is the ID of the client through which administrators sign in to the
// console. The server has this client without a record, so no record may have the ID.
const ConsoleClientID = "latchkey-console"

// DefaultAccessTokenTTL is the lifetime of access tokens of the token endpoint
// for clients that set none.
const DefaultAccessTokenTTL = 15 * time.Minute

// AccessTokenLife returns the lifetime of the client's access tokens of the token
// endpoint.
func (c Client) AccessTokenLife() time.Duration {
	return cmp.Or(c.AccessTokenTTL, DefaultAccessTokenTTL)
}

// AuthMethodPrivateKeyJWT is authentication by an assertion that the client
// signs (RFC 7523 §2.2).
const AuthMethodPrivateKeyJWT = "private_key_jwt"

// Credentials says which credentials a client's users may present.
type Credentials struct {
	OTP      bool
	Password bool
}

// Methods returns the methods by which users may sign in (RFC 8176 §2: "otp" and "pwd").
func (c Credentials) Methods() []string {
	var methods []string
	if c.OTP {
		methods = append(methods, "otp")
	}
	if c.Password {
		methods = append(methods, "pwd")
	}
	return methods
}

// Allow reports whether the credentials include every method in amr (see Methods). A client
// accepts a session only if it allows the credentials that the user signed in with.
func (c Credentials) Allow(amr []string) bool {
	methods := c.Methods()
	return !slices.ContainsFunc(amr, func(method string) bool { return !slices.Contains(methods, method) })
}

// ClientSecret is one of a client's secrets. The secret itself is not stored.
type ClientSecret struct {
	ID        string
	Name      string
	Digest    Digest
	ExpiresAt time.Time // zero: never
	CreatedAt time.Time
}

// Digest is a keyed digest of a secret: HMAC-SHA-256 with the pepper PepperID.
type Digest struct {
	PepperID string
	Sum      []byte
}

// HasGrant reports whether the client may use the grant type.
func (c *Client) HasGrant(grantType string) bool {
	for _, g := range c.GrantTypes {
		if g == grantType {
			return true
		}
	}
	return false
}

// Admits reports whether the user may sign in through the client. An admin user
// may if the client serves the seller. A user of a buyer or supplier may if the
// client serves all accounts of that kind or is assigned to that account.
// Refusal also checks that user, account and client are active.
func (c *Client) Admits(u User) bool {
	switch u.Kind {
	case Admin:
		return c.AllowSeller
	case Buyer:
		return c.AllowAnyBuyer || c.assignedTo(u.AccountUID)
	case Supplier:
		return c.AllowAnySupplier || c.assignedTo(u.AccountUID)
	}
	return false
}

func (c *Client) assignedTo(accountUID string) bool {
	for _, uid := range c.AccountUIDs {
		if uid == accountUID {
			return true
		}
	}
	return false
}
