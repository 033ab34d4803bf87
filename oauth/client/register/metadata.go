package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

const (
	maxMetadataBytes   = 128 << 10
	maxClientNameBytes = 200
	maxRoleBytes       = 100
)

// clientMetadata is what a client says about itself when it registers (RFC 7591 §2).
// Other members are ignored, as the RFC demands.
type clientMetadata struct {
	ClientName              string          `json:"client_name,omitempty"`
	GrantTypes              []string        `json:"grant_types,omitempty"`
	ResponseTypes           []string        `json:"response_types,omitempty"`
	TokenEndpointAuthMethod string          `json:"token_endpoint_auth_method,omitempty"`
	JWKS                    json.RawMessage `json:"jwks,omitempty"`
	Scope                   string          `json:"scope,omitempty"`
	DPoPBoundAccessTokens   bool            `json:"dpop_bound_access_tokens,omitempty"`

	// Members about the hosted sign-in (RFC 7591 §2, RFC 9126 §6, OpenID Connect).
	RedirectURIs           []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	IDTokenAlg             string   `json:"id_token_signed_response_alg,omitempty"`
	RequirePAR             bool     `json:"require_pushed_authorization_requests,omitempty"`

	JWKSURI string `json:"jwks_uri,omitempty"` // refused

	// Members of a replacement only (RFC 7592 §2.2).
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// registeredClient describes a registered client (RFC 7591 §3.2.1, RFC 7592 §3).
type registeredClient struct {
	ClientID                string          `json:"client_id"`
	ClientIDIssuedAt        int64           `json:"client_id_issued_at"`
	ClientSecret            string          `json:"client_secret,omitempty"`            // shown once
	ClientSecretExpiresAt   *int64          `json:"client_secret_expires_at,omitempty"` // 0: never; with a secret only
	RegistrationAccessToken string          `json:"registration_access_token"`
	RegistrationClientURI   string          `json:"registration_client_uri"`
	ClientName              string          `json:"client_name"`
	GrantTypes              []string        `json:"grant_types"`
	ResponseTypes           []string        `json:"response_types"`
	TokenEndpointAuthMethod string          `json:"token_endpoint_auth_method"`
	JWKS                    json.RawMessage `json:"jwks,omitempty"`
	Scope                   string          `json:"scope"`
	DPoPBoundAccessTokens   bool            `json:"dpop_bound_access_tokens"`

	RedirectURIs           []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	IDTokenAlg             string   `json:"id_token_signed_response_alg,omitempty"`
	RequirePAR             bool     `json:"require_pushed_authorization_requests,omitempty"`
}

// metadataError is a refusal of the metadata of a client (RFC 7591 §3.2.2).
type metadataError struct{ code, description string }

func (e *metadataError) Error() string { return e.code + ": " + e.description }

// fault returns the refusal of one member.
func fault(member, format string, args ...any) error {
	return &metadataError{"invalid_client_metadata", member + " " + fmt.Sprintf(format, args...)}
}

// readMetadata reads the JSON body of a request. Errors: errNotJSON, *metadataError,
// surface.ErrBodyTooLarge.
func readMetadata(w http.ResponseWriter, r *http.Request) (clientMetadata, error) {
	var m clientMetadata
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, errNotJSON
	}
	body, err := surface.ReadJSON(w, r, maxMetadataBytes)
	notObject := &metadataError{"invalid_client_metadata", "the body is not a JSON object"}
	switch {
	case errors.Is(err, surface.ErrBodyNotJSON):
		return m, notObject
	case err != nil:
		return m, err
	case !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		return m, notObject
	}
	if name := surface.RepeatedMember(body); name != "" {
		return m, fault(surface.DescriptionText(name), "occurs twice")
	}
	var wrong *json.UnmarshalTypeError
	if err = json.Unmarshal(body, &m); errors.As(err, &wrong) {
		return m, fault(surface.DescriptionText(wrong.Field), "has the wrong type")
	} else if err != nil {
		return m, notObject
	}
	if string(bytes.TrimSpace(m.JWKS)) == "null" {
		m.JWKS = nil // the same as absent (RFC 7592 §2.2)
	}
	return m, nil
}

