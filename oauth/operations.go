package oauth

import (
	"encoding/json"
	"net/http"

	"latchkey/oauth/client"
	"latchkey/oauth/client/register"
	"latchkey/oauth/openapi"
)

// Operations returns the operations of the Endpoints for the OpenAPI document.
func (e *Endpoints) Operations() []openapi.Operation {
	all := []openapi.Operation{
		tokenOperation(),
		pushedOperation(),
		userinfoOperation(http.MethodGet, "OAuth.Userinfo"),
		userinfoByPost(),
		clientOperation("/oauth/revoke", "OAuth.Revoke", "Revoke a token (RFC 7009)", nil, tokenForm()),
		clientOperation("/oauth/introspect", "OAuth.Introspect", "Introspect a token (RFC 7662)", introspection{}, tokenForm()),
		openOperation("/oauth/jwks", "OAuth.Keys", "List the keys that verify tokens (RFC 7517)", keySet{}),
		openOperation(wellKnownKeys, "OAuth.WellKnownKeys", "List the keys that verify tokens, at a well-known path", keySet{}),
		certOperation(),
		openOperation(wellKnownMetadata, "OAuth.Metadata", "Describe the authorization server (RFC 8414)", metadata{}),
		openOperation(wellKnownOpenID, "OAuth.OpenIDMetadata", "Describe the authorization server where OpenID Connect clients look", metadata{}),
	}
	if e.cfg.Registry != nil {
		all = append(all, register.Operations()...)
	}
	return all
}

// keySet is the answer of the key endpoints in the OpenAPI document.
type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// missingCert is the answer for a key that does not exist.
type missingCert struct{ Errors []vendorError }

func tokenOperation() openapi.Operation {
	o := clientOperation(tokenPath, "OAuth.Token", "Get an access token (RFC 6749)", tokenResponse{}, []openapi.Parameter{
		{Name: "grant_type", Required: true, About: "The grant type"},
		{Name: "scope", About: "Roles, separated by spaces; without it all that can be granted"},
		{Name: "username", About: "Of the password and account-member grants"},
		{Name: "password", About: "A one-time password or a permanent one"},
		{Name: "one_time_password", About: "Of the account-member grant"},
		{Name: "password_profile_id", About: "Of the account-member grant: the profile of the username; without it the client's"},
		{Name: "account_id", About: "Of the account-member grant and token exchange: the account that the token is for"},
		{Name: "member_token", About: "Of the account-member grant: an account token in place of a sign-in"},
		{Name: "selection_token", About: "Of the account-member grant: from the answer account_selection_required"},
		{Name: "refresh_token", About: "Of the refresh grant"},
		{Name: "code", About: "Of the authorization code grant"},
		{Name: "code_verifier", About: "Of the authorization code grant (RFC 7636)"},
		{Name: "redirect_uri", About: "Of the authorization code grant: as in the authorization request"},
		{Name: "subject_token", About: "Of token exchange (RFC 8693)"},
		{Name: "subject_token_type", About: "Of token exchange"},
		{Name: "requested_token_type", About: "Of token exchange"},
		{Name: "resource", About: "What the token is for (RFC 8707), repeatable: the default audience or one of the server's resources"},
		{Name: "audience", About: "Of token exchange, repeatable: the same as resource"},
	})
	o.Error = selectionBody{}
	return o
}

func pushedOperation() openapi.Operation {
	o := clientOperation(parPath, "OAuth.Push", "Push an authorization request (RFC 9126)", nil, []openapi.Parameter{
		{Name: "response_type", Required: true, About: "code"},
		{Name: "redirect_uri", About: "One of the client's redirect URIs"},
		{Name: "scope", About: "Scopes of OpenID Connect and roles, separated by spaces"},
		{Name: "code_challenge", Required: true, About: "PKCE (RFC 7636)"},
		{Name: "code_challenge_method", Required: true, About: "S256"},
	})
	o.Answers = map[int]any{http.StatusCreated: pushedResponse{}}
	return o
}

func userinfoOperation(method, id string) openapi.Operation {
	return openapi.Operation{
		Method: method, Path: userinfoPath, ID: id, Tag: "OAuth", Summary: "Show the user of an access token (OpenID Connect Core 1.0, section 5.3)",
		Answers: map[int]any{http.StatusOK: userinfo{}}, Error: errorBody{}, Refuses: []int{http.StatusForbidden},
	}
}

func userinfoByPost() openapi.Operation {
	o := userinfoOperation(http.MethodPost, "OAuth.UserinfoByPost")
	o.Form = []openapi.Parameter{{Name: "access_token", About: "The access token, if it is not in the Authorization header (RFC 6750, section 2.2)"}}
	return o
}

func tokenForm() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "token", Required: true, About: "The token"},
		{Name: "token_type_hint", About: "Not needed: the server recognizes the type"},
	}
}

// clientOperation is an operation for clients that authenticate themselves.
func clientOperation(path, id, summary string, answer any, form []openapi.Parameter) openapi.Operation {
	form = append(form,
		openapi.Parameter{Name: "client_id", About: "Of a client that does not use HTTP Basic"},
		openapi.Parameter{Name: "client_secret", About: "Of a client that does not use HTTP Basic; a public client has none"},
		openapi.Parameter{Name: "client_assertion", About: "Of a client that authenticates by private_key_jwt: a JWT that it has signed (RFC 7523)"},
		openapi.Parameter{Name: "client_assertion_type", About: "With client_assertion: " + client.AssertionType})
	return openapi.Operation{
		Method: http.MethodPost, Path: path, ID: id, Tag: "OAuth", Summary: summary, Open: true, ClientAuth: true,
		Form: form, Answers: map[int]any{http.StatusOK: answer}, Error: errorBody{},
		Refuses: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests},
	}
}

func openOperation(path, id, summary string, answer any) openapi.Operation {
	return openapi.Operation{
		Method: http.MethodGet, Path: path, ID: id, Tag: "OAuth", Summary: summary, Open: true,
		Answers: map[int]any{http.StatusOK: answer}, Error: errorBody{},
	}
}

func certOperation() openapi.Operation {
	o := openOperation("/oauth/certs/{kid}", "OAuth.Cert", "Get one of the keys that verify tokens", json.RawMessage(nil))
	o.Refuses, o.Error = []int{http.StatusNotFound}, missingCert{}
	return o
}
