package elasticpath

import (
	"net/http"
	"net/url"
	"time"

	"latchkey/grants"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
)

// postAccessToken issues an access token to a client. It reads a form whatever the
// content type is, because examples in Elastic Path's documentation send a form as
// JSON.
func postAccessToken(c *call) (surface.Answer, error) {
	form, err := grants.ReadForm(c.w, c.Request)
	if err != nil {
		return surface.Answer{}, oauthRefusal(err)
	}
	var token wire.AccessToken
	switch form.Get("grant_type") {
	case grants.GrantImplicit:
		token, err = implicitToken(c, form.Get("client_id"))
	case grants.GrantClientCredentials:
		token, err = clientToken(c, form)
	default:
		return surface.Answer{}, refuse(http.StatusBadRequest, "grant_type must be implicit or client_credentials")
	}
	return surface.Answer{Status: http.StatusOK, Body: token}, oauthRefusal(err)
}

func implicitToken(c *call, clientID string) (wire.AccessToken, error) {
	token, expires, err := c.cfg.AccessTokens.ImplicitToken(c.Context(), clientID)
	left := expires.Unix() - c.cfg.Now().Unix()
	return wire.AccessToken{
		Expires: expires.Unix(), Identifier: grants.GrantImplicit, ExpiresIn: left, AccessToken: token, TokenType: "Bearer",
	}, err
}

func clientToken(c *call, form url.Values) (wire.AccessToken, error) {
	t, err := c.cfg.AccessTokens.ClientToken(c.Context(), form)
	return wire.AccessToken{
		Expires: t.ExpiresAt.Unix(), Identifier: t.Identifier, ExpiresIn: int64(t.ExpiresIn / time.Second),
		AccessToken: t.AccessToken, TokenType: "Bearer",
	}, err
}
