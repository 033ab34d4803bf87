package elasticpath

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"latchkey/grants"
	"latchkey/oauth"
	"latchkey/oauth/openapi"
)

// AccessTokens grants access tokens to clients; *oauth.Endpoints does.
type AccessTokens interface {
	// ImplicitToken grants a token without roles to a client that names itself.
	ImplicitToken(ctx context.Context, clientID string) (token string, expires time.Time, err error)
	// ClientToken grants a token to a client that authenticates itself in the
	// form.
	ClientToken(ctx context.Context, form url.Values) (oauth.ClientToken, error)
}

// AccessToken is the answer of /oauth/access_token, which has no envelope.
type AccessToken struct {
	Expires     int64  `json:"expires"`    // Unix time in seconds
	Identifier  string `json:"identifier"` // the grant type
	ExpiresIn   int64  `json:"expires_in"` // seconds
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
}

func (a *API) accessTokenRoutes() []route {
	return []route{{who: anybody, serve: a.postAccessToken, Operation: openapi.Operation{
		Method: http.MethodPost, Path: "/oauth/access_token", ID: "AccessTokens.Create", Tag: "AccessTokens",
		Summary: "Get an access token for a client", Open: true,
		Form: []openapi.Parameter{
			{Name: "grant_type", About: "implicit or client_credentials", Required: true},
			{Name: "client_id", About: "Of the client", Required: true},
			{Name: "client_secret", About: "With client_credentials"},
		},
		Answers: map[int]any{http.StatusOK: AccessToken{}}, Refuses: []int{400, 401, 413},
	}}}
}

// postAccessToken reads a form whatever the content type says, since the
// documentation's examples send one as JSON.
func (a *API) postAccessToken(c *call) (reply, error) {
	form, err := oauth.ReadForm(c.w, c.Request)
	if err != nil {
		return reply{}, explained(err)
	}
	var answer AccessToken
	switch form.Get("grant_type") {
	case grants.GrantImplicit:
		answer, err = a.implicit(c, form.Get("client_id"))
	case grants.GrantClientCredentials:
		answer, err = a.clientCredentials(c, form)
	default:
		return reply{}, refuse(http.StatusBadRequest, "grant_type must be implicit or client_credentials")
	}
	return reply{status: http.StatusOK, body: answer}, explained(err)
}

func (a *API) implicit(c *call, clientID string) (AccessToken, error) {
	token, expires, err := a.cfg.AccessTokens.ImplicitToken(c.Context(), clientID)
	left := expires.Unix() - a.cfg.Now().Unix()
	return AccessToken{
		Expires: expires.Unix(), Identifier: grants.GrantImplicit, ExpiresIn: left, AccessToken: token, TokenType: "Bearer",
	}, err
}

func (a *API) clientCredentials(c *call, form url.Values) (AccessToken, error) {
	t, err := a.cfg.AccessTokens.ClientToken(c.Context(), form)
	return AccessToken{
		Expires: t.ExpiresAt.Unix(), Identifier: t.Identifier, ExpiresIn: int64(t.ExpiresIn / time.Second),
		AccessToken: t.AccessToken, TokenType: "Bearer",
	}, err
}
