package oauth

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
	"unicode/utf8"

	"latchkey/grants"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// The client authentication methods of RFC 7591 §2, besides
// storage.AuthMethodPrivateKeyJWT.
const (
	authMethodNone  = "none"
	authMethodBasic = "client_secret_basic"
	authMethodPost  = "client_secret_post"
)

const (
	maxRegistrationBytes = 128 << 10
	maxClientNameBytes   = 200
	maxRoleBytes         = 100
)

// clientMetadata is what a client says of itself when it registers (RFC 7591
// §2). Members that are not here are ignored, as the RFC demands.
type clientMetadata struct {
	ClientName              string          `json:"client_name,omitempty"`
	GrantTypes              []string        `json:"grant_types,omitempty"`
	ResponseTypes           []string        `json:"response_types,omitempty"`
	TokenEndpointAuthMethod string          `json:"token_endpoint_auth_method,omitempty"`
	JWKS                    json.RawMessage `json:"jwks,omitempty"`
	Scope                   string          `json:"scope,omitempty"`
	DPoPBoundAccessTokens   bool            `json:"dpop_bound_access_tokens,omitempty"`

	// Of what exists elsewhere, and is refused here.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	JWKSURI      string   `json:"jwks_uri,omitempty"`

	// Of a replacement (RFC 7592 §2.2).
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// registeredClient is what a client is told of itself (RFC 7591 §3.2.1, RFC 7592
// §3).
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
}

// metadataError says what is wrong with the metadata of a client, as RFC 7591
// §3.2.2 has it.
type metadataError struct{ code, description string }

func (e *metadataError) Error() string { return e.code + ": " + e.description }

func metadataFault(member, format string, args ...any) error {
	return &metadataError{"invalid_client_metadata", member + " " + fmt.Sprintf(format, args...)}
}

// readMetadata reads the JSON body of a request.
func readMetadata(w http.ResponseWriter, r *http.Request) (clientMetadata, error) {
	var m clientMetadata
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return m, errNotJSON
	}
	body, err := readBody(w, r, maxRegistrationBytes)
	if err != nil {
		return m, err
	}
	if !utf8.ValidString(body) || !strings.HasPrefix(strings.TrimSpace(body), "{") {
		return m, &metadataError{"invalid_client_metadata", "the body is not a JSON object"}
	}
	if json.Valid([]byte(body)) {
		if name := surface.RepeatedMember([]byte(body)); name != "" {
			return m, metadataFault(surface.DescriptionText(name), "occurs twice")
		}
	}
	err = json.Unmarshal([]byte(body), &m)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return m, metadataFault(surface.DescriptionText(wrong.Field), "has the wrong type")
	case err != nil:
		return m, &metadataError{"invalid_client_metadata", "the body is not a JSON object"}
	}
	if string(bytes.TrimSpace(m.JWKS)) == "null" {
		m.JWKS = nil // the same as absent (RFC 7592 §2.2)
	}
	return m, nil
}

// check returns what is wrong with the metadata. serves tells which grants there
// are.
func (m *clientMetadata) check(serves func(grantType string) bool) error {
	switch {
	case len(m.RedirectURIs) > 0:
		return &metadataError{"invalid_redirect_uri", "redirect_uris must be empty: this server redirects to nobody"}
	case len(m.ResponseTypes) > 0:
		return metadataFault("response_types", "must be empty: there is no authorization endpoint")
	case len(m.ClientName) > maxClientNameBytes || strings.ContainsFunc(m.ClientName, unicode.IsControl):
		return metadataFault("client_name", "must be one line of at most %d bytes", maxClientNameBytes)
	case !isScope(m.Scope) || slices.ContainsFunc(m.scopes(), func(role string) bool { return len(role) > maxRoleBytes }):
		return metadataFault("scope", "must be a list of scopes with spaces between them (RFC 6749, section 3.3)")
	}
	for _, g := range m.grantTypes() {
		if !serves(g) {
			return metadataFault("grant_types", "has one that is not served")
		}
	}
	return m.checkAuthentication()
}

