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
	"latchkey/otp"
	"latchkey/storage"
)

// clientTokenTTL is the life of the tokens that clients get outside the token
// endpoint, unless the client names a shorter one (Elastic Path: 3600 s).
const clientTokenTTL = time.Hour

// clientTokenLife returns the life of a token outside the token endpoint for a
// client that names the life named; 0: it names none.
func clientTokenLife(named time.Duration) time.Duration {
	if named == 0 {
		return clientTokenTTL
	}
	return min(named, clientTokenTTL)
}

// errUnbound says that a client whose tokens are bound to a key (RFC 9449 §5.2)
// asked for one where no proof is read.
var errUnbound = fosite.ErrUnauthorizedClient.WithHint("The client's tokens are bound to a key, and are had at the token endpoint only.")

// ClientToken is an access token that a client got for itself.
type ClientToken struct {
	AccessToken string
	ExpiresAt   time.Time // whole seconds, UTC
	ExpiresIn   time.Duration
	Identifier  string // the grant it came by
}

// ClientToken grants a client that authenticates by the parameters client_id
// and client_secret a token by the client credentials grant, the same as the
// token endpoint's, for an hour at most. The form is one that ReadForm gave.
//
// Errors are those of the token endpoint; Explain tells them.
func (p *Provider) ClientToken(ctx context.Context, form url.Values) (ClientToken, error) {
	client, err := p.authenticate(ctx, credentials{id: form.Get("client_id"), secret: form.Get("client_secret")})
	if err != nil {
		return ClientToken{}, err
	}
	bounded := *client
	bounded.AccessTokenTTL = clientTokenLife(client.AccessTokenTTL)
	bounded.AnonymousTokenTTL = clientTokenLife(client.AnonymousTokenTTL)
	request := url.Values{"grant_type": {grants.GrantClientCredentials}}
	if scope := form.Get("scope"); scope != "" {
		request.Set("scope", scope)
	}
	before := p.cfg.Now().UTC()
	if client.DPoPBound { // what is granted here is for whoever bears it
		return ClientToken{}, errUnbound
	}
	response, err := p.grant(ctx, &bounded, formRequest(request), terms{})
	if err != nil {
		return ClientToken{}, err
	}
	seconds, ok := response.GetExtra("expires_in").(int64)
	if !ok {
		return ClientToken{}, errors.New("the answer of the client credentials grant has no expires_in")
	}
	// The grant counts from the unrounded time and tells whole seconds. Elastic
	// Path tells the life that the token was given.
	life := time.Duration(seconds) * time.Second
	if before.Nanosecond() > 0 {
		life += time.Second
	}
	return ClientToken{
		AccessToken: response.GetAccessToken(), Identifier: grants.GrantClientCredentials,
		ExpiresAt: before.Truncate(time.Second).Add(life), ExpiresIn: life,
	}, nil
}

// formRequest is the request of a form that somebody has read already.
func formRequest(form url.Values) *http.Request {
	return &http.Request{Method: http.MethodPost, Header: http.Header{}, Form: form, PostForm: form}
}

// terms are what a token request says that no grant has to look into.
type terms struct {
	resources []string // RFC 8707
	proof     proof    // RFC 9449
}

// termsOf reads the terms of a request to the token endpoint.
func (p *Provider) termsOf(r *http.Request, form url.Values, c *storage.Client) (terms, error) {
	resources, err := p.requestedResources(form, c)
	if err != nil {
		return terms{}, err
	}
	sent, err := p.readProof(r, "")
	if err != nil {
		return terms{}, err
	}
	if c.DPoPBound && sent.jkt == "" {
		return terms{}, fmt.Errorf("%w: the client's tokens are bound to a key, always", ErrInvalidProof)
	}
	return terms{resources, sent}, p.checkBeforeCredential(r.Context(), form, c, sent)
}

// checkBeforeCredential returns the refusals of a request that presents a user's
// credential which do not depend on the credential. Without them here, a request
// that must fail anyway would tell a right credential from a wrong one.
func (p *Provider) checkBeforeCredential(ctx context.Context, form url.Values, c *storage.Client, sent proof) error {
	switch form.Get("grant_type") {
	case grants.GrantPassword, grants.GrantAccountMember:
	default:
		return nil
	}
	if len(p.defaultAudience(c)) == 0 {
		return errInvalidTarget
	}
	return p.checkUnused(ctx, sent)
}

// grant runs the grant of a request whose client is authenticated. A proof is
// used up when the grant is sure to be given but for that, and before it takes
// effect.
func (p *Provider) grant(ctx context.Context, client *storage.Client, r *http.Request, t terms) (fosite.AccessResponder, error) {
	ctx = context.WithValue(ctx, clientKey{}, client)
	request, err := p.fosite.NewAccessRequest(ctx, r, &grants.Session{
		Source: p.UserAddress(r, client), Resources: t.resources, Audience: p.defaultAudience(client), JKT: t.proof.jkt,
		Confirm: func(ctx context.Context) error { return p.useUp(ctx, t.proof) },
	})
	if err != nil {
		return nil, err
	}
	return p.fosite.NewAccessResponse(ctx, request)
}

// ImplicitToken grants a client a token by its id alone, if it may use
// grants.GrantImplicit. As anybody can know the id, the token carries no roles;
// it says who asks and nothing else. Its usrtype is that of anonymous shoppers. It
// lives an hour at most.
//
// Errors are ErrInvalidClient, ErrClientInactive, fosite.ErrUnauthorizedClient
// and those of the stores.
func (p *Provider) ImplicitToken(ctx context.Context, clientID string) (token string, expires time.Time, err error) {
	if clientID == "" || !otp.IsName(clientID) {
		return "", time.Time{}, ErrInvalidClient
	}
	client, err := p.cfg.Clients.Client(ctx, clientID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return "", time.Time{}, ErrInvalidClient
	case err != nil:
		return "", time.Time{}, fmt.Errorf("read client: %w", err)
	case !client.Active:
		return "", time.Time{}, ErrClientInactive
	case client.DPoPBound:
		return "", time.Time{}, errUnbound
	case !client.HasGrant(grants.GrantImplicit):
		return "", time.Time{}, fosite.ErrUnauthorizedClient.WithHint("The client may not use implicit tokens.")
	}
	now := p.cfg.Now().UTC()
	expires = now.Truncate(time.Second).Add(clientTokenLife(client.AccessTokenTTL))
	token, err = p.mint(ctx, grants.AccessToken{Client: &client, IssuedAt: now, ExpiresAt: expires}, accessClaims{UserType: string(storage.Buyer)})
	return token, expires, err
}
