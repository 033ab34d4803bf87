package oauth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/storage"
)

// AuthorizationStore keeps sessions of browsers, authorization codes and consents.
type AuthorizationStore interface {
	grants.AuthorizationStore
	// Session reads a session with its user, or answers storage.ErrNotFound.
	Session(ctx context.Context, id string) (storage.SessionState, error)
	// UseSession extends a session and issues a code, or answers storage.ErrRefused.
	UseSession(ctx context.Context, use storage.SessionUse) error
	// Consent reads what a user allowed a client, or answers storage.ErrNotFound.
	Consent(ctx context.Context, userUID, clientID string) (storage.Consent, error)
	// PutConsent stores what a user allowed a client.
	PutConsent(ctx context.Context, c storage.Consent) error
}

// AuthorizationResponse is the response to the redirect URI of a request: a code or an
// error, with state and iss (RFC 6749 §4.1.2, RFC 9207).
type AuthorizationResponse struct {
	Request *AuthorizationRequest
	Values  url.Values
}

// respondTo returns a response to the request.
func (e *Endpoints) respondTo(q *AuthorizationRequest, values url.Values) AuthorizationResponse {
	if q.State != "" {
		values.Set("state", q.State)
	}
	values.Set("iss", e.cfg.Issuer)
	return AuthorizationResponse{q, values}
}

// RespondError returns the error response to a request (RFC 6749 §4.1.2.1). code is an
// OAuth error code. description may be empty.
func (e *Endpoints) RespondError(q *AuthorizationRequest, code, description string) AuthorizationResponse {
	values := url.Values{"error": {code}}
	if description != "" {
		values.Set("error_description", description)
	}
	return e.respondTo(q, values)
}

// URL returns the redirect URI with the response in its query. The query that the URI has
// stays (RFC 6749 §3.1.2).
func (r *AuthorizationResponse) URL() string {
	separator := "?"
	if strings.Contains(r.Request.RedirectURI, "?") {
		separator = "&"
	}
	return r.Request.RedirectURI + separator + r.Values.Encode()
}

// SignedIn is a user who signed in at a page: in this request (SignIn), or earlier in the
// session of the browser.
type SignedIn struct {
	Session storage.Session
	SignIn  *signin.SignIn // verified and not settled; nil: the session goes on
	Account string         // UID of the chosen account; empty: there was no choice
}

// ErrRequestUsed says that a pushed request was used before (RFC 9126 §4).
var ErrRequestUsed = errors.New("the pushed request was used before")

// Authorize issues a code for the request to the user, and returns the response. A sign-in
// takes effect with it, or a session is extended, in one statement. A pushed request is
// used up in the same transaction.
//
// Errors: ErrRequestUsed; storage.ErrRefused if the session has ended; those of
// signin.Authenticator.Settle and of the store.
func (e *Endpoints) Authorize(ctx context.Context, q *AuthorizationRequest, u SignedIn) (AuthorizationResponse, error) {
	now, x := e.cfg.Now().UTC(), &u.Session
	code, text, err := e.codes.Begin(storage.Authorization{
		ClientID: q.ClientID, SessionID: x.ID, UserUID: x.UserUID, LoginID: x.LoginID, SourceID: x.SourceID, AccountUID: u.Account,
		RedirectURI: q.SentURI, Scope: q.Scope, Resources: q.Resources, Nonce: q.Nonce, Challenge: q.Challenge, JKT: q.JKT,
		AMR: x.AMR, Purpose: x.Purpose, AuthTime: x.AuthTime,
	}, storage.IssueTime(now, x.AuthTime))
	if err != nil {
		return AuthorizationResponse{}, err
	}
	decided := false // a settlement records its own outcome
	issue := func(ctx context.Context) error {
		decided = true
		return e.issueCode(ctx, u, code, now)
	}
	if len(q.PushedID) > 0 {
		err = e.cfg.Tokens.InTx(ctx, func(ctx context.Context) error {
			until := time.Unix(q.PushedUntil, 0).Add(spentLife)
			if !now.Before(until) { // the record of its use may be deleted
				return ErrRequestUsed
			}
			if err := e.cfg.Tokens.SpendID(ctx, spentPushed(q), until); err != nil {
				if errors.Is(err, storage.ErrConflict) {
					return ErrRequestUsed
				}
				return err
			}
			return issue(ctx)
		})
	} else {
		err = issue(ctx)
	}
	if err != nil {
		if u.SignIn != nil && !decided {
			e.authenticator.Abandon(ctx, u.SignIn)
		}
		return AuthorizationResponse{}, err
	}
	return e.respondTo(q, url.Values{"code": {text}}), nil
}

func (e *Endpoints) issueCode(ctx context.Context, u SignedIn, code *storage.Authorization, now time.Time) error {
	if u.SignIn != nil {
		session := u.Session
		session.AccountUID = u.Account
		return e.authenticator.SettleSession(ctx, u.SignIn, &session, code)
	}
	return e.cfg.Authorizations.UseSession(ctx, storage.SessionUse{
		ID: u.Session.ID, AccountUID: u.Account, IdleUntil: e.sessions.idleUntil(&u.Session, now), Authorize: code, Now: now,
	})
}

// CheckRoles returns an error if the user cannot have a token for the request: a role is
// missing that the client demands, or none of the requested roles can be granted. roles are
// those of the user.
func CheckRoles(c *storage.Client, q *AuthorizationRequest, roles []string) error {
	identity, requested := grants.SplitScope(q.Scope)
	_, err := grants.AuthorizedRoles(c, roles, identity, requested)
	return err
}

// NeedsConsent reports whether the user has to be asked for consent: a third-party client
// requests something that the user has not allowed yet, or asks for the question.
func (e *Endpoints) NeedsConsent(ctx context.Context, c *storage.Client, q *AuthorizationRequest, userUID string) (bool, error) {
	if !c.ThirdParty {
		return false, nil
	}
	if q.Has(PromptConsent) {
		return true, nil
	}
	given, err := e.cfg.Authorizations.Consent(ctx, userUID, c.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(q.Scope, func(name string) bool { return !slices.Contains(given.Scope, name) }), nil
}

// GiveConsent stores that the user allows the client what the request asks for, beside
// what the user allowed before.
func (e *Endpoints) GiveConsent(ctx context.Context, q *AuthorizationRequest, userUID string) error {
	given, err := e.cfg.Authorizations.Consent(ctx, userUID, q.ClientID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	scope := slices.Compact(slices.Sorted(slices.Values(slices.Concat(given.Scope, q.Scope))))
	return e.cfg.Authorizations.PutConsent(ctx, storage.Consent{
		UserUID: userUID, ClientID: q.ClientID, Scope: scope, GrantedAt: e.cfg.Now().UTC(),
	})
}