// check returns an error if the metadata asks for something that the server does not
// do. serves reports whether the server has a grant.
func (m *clientMetadata) check(serves func(grantType string) bool) error {
	switch {
	case slices.ContainsFunc(m.ResponseTypes, func(t string) bool { return t != responseTypeCode }):
		return fault("response_types", "can only have code")
	case len(m.ClientName) > maxClientNameBytes || strings.ContainsFunc(m.ClientName, unicode.IsControl):
		return fault("client_name", "must be one line of at most %d bytes", maxClientNameBytes)
	case !surface.IsScope(m.Scope) || slices.ContainsFunc(m.scopes(), func(role string) bool { return len(role) > maxRoleBytes }):
		return fault("scope", "must be a list of scopes with spaces between them (RFC 6749, section 3.3)")
	}
	if err := m.checkRedirects(); err != nil {
		return err
	}
	for _, g := range m.grantTypes() {
		if !serves(g) {
			return fault("grant_types", "has one that is not served")
		}
	}
	return m.checkAuthentication()
}

// responseTypeCode is the response type of authorization codes.
const responseTypeCode = "code"

// maxRedirectURIs is the highest number of redirect URIs of each kind.
const maxRedirectURIs = 50

// checkRedirects checks the members about the hosted sign-in.
func (m *clientMetadata) checkRedirects() error {
	uses := slices.Contains(m.grantTypes(), grants.GrantAuthorizationCode)
	switch {
	case len(m.RedirectURIs) > maxRedirectURIs || len(m.PostLogoutRedirectURIs) > maxRedirectURIs:
		return fault("redirect_uris", "has more than %d", maxRedirectURIs)
	case uses && len(m.RedirectURIs) == 0:
		return &metadataError{"invalid_redirect_uri", "redirect_uris is required for the grant type authorization_code"}
	case !uses && len(m.ResponseTypes) > 0:
		return fault("response_types", "needs the grant type authorization_code")
	case m.IDTokenAlg != "" && !slices.Contains([]string{keys.ES256, keys.RS256}, m.IDTokenAlg):
		return fault("id_token_signed_response_alg", "is not served")
	}
	for member, uris := range map[string][]string{"redirect_uris": m.RedirectURIs, "post_logout_redirect_uris": m.PostLogoutRedirectURIs} {
		for _, uri := range uris {
			if err := storage.CheckRedirectURI(uri); err != nil {
				return &metadataError{"invalid_redirect_uri", member + ": the redirect URI " + surface.DescriptionText(uri) + " " + err.Error()}
			}
		}
	}
	if m.BackchannelLogoutURI != "" {
		if err := storage.CheckLogoutURI(m.BackchannelLogoutURI); err != nil {
			return fault("backchannel_logout_uri", "%v", err)
		}
	}
	return nil
}

func (m *clientMetadata) checkAuthentication() error {
	asserts := m.method() == storage.AuthMethodPrivateKeyJWT
	switch {
	case !slices.Contains([]string{client.MethodNone, client.MethodBasic, client.MethodPost, storage.AuthMethodPrivateKeyJWT}, m.method()):
		return fault("token_endpoint_auth_method", "is not served")
	case m.JWKSURI != "":
		return fault("jwks_uri", "is not served: the keys go into jwks")
	case asserts && len(m.JWKS) == 0:
		return fault("jwks", "is required for private_key_jwt")
	case !asserts && len(m.JWKS) > 0:
		return fault("jwks", "is for private_key_jwt only")
	case m.method() == client.MethodNone && slices.Contains(m.grantTypes(), grants.GrantClientCredentials):
		// RFC 6749 §4.4; it is also the default.
		return fault("grant_types", "must not have client_credentials if token_endpoint_auth_method is none")
	case asserts:
		if err := client.CheckKeySet(m.JWKS); err != nil {
			return fault("jwks", "%s", surface.DescriptionText(strings.ReplaceAll(err.Error(), `"`, "'")))
		}
	}
	return nil
}

