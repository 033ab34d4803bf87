package grants

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// The supported token types of RFC 8693 §3.
const (
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// TokenExchange is token exchange (RFC 8693). It gives a token for another account of the
// same user, or a token with fewer roles, without a new sign-in. The subject token is an
// access token of the same client that comes from a sign-in. A parameter beside those of
// RFC 8693 is account_id. Without it the account stays the same. Delegation and other
// token types are refused.
//
// The new token is for the resources of the subject token, or for those among them that
// the request names. A subject token that is bound to a key needs a proof of its
// possession, and the new token is bound to that key too.
//
// The roles of the new token are described at subjectRoles. It keeps auth_time, amr and
// the refresh token family of the subject token, so it ends with that family. It expires
// no later than the subject token. There is no refresh token with it.
//
// For every fault of the subject token the error is invalid_request (RFC 8693 §2.2.2). An
// account that does not exist, or of which the user is not a member, is invalid_target.
type TokenExchange struct {
	SubjectTokens SubjectTokens
	Members       MemberStore
	AccessTokens  AccessTokens
	Recorder      storage.Recorder
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*TokenExchange)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *TokenExchange) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *TokenExchange) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantTokenExchange)
}

// HandleTokenEndpointRequest verifies the subject token and finds the account
// (RFC 8693 §2.1).
func (h *TokenExchange) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantTokenExchange)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	subject := form.Get("subject_token")
	form.Del("subject_token")
	if err := checkExchange(form, subject); err != nil {
		return err
	}
	err = presentSubject(ctx, client, session, subject, h.Now().UTC(), h.SubjectTokens.VerifySubject)
	if errors.Is(err, ErrSubjectToken) || err == nil && !session.subject.Access {
		return malformed("The subject token is not valid.")
	}
	if err != nil {
		return err
	}
	if err := exchangeTarget(form, session); err != nil {
		h.record(ctx, client, session, "resource not granted")
		return err
	}
	return h.target(ctx, client, session, form.Get("account_id"))
}

// checkExchange checks all parameters except scope and account_id.
func checkExchange(form url.Values, subject string) error {
	kind, wanted := form.Get("subject_token_type"), form.Get("requested_token_type")
	switch {
	case subject == "":
		return malformed("The parameter subject_token is missing.")
	case kind == "":
		return malformed("The parameter subject_token_type is missing.")
	case kind != TokenTypeAccessToken && kind != TokenTypeJWT:
		return malformed("The subject_token_type is not supported.")
	case wanted != "" && wanted != TokenTypeAccessToken:
		return malformed("The requested_token_type is not supported.")
	case form.Has("actor_token"), form.Has("actor_token_type"):
		form.Del("actor_token")
		return malformed("Delegation is not supported.")
	}
	return nil
}

// exchangeTarget decides the resources of the new token. If the request names a resource
// or an audience and the server did not set Resources, the server does not support them.
func exchangeTarget(form url.Values, s *Session) error {
	if (form.Has("resource") || form.Has("audience")) && len(s.Resources) == 0 {
		return invalidTarget("The parameters resource and audience are not supported.")
	}
	return s.narrowAudience(s.subject.Resources)
}

// target puts the account of the new token into the session.
func (h *TokenExchange) target(ctx context.Context, c *storage.Client, s *Session, accountID string) error {
	if accountID == "" {
		s.Member = s.subject.Member
		return nil
	}
	member, err := h.Members.Member(ctx, s.Principal.User.UID, accountID)
	if errors.Is(err, storage.ErrNotFound) {
		h.record(ctx, c, s, notAMember)
		return invalidTarget("The account is not one of the user's.")
	}
	if err != nil {
		return fmt.Errorf("read membership: %w", err)
	}
	s.Member = &member
	return nil
}

// PopulateTokenEndpointResponse mints the token and answers (RFC 8693 §2.2.1).
func (h *TokenExchange) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantTokenExchange)
	if err != nil {
		return err
	}
	scope, err := subjectRoles(client, session, r.GetRequestedScopes())
	if err != nil {
		h.record(ctx, client, session, insufficientRoles)
		return err
	}
	if err := answer(ctx, h.AccessTokens, r, w, session, tokenFor(client, session, scope, h.Now().UTC())); err != nil {
		return err
	}
	w.SetExtra("issued_token_type", TokenTypeAccessToken)
	h.record(ctx, client, session, "success")
	return nil
}

func (h *TokenExchange) record(ctx context.Context, c *storage.Client, s *Session, outcome string) {
	h.Recorder.Record(ctx, storage.AuditEvent{
		Time: h.Now().UTC(), Action: actionExchange, Outcome: outcome, ClientID: c.ID,
		UserUID: s.Principal.User.UID, Username: s.Principal.Login.Username,
	})
}
