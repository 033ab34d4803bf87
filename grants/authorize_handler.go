package grants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// AuthorizeHandler issues the authorization codes of a fosite server that has a sign-in
// page of its own (RFC 6749 §4.1.2). AuthorizationCode redeems them. All fields are
// required.
//
// The page calls Check with the request before it asks who the user is. It verifies the
// credential with Authenticator, and passes SignedIn to NewAuthorizeResponse of fosite. The
// handler then lets the sign-in take effect and issues the code in one step. So an error
// uses nothing up. The sign-in needs no call of Settle or Abandon.
//
// The code is for the scopes that the server granted (GrantScope). If it granted none, the
// code is for the requested scopes. A server that asks users for consent does so before
// NewAuthorizeResponse, and answers a refusal with access_denied.
type AuthorizeHandler struct {
	Issuer        string // of the server; each response with a code has it as iss (RFC 9207)
	Clients       ClientStore
	Authenticator *signin.Authenticator
	Codes         *AuthorizationCodes
	Rand          io.Reader
	Now           func() time.Time
}

var _ fosite.AuthorizeEndpointHandler = (*AuthorizeHandler)(nil)

// SignedIn returns the session for an authorization request of a user who has just signed
// in. now is the time of the sign-in.
func SignedIn(s *signin.SignIn, now time.Time) *Session {
	session := new(Session)
	session.begin(s, now.UTC().Truncate(time.Microsecond))
	return session
}

// Check returns an error if no user could get a code by the request. The client may
// not use the grant or must push its requests, there is no code challenge of the method
// S256 (RFC 7636 §4.3), or a parameter is repeated. Errors are those of fosite, for
// WriteAuthorizeError, and those of Clients.
func (h *AuthorizeHandler) Check(ctx context.Context, r fosite.AuthorizeRequester) error {
	_, err := h.check(ctx, r)
	return err
}

func (h *AuthorizeHandler) check(ctx context.Context, r fosite.AuthorizeRequester) (*storage.Client, error) {
	form := r.GetRequestForm()
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return nil, malformed("The parameter " + name + " is repeated.")
		}
	}
	c, err := clientOf(r, &Session{policyOf: func(id string) (storage.Client, error) { return h.Clients.Client(ctx, id) }})
	if err != nil {
		return nil, err
	}
	jkt := form.Get("dpop_jkt")
	switch {
	case !c.Active, !c.HasGrant(GrantAuthorizationCode):
		return nil, fosite.ErrUnauthorizedClient.WithHint("The client may not use the authorization code grant.")
	case c.RequirePAR: // fosite does not say whether a request was pushed
		return nil, malformed("The client must push its authorization requests, and this server takes none.")
	case !IsChallenge(form.Get("code_challenge")) || form.Get("code_challenge_method") != "S256":
		return nil, malformed("PKCE is required: code_challenge, and code_challenge_method S256.")
	case jkt != "" && !IsChallenge(jkt): // a thumbprint is a SHA-256 too (RFC 7638 §3)
		return nil, malformed("The parameter dpop_jkt is malformed.")
	}
	return c, nil
}

// HandleAuthorizeEndpointRequest implements fosite.AuthorizeEndpointHandler. It returns the
// errors of Check, ErrInsufficientRoles within a fosite error, and those of
// signin.Authenticator.SettleSession.
func (h *AuthorizeHandler) HandleAuthorizeEndpointRequest(ctx context.Context, r fosite.AuthorizeRequester, w fosite.AuthorizeResponder) error {
	if !r.GetResponseTypes().ExactOne("code") {
		return nil // for another handler
	}
	s, err := sessionOf(r)
	if err == nil && s.signIn == nil {
		err = fosite.ErrServerError.WithDebug("the session of an authorization request is not that of SignedIn")
	}
	if err != nil {
		return err
	}
	session, code, text, err := h.begin(ctx, r, s)
	if err != nil {
		if errors.Is(err, ErrInsufficientRoles) {
			h.Authenticator.RecordOutcome(ctx, s.signIn, insufficientRoles)
		} else {
			h.Authenticator.Abandon(ctx, s.signIn)
		}
		return err
	}
	if err := h.Authenticator.SettleSession(ctx, s.signIn, session, code); err != nil {
		return err
	}
	w.AddParameter("code", text)
	w.AddParameter("iss", h.Issuer)
	if r.GetState() != "" {
		w.AddParameter("state", r.GetState())
	}
	r.SetResponseTypeHandled("code")
	return nil
}

// begin returns the session that begins with the sign-in, the authorization, and its code.
// No browser has the session, because it has no cookie. It lasts as long as the code.
func (h *AuthorizeHandler) begin(ctx context.Context, r fosite.AuthorizeRequester, s *Session) (*storage.Session, *storage.Authorization, string, error) {
	c, err := h.check(ctx, r)
	if err != nil {
		return nil, nil, "", err
	}
	scope, form := []string(r.GetGrantedScopes()), r.GetRequestForm()
	if len(scope) == 0 {
		scope = r.GetRequestedScopes()
	}
	identity, requested := SplitScope(scope)
	if _, err := AuthorizedRoles(c, s.Principal.Roles, identity, requested); err != nil {
		return nil, nil, "", err
	}
	id, err := storage.NewID(h.Rand, "")
	if err != nil {
		return nil, nil, "", err
	}
	p, now := &s.Principal, h.Now().UTC().Truncate(time.Microsecond)
	authTime := storage.IssueTime(s.AuthTime, storage.TokensValidFrom(c, p, nil, s.AMR))
	code, text, err := h.Codes.Begin(storage.Authorization{
		ClientID: c.ID, SessionID: id, UserUID: p.User.UID, LoginID: p.Login.ID, SourceID: s.signIn.SourceID(),
		RedirectURI: form.Get("redirect_uri"), Scope: scope, Resources: s.Resources, Nonce: form.Get("nonce"),
		Challenge: form.Get("code_challenge"), JKT: form.Get("dpop_jkt"), AMR: s.AMR, Purpose: s.Purpose, AuthTime: authTime,
	}, storage.IssueTime(now, authTime))
	if err != nil {
		return nil, nil, "", err
	}
	secret, err := storage.NewSecret(h.Rand)
	if err != nil {
		return nil, nil, "", fmt.Errorf("new session: %w", err)
	}
	return &storage.Session{
		ID: id, Secret: h.Codes.Digests.Digest("session without a cookie", id, secret), ClientID: c.ID,
		UserUID: p.User.UID, LoginID: p.Login.ID, SourceID: s.signIn.SourceID(), AMR: s.AMR, Purpose: s.Purpose, AuthTime: authTime,
		CreatedAt: now, LastUsedAt: now, IdleUntil: code.ExpiresAt, ExpiresAt: code.ExpiresAt,
	}, code, text, nil
}
