package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/oauth/client"
	"latchkey/oauth/client/register"
	"latchkey/oauth/dpop"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Paths of the keys and the metadata (RFC 8414 §3, OpenID Connect Discovery 1.0 §4).
const (
	wellKnownKeys     = "/.well-known/jwks.json"
	wellKnownMetadata = "/.well-known/oauth-authorization-server"
	wellKnownOpenID   = "/.well-known/openid-configuration"
)

// metadata describes the server (RFC 8414 §2). It names only what the server does.
type metadata struct {
	Issuer                                    string   `json:"issuer"`
	AuthorizationEndpoint                     string   `json:"authorization_endpoint"`
	TokenEndpoint                             string   `json:"token_endpoint"`
	PushedAuthorizationRequestEndpoint        string   `json:"pushed_authorization_request_endpoint"`
	UserinfoEndpoint                          string   `json:"userinfo_endpoint"`
	JWKSURI                                   string   `json:"jwks_uri"`
	RevocationEndpoint                        string   `json:"revocation_endpoint"`
	IntrospectionEndpoint                     string   `json:"introspection_endpoint"`
	GrantTypesSupported                       []string `json:"grant_types_supported"`
	ResponseTypesSupported                    []string `json:"response_types_supported"`
	ResponseModesSupported                    []string `json:"response_modes_supported"`
	CodeChallengeMethodsSupported             []string `json:"code_challenge_methods_supported"`
	ScopesSupported                           []string `json:"scopes_supported"` // of OpenID Connect; roles are scopes too
	SubjectTypesSupported                     []string `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported          []string `json:"id_token_signing_alg_values_supported"`
	ClaimsSupported                           []string `json:"claims_supported"`
	ACRValuesSupported                        []string `json:"acr_values_supported"`
	PromptValuesSupported                     []string `json:"prompt_values_supported"`
	UILocalesSupported                        []string `json:"ui_locales_supported"`
	IssParameterSupported                     bool     `json:"authorization_response_iss_parameter_supported"`
	RequestParameterSupported                 bool     `json:"request_parameter_supported"`
	EndSessionEndpoint                        string   `json:"end_session_endpoint"`
	BackchannelLogoutSupported                bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSessionSupported         bool     `json:"backchannel_logout_session_supported"` // logout tokens have sid
	RequestURIParameterSupported              bool     `json:"request_uri_parameter_supported"`      // false: only the request_uri of a pushed request is accepted (RFC 9126)
	ClaimsParameterSupported                  bool     `json:"claims_parameter_supported"`
	TokenEndpointAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported"`
	DPoPSigningAlgValuesSupported             []string `json:"dpop_signing_alg_values_supported"`

	TokenEndpointAuthSigningAlgValuesSupported         []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`

	RegistrationEndpoint string `json:"registration_endpoint,omitempty"` // RFC 7591 §3
}

func (e *Endpoints) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	confidential := []string{client.MethodBasic, client.MethodPost, storage.AuthMethodPrivateKeyJWT}
	all := append([]string{client.MethodNone}, confidential...)
	document := metadata{
		Issuer:                                 e.cfg.Issuer,
		TokenEndpoint:                          e.base + tokenPath,
		JWKSURI:                                e.base + "/oauth/jwks",
		RevocationEndpoint:                     e.base + "/oauth/revoke",
		IntrospectionEndpoint:                  e.base + "/oauth/introspect",
		GrantTypesSupported:                    e.grantTypes,
		TokenEndpointAuthMethodsSupported:      all,
		RevocationEndpointAuthMethodsSupported: all,

		// A public client cannot prove its identity.
		IntrospectionEndpointAuthMethodsSupported: confidential,

		DPoPSigningAlgValuesSupported:                      dpop.Algorithms(),
		TokenEndpointAuthSigningAlgValuesSupported:         client.AssertionAlgs(),
		RevocationEndpointAuthSigningAlgValuesSupported:    client.AssertionAlgs(),
		IntrospectionEndpointAuthSigningAlgValuesSupported: client.AssertionAlgs(),
	}
	e.describeAuthorization(&document)
	if e.cfg.Registry != nil {
		document.RegistrationEndpoint = e.base + register.Path
	}
	e.writeCacheable(w, document)
}

// describeAuthorization adds the members about the hosted sign-in.
func (e *Endpoints) describeAuthorization(m *metadata) {
	m.AuthorizationEndpoint = e.base + AuthorizePath
	m.PushedAuthorizationRequestEndpoint, m.UserinfoEndpoint = e.base+parPath, e.base+userinfoPath
	m.ResponseTypesSupported = []string{"code"}
	m.ResponseModesSupported = []string{ModeQuery, ModeFormPost}
	m.CodeChallengeMethodsSupported = []string{"S256"}
	m.ScopesSupported = grants.IdentityScopes()
	m.SubjectTypesSupported = []string{"public"}
	m.IDTokenSigningAlgValuesSupported = []string{keys.RS256, keys.ES256, keys.EdDSA}
	m.ClaimsSupported = []string{
		"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "name", "given_name", "middle_name",
		"family_name", "preferred_username", "locale", "email", "email_verified", "phone_number",
	}
	m.ACRValuesSupported = []string{grants.ACROTP, grants.ACRPassword}
	m.PromptValuesSupported = prompts()
	m.UILocalesSupported = e.cfg.UILocales
	m.IssParameterSupported = true
	m.EndSessionEndpoint, m.BackchannelLogoutSupported, m.BackchannelLogoutSessionSupported = e.base+EndSessionPath, true, true
}

// serveKeys publishes the keys that verify our tokens (RFC 7517 §5).
func (e *Endpoints) serveKeys(w http.ResponseWriter, _ *http.Request) {
	e.writeCacheable(w, e.cfg.Ring.PublicSet())
}

// serveKey publishes the key of a kid. OrderCloud's libraries read single keys.
func (e *Endpoints) serveKey(w http.ResponseWriter, r *http.Request) {
	key, ok := e.cfg.Ring.Public(r.PathValue("kid"))
	if !ok {
		surface.WriteOAuthJSON(w, http.StatusNotFound, missingCert{[]vendorError{{
			ErrorCode: "NotFound", Message: "Object not found.",
			Data: map[string]string{"ObjectType": "Cert", "ObjectID": surface.DescriptionText(r.PathValue("kid"))},
		}}})
		return
	}
	e.writeCacheable(w, json.RawMessage(key))
}

// writeCacheable writes an answer that resource servers may cache for JWKSMaxAge. No
// key signs before it was published for that time.
func (e *Endpoints) writeCacheable(w http.ResponseWriter, body any) {
	encoded, err := json.Marshal(body)
	if err != nil { // a programming error
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(e.cfg.JWKSMaxAge.Seconds())))
	_, _ = w.Write(encoded) // the error says that the client is gone
}
