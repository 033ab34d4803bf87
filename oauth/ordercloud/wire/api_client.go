package wire

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/keys/jose"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Durations in minutes, and bounds of lists. The defaults are for API clients that name no
// duration.
const (
	defaultAccessTokenDuration    = 600
	defaultAnonymousTokenDuration = 7 * 24 * 60
	maxAnonymousTokenDuration     = 31 * 24 * 60 // the keys that verify such tokens are published for as long
	maxTokenDuration              = 524160
	maxResources                  = 50
	maxRedirectURIs               = 50
)

// Values of AllowedCredentials.
const (
	credentialOTP      = "otp"
	credentialPassword = "password"
)

// ApiClient is OrderCloud's API client. Latchkey's own members are the last ones. A
// client without those behaves as in OrderCloud: it has the grants password, client
// credentials and refresh, takes one-time passwords and passwords, and keeps its
// refresh token.
type ApiClient struct {
	ID                         string
	ClientSecret               *string // write only
	AccessTokenDuration        *int    // minutes, 10 to 600; default 600
	Active                     *bool   // default true
	AppName                    string
	RefreshTokenDuration       *int            // minutes, 0 to 524160; default 0: no refresh tokens
	AnonymousTokenDuration     *int            // minutes; default a week
	DefaultContextUserName     *string         // username of the user that client credentials act as
	XP                         json.RawMessage `json:"xp"`
	AllowAnyBuyer              bool            // users of all buyers may sign in
	AllowAnySupplier           bool            // users of all suppliers may sign in
	AllowSeller                bool            // admin users may sign in
	IsAnonBuyer                bool            // client credentials act as an anonymous buyer
	AssignedBuyerCount         int             // read only; not set by ApiClientFromRecord
	AssignedSupplierCount      int             // likewise
	MinimumRequiredRoles       []string        // roles that a user must have to sign in
	MinimumRequiredCustomRoles []string
	MaximumGrantedRoles        []string // with MaximumGrantedCustomRoles, the only roles that tokens may have; both empty: no limit
	MaximumGrantedCustomRoles  []string

	// Members for orders, which do not exist here: accepted and not stored.
	OrderCheckoutIntegrationEventID   *string
	OrderCheckoutIntegrationEventName *string
	OrderReturnIntegrationEventID     *string
	OrderReturnIntegrationEventName   *string
	AddToCartIntegrationEventID       *string
	AddToCartIntegrationEventName     *string

	GrantTypes               []string // default password, client_credentials, refresh_token
	AllowedCredentials       []string // "otp", "password"; default both
	RefreshTokenRotation     *bool    // default: true if GrantTypes or AllowedCredentials is given
	RefreshTokenIdleDuration *int     // minutes a refresh token may be unused; default 0: no limit
	SigningAlg               *string  // ES256, RS256 or EdDSA; absent: the stored one; for a new client RS256, or the setting of the server
	PasswordProfileID        *string  // of the logins that sign in; default "default"

	TokenEndpointAuthMethod *string         // "private_key_jwt": the client signs assertions (RFC 7523) and has no secret; absent: it has a secret or is public
	JWKS                    json.RawMessage // its public keys, for private_key_jwt (RFC 7517 §5)
	Resources               []string        // which of the server's resources its tokens may be for (RFC 8707); default all
	DPoPBoundAccessTokens   bool            // all its tokens are bound to a key (RFC 9449 §5.2)
	TrustEndUserAddress     bool            // whether the client, which must be confidential, may send the address of its user

	RedirectUris                       []string // to which the hosted sign-in returns; compared exactly, except for the port of a loopback address
	PostLogoutRedirectUris             []string // to which browsers may go after a logout
	BackchannelLogoutUri               *string  //nolint:revive // gets logout tokens (OpenID Connect Back-Channel Logout 1.0)
	ThirdParty                         bool     // its users are asked for their consent
	IDTokenSigningAlg                  *string  // ES256, RS256 or EdDSA; default RS256
	RequirePushedAuthorizationRequests bool     // RFC 9126 §6
}

// ApiClientAssignment admits the users of a buyer or of a supplier.
type ApiClientAssignment struct {
	ApiClientID string
	BuyerID     *string
	SupplierID  *string
}

