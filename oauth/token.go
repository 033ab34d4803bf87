package oauth

import (
	"context"
	"net/http"

	"github.com/ory/fosite"

	"latchkey/grants"
)

// tokenResponse is a successful answer (RFC 6749 §5.1).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    any    `json:"expires_in"`
	RefreshToken any    `json:"refresh_token,omitempty"`
	Scope        any    `json:"scope,omitempty"`
}

// serveToken is the token endpoint (RFC 6749 §3.2).
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	switch grantType := form.Get("grant_type"); {
	case grantType == "":
		return errGrantTypeMissing
	case !p.serves(grantType):
		return errUnsupportedGrantType
	}
	client, err := p.authenticateClient(r, form)
	if err != nil {
		return err
	}
	ctx := context.WithValue(r.Context(), clientKey{}, client)
	request, err := p.fosite.NewAccessRequest(ctx, r, &grants.Session{})
	if err != nil {
		return err
	}
	response, err := p.fosite.NewAccessResponse(ctx, request)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, tokenBody(response))
	return nil
}

func tokenBody(r fosite.AccessResponder) tokenResponse {
	return tokenResponse{
		AccessToken:  r.GetAccessToken(),
		TokenType:    r.GetTokenType(),
		ExpiresIn:    r.GetExtra("expires_in"),
		RefreshToken: r.GetExtra("refresh_token"),
		Scope:        r.GetExtra("scope"),
	}
}