func (m *clientMetadata) checkAuthentication() error {
	asserts := m.method() == storage.AuthMethodPrivateKeyJWT
	switch {
	case !slices.Contains([]string{authMethodNone, authMethodBasic, authMethodPost, storage.AuthMethodPrivateKeyJWT}, m.method()):
		return metadataFault("token_endpoint_auth_method", "is not served")
	case m.JWKSURI != "":
		return metadataFault("jwks_uri", "is not served: the keys go into jwks")
	case asserts && len(m.JWKS) == 0:
		return metadataFault("jwks", "is required for private_key_jwt")
	case !asserts && len(m.JWKS) > 0:
		return metadataFault("jwks", "is for private_key_jwt only")
	case m.method() == authMethodNone && slices.Contains(m.grantTypes(), grants.GrantClientCredentials):
		// RFC 6749 §4.4; it is also the default.
		return metadataFault("grant_types", "must not have client_credentials if token_endpoint_auth_method is none")
	case asserts:
		if err := client.CheckKeySet(m.JWKS); err != nil {
			return metadataFault("jwks", "%s", surface.DescriptionText(strings.ReplaceAll(err.Error(), `"`, "'")))
		}
	}
	return nil
}

// method is the client authentication method (RFC 7591 §2).
func (m *clientMetadata) method() string {
	if m.TokenEndpointAuthMethod == "" {
		return authMethodBasic
	}
	return m.TokenEndpointAuthMethod
}

func (m *clientMetadata) usesSecret() bool {
	return m.method() == authMethodBasic || m.method() == authMethodPost
}

// grantTypes are those that the client names, or the one default: the RFC's,
// authorization_code, does not exist here, and none by which users sign in is
// given unasked.
func (m *clientMetadata) grantTypes() []string {
	if len(m.GrantTypes) == 0 {
		return []string{grants.GrantClientCredentials}
	}
	return slices.Compact(slices.Sorted(slices.Values(m.GrantTypes)))
}

// scopes are the roles that the client asks for; none are none.
func (m *clientMetadata) scopes() []string {
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(m.Scope))))
}

// applyTo replaces what the client says of itself; what administrators decide,
// and the secrets, stay.
func (m *clientMetadata) applyTo(c *storage.Client) {
	c.Name = strings.TrimSpace(m.ClientName)
	if c.Name == "" {
		c.Name = c.ID
	}
	c.GrantTypes, c.Roles = m.grantTypes(), m.scopes()
	c.Public = m.method() == authMethodNone
	c.DPoPBound = m.DPoPBoundAccessTokens
	c.JWKS, c.AuthMethod = m.JWKS, ""
	if m.method() == authMethodPost || m.method() == storage.AuthMethodPrivateKeyJWT {
		c.AuthMethod = m.method()
	}
}

// methodOf is how a client authenticates itself, in the words of RFC 7591 §2.
func methodOf(c *storage.Client) string {
	switch {
	case c.AuthMethod != "":
		return c.AuthMethod
	case c.Public:
		return authMethodNone
	}
	return authMethodBasic
}

func usesSecret(c *storage.Client) bool {
	return !c.Public && c.AuthMethod != storage.AuthMethodPrivateKeyJWT
}

// registered returns what the client is told of itself. secret is "" unless it
// was made just now.
func (e *Endpoints) registered(c *storage.Client, token, secret string) registeredClient {
	answer := registeredClient{
		ClientID: c.ID, ClientIDIssuedAt: c.CreatedAt.Unix(), ClientSecret: secret,
		RegistrationAccessToken: token, RegistrationClientURI: e.base + registrationPath + "/" + c.ID,
		ClientName: c.Name, GrantTypes: append([]string{}, c.GrantTypes...), ResponseTypes: []string{},
		TokenEndpointAuthMethod: methodOf(c), JWKS: c.JWKS, Scope: strings.Join(c.Roles, " "),
		DPoPBoundAccessTokens: c.DPoPBound,
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