// Validate returns the faults of the assignment, as found at path.
func (a ApiClientAssignment) Validate(path string) Faults {
	c := check{path: path}
	c.id("ApiClientID", a.ApiClientID)
	c.party(a.BuyerID, a.SupplierID)
	if a.BuyerID == nil && a.SupplierID == nil {
		c.fail("BuyerID", "BuyerID or SupplierID is required; for admin users set AllowSeller on the client")
	}
	return c.faults
}

// Validate returns all faults of the client. path is its place in the document.
func (a ApiClient) Validate(path string) Faults {
	c := check{path: path}
	c.id("ID", a.ID)
	for _, prefix := range []string{storage.UserPrefix, storage.AccountPrefix} {
		if strings.HasPrefix(strings.ToLower(a.ID), prefix) {
			c.fail("ID", "must not begin with %s, which marks generated identifiers", prefix)
		}
	}
	c.required("AppName", a.AppName)
	c.secret("ClientSecret", a.ClientSecret, "leave it out for a public client")
	c.between("AccessTokenDuration", a.AccessTokenDuration, 10, 600)
	c.between("RefreshTokenDuration", a.RefreshTokenDuration, 0, maxTokenDuration)
	c.between("AnonymousTokenDuration", a.AnonymousTokenDuration, 10, maxAnonymousTokenDuration)
	c.between("RefreshTokenIdleDuration", a.RefreshTokenIdleDuration, 0, maxTokenDuration)
	c.text("DefaultContextUserName", surface.ValueOr(a.DefaultContextUserName, ""))
	if a.IsAnonBuyer && surface.ValueOr(a.DefaultContextUserName, "") == "" {
		c.fail("IsAnonBuyer", "needs a DefaultContextUserName")
	}
	c.xp(a.XP)
	c.roles("MinimumRequiredRoles", a.MinimumRequiredRoles)
	c.roles("MinimumRequiredCustomRoles", a.MinimumRequiredCustomRoles)
	c.roles("MaximumGrantedRoles", a.MaximumGrantedRoles)
	c.roles("MaximumGrantedCustomRoles", a.MaximumGrantedCustomRoles)
	c.eachOneOf("GrantTypes", a.GrantTypes, grants.GrantTypes()...)
	c.eachOneOf("AllowedCredentials", a.AllowedCredentials, credentialOTP, credentialPassword)
	if a.SigningAlg != nil {
		c.oneOf("SigningAlg", *a.SigningAlg, jose.SigningAlgorithms()...)
	}
	c.reference("PasswordProfileID", a.PasswordProfileID)
	a.validateAuthentication(&c)
	a.validateRedirects(&c)
	return c.faults
}

// validateRedirects checks the URIs that browsers and logout tokens are sent to.
func (a ApiClient) validateRedirects(c *check) {
	for field, uris := range map[string][]string{"RedirectUris": a.RedirectUris, "PostLogoutRedirectUris": a.PostLogoutRedirectUris} {
		if len(uris) > maxRedirectURIs {
			c.fail(field, "more than %d", maxRedirectURIs)
		}
		for i, uri := range uris {
			if err := storage.CheckRedirectURI(uri); err != nil {
				c.fail(Index(field, i), "the redirect URI %.200q %v", uri, err)
			}
		}
	}
	if uri := surface.ValueOr(a.BackchannelLogoutUri, ""); uri != "" {
		if err := storage.CheckLogoutURI(uri); err != nil {
			c.fail("BackchannelLogoutUri", "%.200q %v", uri, err)
		}
	}
	if a.IDTokenSigningAlg != nil {
		c.oneOf("IDTokenSigningAlg", *a.IDTokenSigningAlg, jose.SigningAlgorithms()...)
	}
}

