package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/oauth/client"
	"latchkey/otp"
	"latchkey/storage"
)

// clientTokenTTL is the life of the tokens of POST /oauth/access_token, unless the
// client has a shorter one (Elastic Path: 3600 s).
const clientTokenTTL = time.Hour

// clientTokenLife returns the life of a token of POST /oauth/access_token for a client
// with the token life ttl; 0: the client has none.
func clientTokenLife(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return clientTokenTTL
	}
	return min(ttl, clientTokenTTL)
}

// errUnbound says that a client whose tokens are bound to a key (RFC 9449 §5.2)
// requested one from an endpoint that reads no proof.
var errUnbound = fosite.ErrUnauthorizedClient.WithHint("The client's tokens are bound to a key, and are had at the token endpoint only.")

// ClientToken is an access token for a client that acts for itself.
type ClientToken struct {
	AccessToken string
	ExpiresAt   time.Time // whole seconds, UTC
	ExpiresIn   time.Duration
	Identifier  string // the grant type
}

// ClientToken runs the client credentials grant for a client that authenticates by the
// parameters client_id and client_secret. The token lives an hour at most. form is a
// result of ReadForm.
//
// The errors are those of the token endpoint; see Explain.
func (e *Endpoints) ClientToken(ctx context.Context, form url.Values) (ClientToken, error) {
	c, err := e.clients.BySecret(ctx, form.Get("client_id"), form.Get("client_secret"))
	if err != nil {
		return ClientToken{}, err
	}
	bounded := *c
	bounded.AccessTokenTTL = clientTokenLife(c.AccessTokenTTL)
	bounded.AnonymousTokenTTL = clientTokenLife(c.AnonymousTokenTTL)
	request := url.Values{"grant_type": {grants.GrantClientCredentials}}
	if scope := form.Get("scope"); scope != "" {
		request.Set("scope", scope)
	}
	before := e.cfg.Now().UTC()
	if c.DPoPBound { // tokens of this function are bearer tokens
		return ClientToken{}, errUnbound
	}
	response, err := e.grant(ctx, &bounded, formRequest(request), terms{}, nil)
	if err != nil {
		return ClientToken{}, err
	}
	seconds, ok := response.GetExtra("expires_in").(int64)
	if !ok {
		return ClientToken{}, errors.New("the answer of the client credentials grant has no expires_in")
	}
	// The grant adds the life to the unrounded time and returns whole seconds. Elastic
	// Path returns the life that was configured.
	life := time.Duration(seconds) * time.Second
	if before.Nanosecond() > 0 {
		life += time.Second
	}
	return ClientToken{
		AccessToken: response.GetAccessToken(), Identifier: grants.GrantClientCredentials,
		ExpiresAt: before.Truncate(time.Second).Add(life), ExpiresIn: life,
	}, nil
}

// formRequest returns a request with a form that was read before.
func formRequest(form url.Values) *http.Request {
	return &http.Request{Method: http.MethodPost, Header: http.Header{}, Form: form, PostForm: form}
}

// ImplicitToken returns a token for a client that presents its id only, if it may use
// grants.GrantImplicit. Everybody can know the id, so the token has no roles. It only
// identifies the client. Its usrtype is that of anonymous shoppers. It lives an hour
// at most.
//
// Errors are client.ErrInvalid, client.ErrInactive, fosite.ErrUnauthorizedClient and
// those of the stores.
func (e *Endpoints) ImplicitToken(ctx context.Context, clientID string) (token string, expires time.Time, err error) {
	if clientID == "" || !otp.IsName(clientID) {
		return "", time.Time{}, client.ErrInvalid
	}
	c, err := e.cfg.Clients.Client(ctx, clientID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", time.Time{}, client.ErrInvalid
	case err != nil:
		return "", time.Time{}, fmt.Errorf("read client: %w", err)
	case !c.Active:
		return "", time.Time{}, client.ErrInactive
	case c.DPoPBound:
		return "", time.Time{}, errUnbound
	case !c.HasGrant(grants.GrantImplicit):
		return "", time.Time{}, fosite.ErrUnauthorizedClient.WithHint("The client may not use implicit tokens.")
	}
	now := e.cfg.Now().UTC()
	expires = now.Truncate(time.Second).Add(clientTokenLife(c.AccessTokenTTL))
	token, err = e.tokens.MintAnonymous(ctx, grants.AccessToken{Client: &c, IssuedAt: now, ExpiresAt: expires})
	if err == nil {
		e.cfg.Issued(grants.GrantImplicit)
	}
	return token, expires, err
}
