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

// Session carries the state of one token request from the first phase of a handler
// (HandleTokenEndpointRequest) to the second (PopulateTokenEndpointResponse). Each
// request needs a new one. The server sets some fields before NewAccessRequest, the
// first phase of the grant sets the others:
//
//	Field              server  authorization_code  password  client_credentials  refresh_token  account-member  token-exchange
//	Source             sets
//	Resources          sets    narrows                                           narrows        narrows (1)     narrows
//	Audience, JKT      sets
//	Confirm            sets
//	Keep               sets
//	Principal                  sets                sets      sets (2)            sets           sets            sets
//	AMR, AuthTime              sets                sets                          sets           sets            sets
//	Purpose                    sets                sets                          sets           sets            sets
//	Member                     sets                                              sets           sets            sets
//	signIn                                         sets                                         sets (3)
//	authorization              sets
//	presentedCode              sets
//	refresh                                                                      sets
//	subject                                                                                     sets (1)        sets
//	issuedAt                   sets                                                             sets (1), (4)   sets
//	selectionIssuedAt                                                                           sets (4)
//	spend                                                                                       sets (4)
//	direct                                         sets                          sets
//	tokenLife                                                sets (5)
//
//	(1) for a member_token  (2) for a context user  (3) unless for a member_token
//	(4) for a selection_token  (5) for a public client
//
// fosite sets expires by SetExpiresAt.
type Session struct {
	Principal storage.Principal // the user; zero if the client acts for itself
	Member    *storage.Member   // of the account that the token is scoped to; nil: none
	AMR       []string          // authentication methods of the sign-in (RFC 8176 §2)
	Purpose   storage.Purpose   // of the one-time password of the sign-in; empty: none, or to sign in
	AuthTime  time.Time         // of the sign-in; zero if there was none

	Source    netip.Addr // the user's address; invalid: unknown
	Resources []string   // that the request asks for (RFC 8707 §2), each allowed to the client; empty: none
	Audience  []string   // of a token without Resources; empty: the server's default
	JKT       string     // thumbprint of the key whose possession was proven (RFC 9449 §4.3); empty: none

	// Confirm is called right before a grant takes effect, and can still refuse it by an
	// error. Use it to mark other single-use values of the request as used, such as the jti
	// of a DPoP proof (RFC 9449 §11.1). nil: nothing is called.
	Confirm func(ctx context.Context) error

	// Keep is called with the response of a sign-in by a one-time password, right before the
	// sign-in takes effect. Keep must call settle, which lets the sign-in take effect, and
	// may store the response in the same transaction. nil: the response is not stored.
	Keep KeepFunc

	expires           map[fosite.TokenType]time.Time
	signIn            *signin.SignIn                                // verified, and settled in the second phase; nil: no sign-in to settle
	refresh           *refresh                                      // the verified refresh token
	authorization     *storage.Authorization                        // the verified authorization code
	presentedCode     presentedCode                                 // likewise
	subject           *SubjectToken                                 // the token presented instead of credentials; nil: none
	direct            *directGrant                                  // how the grant takes effect at once; nil: it takes two steps
	selectionIssuedAt time.Time                                     // when the selection token was issued; zero: there is none
	spend             spendFunc                                     // uses up the selection token; nil: there is none
	issuedAt          time.Time                                     // time of issue of the new token; zero: when it is written
	policyOf          func(clientID string) (storage.Client, error) // reads the policy of a client that has none; nil: it must have one
	policy            *storage.Client                               // that policyOf returned
	tokenLife         time.Duration                                 // of the new token; 0: the client's AccessTokenLife
}

// KeepFunc is the type of Session.Keep.
type KeepFunc func(ctx context.Context, response fosite.AccessResponder, settle func(context.Context) error) error

// spendFunc calls do and uses up a token in one transaction: both take effect, or
// neither.
type spendFunc func(ctx context.Context, do func(context.Context) error) error

// begin puts a verified attempt into the session.
func (s *Session) begin(signIn *signin.SignIn, now time.Time) {
	s.signIn = signIn
	s.Principal, s.AMR, s.Purpose, s.AuthTime = signIn.Principal, []string{signIn.AMR}, signIn.Purpose, now
}

// presentSubject reads a token that is presented instead of credentials, by calling
// read, and puts its user into the session. It returns ErrSubjectToken in three more
// cases. The token does not come from a sign-in: tokens in messages, and tokens of a
// client's context user, give no other token. The client does not admit the user now, or
// does not allow the credential of the sign-in. The token is bound to a key, and the
// request proves another one.
func presentSubject(ctx context.Context, c *storage.Client, s *Session, token string, now time.Time,
	read func(context.Context, *storage.Client, string) (SubjectToken, error),
) error {
	subject, err := read(ctx, c, token)
	if err != nil {
		return err
	}
	if subject.AuthTime.IsZero() || c.SessionRefusal(&subject.Principal, subject.AMR, now) != "" {
		return ErrSubjectToken
	}
	if err := checkKey(subject.JKT, s.JKT, ErrSubjectToken); err != nil {
		return err
	}
	s.subject, s.issuedAt = &subject, now
	s.Principal, s.AMR, s.Purpose, s.AuthTime = subject.Principal, subject.AMR, subject.Purpose, subject.AuthTime
	return nil
}

// narrowAudience decides the resources of a token that is made from another token,
// which has the resources has (RFC 8707 §2.2): those that the request asks for, which
// must all be in has, or the same ones if it asks for none. An empty list stands for
// the default audience.
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

// confirm calls Confirm if it is set.
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

// sessionOf returns the session of the request, or a server error if it has another
// type.
func sessionOf(r fosite.Requester) (*Session, error) {
	s, ok := r.GetSession().(*Session)
	if !ok || s == nil {
		return nil, fosite.ErrServerError.WithDebugf("session of type %T instead of *grants.Session", r.GetSession())
	}
	return s, nil
}

// requestOf returns the client and the session of a request. Both phases of a handler
// begin with it. It returns fosite.ErrUnknownRequest for another grant type, and
// fosite.ErrUnauthorizedClient if the client may not use the grant type.
func requestOf(r fosite.AccessRequester, grantType string) (*storage.Client, *Session, error) {
	if !r.GetGrantTypes().ExactOne(grantType) {
		return nil, nil, fosite.ErrUnknownRequest
	}
	s, err := sessionOf(r)
	if err != nil {
		return nil, nil, err
	}
	c, err := clientOf(r, s)
	if err != nil {
		return nil, nil, err
	}
	if !c.HasGrant(grantType) {
		return nil, nil, fosite.ErrUnauthorizedClient
	}
	return c, s, nil
}