// validateAuthentication checks how the client authenticates, and the resources of
// its tokens.
func (a ApiClient) validateAuthentication(c *check) {
	switch asserts := a.asserts(); {
	case a.TokenEndpointAuthMethod != nil && !asserts:
		c.oneOf("TokenEndpointAuthMethod", *a.TokenEndpointAuthMethod, storage.AuthMethodPrivateKeyJWT)
	case asserts && len(a.JWKS) == 0:
		c.fail("JWKS", "is required with TokenEndpointAuthMethod %s", storage.AuthMethodPrivateKeyJWT)
	case asserts && a.ClientSecret != nil:
		c.fail("ClientSecret", "is of no use to a client that authenticates by %s", storage.AuthMethodPrivateKeyJWT)
	case !asserts && len(a.JWKS) > 0:
		c.fail("JWKS", "needs TokenEndpointAuthMethod %s", storage.AuthMethodPrivateKeyJWT)
	}
	if len(a.JWKS) > 0 {
		if err := client.CheckKeySet(a.JWKS); err != nil {
			c.fail("JWKS", "%s", err.Error())
		}
	}
	if len(a.Resources) > maxResources {
		c.fail("Resources", "more than %d", maxResources)
	}
	for i, resource := range a.Resources {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "" || strings.ContainsAny(resource, "# ") || len(resource) > maxText {
			c.fail(Index("Resources", i), "must be an absolute URI without a fragment (RFC 8707)")
		}
	}
}

// asserts reports whether the client authenticates by assertions (RFC 7523).
func (a ApiClient) asserts() bool {
	return surface.ValueOr(a.TokenEndpointAuthMethod, "") == storage.AuthMethodPrivateKeyJWT
}

// grantTypes returns the grants of a client that names none (OrderCloud).
func grantTypes() []string {
	return []string{grants.GrantClientCredentials, grants.GrantPassword, grants.GrantRefreshToken}
}

// ToRecord returns base with the members of the client. What the wire does not have
// stays: secrets, assignments, own roles, version, times. An absent SigningAlg
// leaves the stored one, because verifiers depend on it and OrderCloud's clients do
// not send it. An ID that differs in letter case only does not replace the stored
// one. The caller stores ClientSecret.
func (a ApiClient) ToRecord(base storage.Client) storage.Client {
	r := base
	if !strings.EqualFold(r.ID, a.ID) {
		r.ID = a.ID
	}
	r.Name = a.AppName
	r.Active = surface.ValueOr(a.Active, true)
	if base.ID == "" {
		r.Public = true // until it is given a secret
	}
	r.ProfileID = storage.PasswordProfileID(surface.ValueOr(a.PasswordProfileID, storage.DefaultProfileID))
	r.MinimumRoles = surface.SortedSet(a.MinimumRequiredRoles, a.MinimumRequiredCustomRoles)
	r.MaximumRoles = surface.SortedSet(a.MaximumGrantedRoles, a.MaximumGrantedCustomRoles)
	r.AllowAnyBuyer, r.AllowAnySupplier, r.AllowSeller = a.AllowAnyBuyer, a.AllowAnySupplier, a.AllowSeller
	r.DefaultContextUser = surface.ValueOr(a.DefaultContextUserName, "")
	r.RequiresContextUser = len(r.Roles) == 0
	r.AnonymousBuyer = a.IsAnonBuyer
	r.AccessTokenTTL = a.accessTokenTTL(base)
	r.RefreshTokenTTL = minutes(surface.ValueOr(a.RefreshTokenDuration, 0))
	r.RefreshIdleTTL = minutes(surface.ValueOr(a.RefreshTokenIdleDuration, 0))
	r.AnonymousTokenTTL = minutes(surface.ValueOr(a.AnonymousTokenDuration, defaultAnonymousTokenDuration))
	r.SigningAlg = surface.ValueOr(a.SigningAlg, base.SigningAlg)
	r.XP = a.XP
	a.extrasToRecord(&r)
	return r
}

// accessTokenTTL returns the life of the client's access tokens. A client that was
// not made through /v1 may have none of its own. It keeps none if it is sent back
// as it was shown.
func (a ApiClient) accessTokenTTL(base storage.Client) time.Duration {
	ttl := minutes(surface.ValueOr(a.AccessTokenDuration, defaultAccessTokenDuration))
	if base.ID != "" && base.AccessTokenTTL == 0 && ttl == base.AccessTokenLife() {
		return 0
	}
	return ttl
}

