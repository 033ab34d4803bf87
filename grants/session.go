package grants

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// Session carries a decision from a handler's first phase to its second. A new
// one is needed for each token request.
type Session struct {
	Principal storage.Principal // zero when a client acts for itself
	Member    *storage.Member   // of the account that the token is scoped to; nil: none
	AMR       []string          // RFC 8176
	Purpose   storage.Purpose   // of the one-time password that was presented; empty: none, or to sign in
	AuthTime  time.Time         // of the sign-in; zero when a client acts for itself

	// What the server knows of the request, filled in before the grant begins.
	Source    netip.Addr // where the user is; invalid: not known
	Resources []string   // which resources the token is to be for (RFC 8707), each one that the client may ask for
	Audience  []string   // which ones it is for if none is named here; empty: the server's default
	JKT       string     // thumbprint of the key whose possession was proven (RFC 9449 §4.3); empty: none

	// Confirm is asked when a grant is sure to be given, right before it takes
	// effect, and can still refuse it: by then what the request presents besides
	// may be used up. nil: nobody is asked.
	Confirm func(ctx context.Context) error

	expires           map[fosite.TokenType]time.Time
	signIn            *signin.SignIn // a verified attempt that has yet to take effect
	refresh           *refresh       // the refresh grant's verified token
	subject           *SubjectToken  // the token presented instead of credentials
	selectionIssuedAt time.Time      // when the selection token was issued; zero: there is none
	spend             spendFunc      // of what is good for one sign-in; nil: nothing is used up
	issuedAt          time.Time      // when what the token is made from was read; zero: when it is written
	tokenLife         time.Duration  // of the token; 0: the client's AccessTokenLife
}

// spendFunc uses something up if what it is given succeeds: both or neither.
type spendFunc func(ctx context.Context, do func(context.Context) error) error

// begin puts a verified attempt into the session.
func (s *Session) begin(signIn *signin.SignIn, now time.Time) {
	s.signIn = signIn
	s.Principal, s.AMR, s.Purpose, s.AuthTime = signIn.Principal, []string{signIn.AMR}, signIn.Purpose, now
}

// present reads a token that is presented instead of credentials and puts it
// into the session. It must come of a sign-in: a token that a message carries,
// or that a client got for its context user, is good for no other. The gate is
// asked here as well, whoever verifies the tokens. Of a token that is bound to a
// key, the possession of that must have been proven.
func presentSubject(ctx context.Context, c *storage.Client, s *Session, token string, now time.Time,
	read func(context.Context, *storage.Client, string) (SubjectToken, error),
) error {
	held, err := read(ctx, c, token)
	if err != nil {
		return err
	}
	if held.AuthTime.IsZero() || c.Refusal(&held.Principal, now) != "" {
		return ErrSubjectToken
	}
	if err := checkKey(held.JKT, s.JKT, ErrSubjectToken); err != nil {
		return err
	}
	s.subject, s.issuedAt = &held, now
	s.Principal, s.AMR, s.Purpose, s.AuthTime = held.Principal, held.AMR, held.Purpose, held.AuthTime
	return nil
}

// narrowAudience decides which resources a token that is made from another is
// for: the ones that were asked for, if the other is for each of them, else the
// same ones (RFC 8707 §2.2). None stands for what a token is for by default.
func (s *Session) narrowAudience(has []string) error {
	if len(s.Resources) == 0 {
		s.Resources = has
		return nil
	}
	if len(has) == 0 {
		has = s.Audience
	}
	for _, asked := range s.Resources {
		if !slices.Contains(has, asked) {
			return invalidTarget("The token presented is not for that resource.")
		}
	}
	return nil
}

// confirm asks whether the grant may take effect.
func (s *Session) confirm(ctx context.Context) error {
	if s.Confirm == nil {
		return nil
	}
	return s.Confirm(ctx)
}

var _ fosite.Session = (*Session)(nil)

// SetExpiresAt implements fosite.Session.
func (s *Session) SetExpiresAt(t fosite.TokenType, at time.Time) {
	if s.expires == nil {
		s.expires = map[fosite.TokenType]time.Time{}
	}
	s.expires[t] = at
}

// GetExpiresAt implements fosite.Session.
func (s *Session) GetExpiresAt(t fosite.TokenType) time.Time { return s.expires[t] }

// GetUsername implements fosite.Session.
func (s *Session) GetUsername() string { return s.Principal.Login.Username }

// GetSubject implements fosite.Session.
func (s *Session) GetSubject() string { return s.Principal.User.UID }

// Clone implements fosite.Session.
func (s *Session) Clone() fosite.Session {
	c := *s
	c.AMR = slices.Clone(s.AMR)
	c.expires = maps.Clone(s.expires)
	return &c
}

// sessionOf returns the request's session, or a server error if the server
// passed one of another type.
func sessionOf(r fosite.Requester) (*Session, error) {
	s, ok := r.GetSession().(*Session)
	if !ok || s == nil {
		return nil, fosite.ErrServerError.WithDebugf("session of type %T instead of *grants.Session", r.GetSession())
	}
	return s, nil
}

// requestOf returns the client and the session of a request of the grant type,
// if the client may use that. Both phases of a handler begin with it; for a
// request of another type it answers fosite.ErrUnknownRequest.
func requestOf(r fosite.AccessRequester, grantType string) (*storage.Client, *Session, error) {
	if !r.GetGrantTypes().ExactOne(grantType) {
		return nil, nil, fosite.ErrUnknownRequest
	}
	c, err := clientOf(r)
	if err != nil {
		return nil, nil, err
	}
	if !c.HasGrant(grantType) {
		return nil, nil, fosite.ErrUnauthorizedClient
	}
	s, err := sessionOf(r)
	return c, s, err
}
