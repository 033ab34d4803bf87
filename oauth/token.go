package oauth

import (
	"net/http"

	"github.com/ory/fosite"
)

// tokenResponse is a successful answer (RFC 6749 §5.1, RFC 8693 §2.2.1).
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // of token exchange
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	Scope           string `json:"scope,omitempty"`
	AccountID       string `json:"account_id,omitempty"` // of a token scoped to an account
	AccountName     string `json:"account_name,omitempty"`
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
	terms, err := p.termsOf(r, form, client)
	if err != nil {
		return err
	}
	response, err := p.grant(r.Context(), client, r, terms)
	if err != nil {
		return err
	}
	if p.cfg.DPoPNonce && terms.proof.jkt != "" {
		w.Header().Set(nonceHeader, p.nonce()) // RFC 9449 §8.2
	}
	writeJSON(w, http.StatusOK, tokenBody(response))
	return nil
}

func tokenBody(r fosite.AccessResponder) tokenResponse {
	seconds, _ := r.GetExtra("expires_in").(int64)
	return tokenResponse{
		AccessToken:     r.GetAccessToken(),
		IssuedTokenType: extra(r, "issued_token_type"),
		TokenType:       r.GetTokenType(),
		ExpiresIn:       seconds,
		RefreshToken:    extra(r, "refresh_token"),
		Scope:           extra(r, "scope"),
		AccountID:       extra(r, "account_id"),
		AccountName:     extra(r, "account_name"),
	}
}

// extra returns a further member of an answer, or "".
func extra(r fosite.AccessResponder, name string) string {
	text, _ := r.GetExtra(name).(string)
	return text
}