func (a ApiClient) extrasToRecord(r *storage.Client) {
	r.GrantTypes = grantTypes()
	if a.GrantTypes != nil {
		r.GrantTypes = surface.SortedSet(a.GrantTypes)
	}
	r.Credentials = storage.Credentials{OTP: true, Password: true}
	if a.AllowedCredentials != nil {
		r.Credentials.OTP = slices.Contains(a.AllowedCredentials, credentialOTP)
		r.Credentials.Password = slices.Contains(a.AllowedCredentials, credentialPassword)
	}
	rotates := surface.ValueOr(a.RefreshTokenRotation, a.GrantTypes != nil || a.AllowedCredentials != nil)
	r.ReuseRefreshTokens = !rotates
	r.JWKS = a.JWKS
	r.Resources = surface.SortedSet(a.Resources)
	r.DPoPBound, r.TrustAddress = a.DPoPBoundAccessTokens, a.TrustEndUserAddress
	r.RedirectURIs, r.PostLogoutRedirectURIs = surface.SortedSet(a.RedirectUris), surface.SortedSet(a.PostLogoutRedirectUris)
	r.BackchannelLogoutURI, r.IDTokenAlg = surface.ValueOr(a.BackchannelLogoutUri, ""), surface.ValueOr(a.IDTokenSigningAlg, "")
	r.ThirdParty, r.RequirePAR = a.ThirdParty, a.RequirePushedAuthorizationRequests
	if a.asserts() {
		r.AuthMethod, r.Public = storage.AuthMethodPrivateKeyJWT, false
	} else if r.AuthMethod == storage.AuthMethodPrivateKeyJWT {
		r.AuthMethod = ""
	}
}

// ApiClientFromRecord returns the client as the wire shows it. It has all members
// of our own that have a value, so that sending it back changes nothing.
func ApiClientFromRecord(r storage.Client) ApiClient {
	a := ApiClient{
		ID:                       r.ID,
		AppName:                  r.Name,
		Active:                   &r.Active,
		AccessTokenDuration:      inMinutes(r.AccessTokenLife()),
		RefreshTokenDuration:     inMinutes(r.RefreshTokenTTL),
		AnonymousTokenDuration:   inMinutes(cmp.Or(r.AnonymousTokenTTL, minutes(defaultAnonymousTokenDuration))),
		RefreshTokenIdleDuration: inMinutes(r.RefreshIdleTTL),
		DefaultContextUserName:   surface.Optional(r.DefaultContextUser),
		XP:                       present(r.XP),
		AllowAnyBuyer:            r.AllowAnyBuyer,
		AllowAnySupplier:         r.AllowAnySupplier,
		AllowSeller:              r.AllowSeller,
		IsAnonBuyer:              r.AnonymousBuyer,
		GrantTypes:               surface.OrEmpty(surface.SortedSet(r.GrantTypes)),
		AllowedCredentials:       credentials(r.Credentials),
		SigningAlg:               surface.Optional(r.SigningAlg),
		PasswordProfileID:        surface.Optional(r.ProfileID),
		JWKS:                     present(r.JWKS),
		Resources:                surface.OrEmpty(surface.SortedSet(r.Resources)),
		DPoPBoundAccessTokens:    r.DPoPBound,
		TrustEndUserAddress:      r.TrustAddress,
		RedirectUris:             surface.OrEmpty(surface.SortedSet(r.RedirectURIs)),
		PostLogoutRedirectUris:   surface.OrEmpty(surface.SortedSet(r.PostLogoutRedirectURIs)),
		BackchannelLogoutUri:     surface.Optional(r.BackchannelLogoutURI),
		ThirdParty:               r.ThirdParty,
		IDTokenSigningAlg:        surface.Optional(r.IDTokenAlg),

		RequirePushedAuthorizationRequests: r.RequirePAR,
	}
	if r.AuthMethod == storage.AuthMethodPrivateKeyJWT {
		a.TokenEndpointAuthMethod = &r.AuthMethod
	}
	rotates := !r.ReuseRefreshTokens
	a.RefreshTokenRotation = &rotates
	a.MinimumRequiredRoles, a.MinimumRequiredCustomRoles = splitRoles(r.MinimumRoles)
	a.MaximumGrantedRoles, a.MaximumGrantedCustomRoles = splitRoles(r.MaximumRoles)
	return a
}

func credentials(c storage.Credentials) []string {
	list := []string{}
	if c.OTP {
		list = append(list, credentialOTP)
	}
	if c.Password {
		list = append(list, credentialPassword)
	}
	return list
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func inMinutes(d time.Duration) *int {
	n := int(d / time.Minute)
	return &n
}
