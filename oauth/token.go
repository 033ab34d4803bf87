package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/oauth/proof"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

const tokenPath = "/oauth/token"

// tokenResponse is a successful response (RFC 6749 §5.1, RFC 8693 §2.2.1).
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // of token exchange
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	IDToken         string `json:"id_token,omitempty"` // of the authorization code grant
	Scope           string `json:"scope,omitempty"`
	AccountID       string `json:"account_id,omitempty"` // of a token scoped to an account
	AccountName     string `json:"account_name,omitempty"`
}

// serveToken is the token endpoint (RFC 6749 §3.2). It shows all steps of a token
// request. Their order is fixed: each step may rely on those before it, and no
// grant can skip one.
func (e *Endpoints) serveToken(w http.ResponseWriter, r *http.Request) error {
	// 1. Method, content type, size and form; repeated parameters are refused.
	form, err := grants.ReadTokenForm(w, r)
	if err != nil {
		return err
	}
	// 2. The grant type, before anything is looked up.
	switch grantType := form.Get("grant_type"); {
	case grantType == "":
		return grants.ErrGrantTypeMissing
	case !e.serves(grantType):
		return grants.ErrUnsupportedGrantType
	}
	// 3. The client authenticates itself.
	c, err := e.clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	// 4. The resources that the token is for (RFC 8707).
	resources, err := e.tokens.RequestedResources(form, c)
	if err != nil {
		return err
	}
	// 5. The proof of possession (RFC 9449) is verified, but not spent.
	sent, err := e.requiredProof(r, c)
	if err != nil {
		return err
	}
	// 6. Refusals that do not depend on the user's credential.
	if err := e.checkBeforeCredential(r.Context(), form, c, sent); err != nil {
		return err
	}
	// 7. The grant: it checks the credential and mints the tokens, then the proof is
	// spent, then the grant takes effect.
	response, err := e.grantOnce(c, r, form, terms{resources, sent})
	if err != nil {
		return err
	}
	// 8. The response.
	if e.cfg.DPoPNonce && sent.JKT != "" {
		w.Header().Set(proof.NonceHeader, e.proofs.Nonce()) // RFC 9449 §8.2
	}
	surface.WriteOAuthJSON(w, http.StatusOK, response)
	return nil
}

// requiredProof verifies the DPoP proof of a token request. It returns
// proof.ErrInvalid if there is none and the client's tokens are always bound to a
// key (RFC 9449 §5.2).
func (e *Endpoints) requiredProof(r *http.Request, c *storage.Client) (proof.Proof, error) {
	sent, err := e.proofs.Read(r, "")
	if err != nil {
		return proof.Proof{}, err
	}
	if c.DPoPBound && sent.JKT == "" {
		return proof.Proof{}, fmt.Errorf("%w: the client's tokens are always bound to a key", proof.ErrInvalid)
	}
	return sent, nil
}

// checkBeforeCredential returns the refusals of a request with a user's
// credential that do not depend on the credential. If they came later, a request
// that must fail anyway would show whether the credential is right.
func (e *Endpoints) checkBeforeCredential(ctx context.Context, form url.Values, c *storage.Client, sent proof.Proof) error {
	switch form.Get("grant_type") {
	case grants.GrantPassword, grants.GrantAccountMember:
	default:
		return nil
	}
	if len(e.tokens.DefaultAudience(c)) == 0 {
		return token.ErrInvalidTarget
	}
	return e.proofs.CheckUnspent(ctx, sent)
}

// terms are the parts of a token request that every grant treats alike.
type terms struct {
	resources []string    // RFC 8707
	proof     proof.Proof // RFC 9449
}

// grant runs the grant of a request whose client is authenticated. The proof is
// spent in Confirm: after the last check that can refuse the request, and before
// the grant takes effect. keep is the Keep of the session; it may be nil.
func (e *Endpoints) grant(ctx context.Context, c *storage.Client, r *http.Request, t terms, keep grants.KeepFunc) (fosite.AccessResponder, error) {
	ctx = context.WithValue(ctx, clientKey{}, c)
	session := &grants.Session{
		Source: e.UserAddress(r, c), Resources: t.resources, Audience: e.tokens.DefaultAudience(c), JKT: t.proof.JKT, Keep: keep,
	}
	if t.proof.JKT != "" {
		session.Confirm = func(ctx context.Context) error { return e.proofs.Spend(ctx, t.proof) }
	}
	request, err := e.fosite.NewAccessRequest(ctx, r, session)
	if err != nil {
		return nil, err
	}
	response, err := e.fosite.NewAccessResponse(ctx, request)
	if err == nil {
		e.cfg.Issued(request.GetRequestForm().Get("grant_type"))
	}
	return response, err
}

// clientKey carries the authenticated client to fosite.
type clientKey struct{}

// authenticatedClient is fosite's client authentication strategy: the client
// was authenticated before fosite was asked.
func authenticatedClient(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
	c, ok := ctx.Value(clientKey{}).(*storage.Client)
	if !ok {
		return nil, fosite.ErrInvalidClient
	}
	return grants.Client{Client: c}, nil
}

func tokenBody(r fosite.AccessResponder) tokenResponse {
	seconds, _ := r.GetExtra("expires_in").(int64)
	return tokenResponse{
		AccessToken:     r.GetAccessToken(),
		IssuedTokenType: extra(r, "issued_token_type"),
		TokenType:       r.GetTokenType(),
		ExpiresIn:       seconds,
		RefreshToken:    extra(r, "refresh_token"),
		IDToken:         extra(r, "id_token"),
		Scope:           extra(r, "scope"),
		AccountID:       extra(r, "account_id"),
		AccountName:     extra(r, "account_name"),
	}
}

// extra returns a further member of a response, or "".
func extra(r fosite.AccessResponder, name string) string {
	text, _ := r.GetExtra(name).(string)
	return text
}