// method returns the client authentication method (RFC 7591 §2).
func (m *clientMetadata) method() string {
	if m.TokenEndpointAuthMethod == "" {
		return client.MethodBasic
	}
	return m.TokenEndpointAuthMethod
}

func (m *clientMetadata) usesSecret() bool {
	return m.method() == client.MethodBasic || m.method() == client.MethodPost
}

// grantTypes returns the grant types that the client asks for. The default of a client
// with redirect URIs is authorization_code (RFC 7591 §2), and that of another one is
// client_credentials. So a client gets no grant that signs users in unless it asks for
// it.
func (m *clientMetadata) grantTypes() []string {
	if len(m.GrantTypes) == 0 {
		if len(m.RedirectURIs) > 0 {
			return []string{grants.GrantAuthorizationCode}
		}
		return []string{grants.GrantClientCredentials}
	}
	return slices.Compact(slices.Sorted(slices.Values(m.GrantTypes)))
}

// scopes returns the roles that the client asks for.
func (m *clientMetadata) scopes() []string {
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(m.Scope))))
}

// applyTo replaces the fields of a client that the metadata describe. It keeps the
// secrets and the fields that administrators set.
func (m *clientMetadata) applyTo(c *storage.Client) {
	c.Name = strings.TrimSpace(m.ClientName)
	if c.Name == "" {
		c.Name = c.ID
	}
	c.GrantTypes, c.Roles = m.grantTypes(), m.scopes()
	c.Public = m.method() == client.MethodNone
	c.DPoPBound = m.DPoPBoundAccessTokens
	c.RedirectURIs, c.PostLogoutRedirectURIs = m.RedirectURIs, m.PostLogoutRedirectURIs
	c.BackchannelLogoutURI, c.IDTokenAlg, c.RequirePAR = m.BackchannelLogoutURI, m.IDTokenAlg, m.RequirePAR
	c.JWKS, c.AuthMethod = m.JWKS, ""
	if m.method() == client.MethodPost || m.method() == storage.AuthMethodPrivateKeyJWT {
		c.AuthMethod = m.method()
	}
}

// describe returns the answer about a client. secret is "" unless it was made by this
// request.
func (e *Endpoint) describe(c *storage.Client, accessToken, secret string) registeredClient {
	answer := registeredClient{
		ClientID: c.ID, ClientIDIssuedAt: c.CreatedAt.Unix(), ClientSecret: secret,
		RegistrationAccessToken: accessToken, RegistrationClientURI: e.url(c.ID),
		ClientName: c.Name, GrantTypes: append([]string{}, c.GrantTypes...), ResponseTypes: []string{},
		TokenEndpointAuthMethod: client.MethodOf(c), JWKS: c.JWKS, Scope: strings.Join(c.Roles, " "),
		DPoPBoundAccessTokens: c.DPoPBound,
		RedirectURIs:          c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		BackchannelLogoutURI: c.BackchannelLogoutURI, IDTokenAlg: c.IDTokenAlg, RequirePAR: c.RequirePAR,
	}
	if c.HasGrant(grants.GrantAuthorizationCode) {
		answer.ResponseTypes = []string{responseTypeCode}
	}
	if len(answer.JWKS) == 0 {
		answer.JWKS = nil
	}
	if secret != "" {
		answer.ClientSecretExpiresAt = new(int64)
	}
	return answer
}

// isClientID reports whether a client can have that id.
func isClientID(id string) bool {
	return id != "" && len(id) <= maxRoleBytes && otp.IsName(id)
}
