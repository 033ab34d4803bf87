package elasticpath

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/token"
	"latchkey/storage"
)

const typeToken = "account_management_authentication_token" // #nosec G101 -- a name, not a secret

// The ways to get tokens.
const (
	byPassword   = "password"
	passwordless = "passwordless"
	bySelfSignup = "self_signup"
	byHeldToken  = typeToken
	byOIDC       = "oidc"
)

// SignIns decides sign-ins; *signin.Authenticator is one.
type SignIns interface {
	// Verify checks a credential without any effect but counting a failure.
	Verify(ctx context.Context, c *storage.Client, at signin.Attempt) (*signin.SignIn, error)
	// Settle lets a verified sign-in take effect.
	Settle(ctx context.Context, s *signin.SignIn, family *storage.TokenFamily) error
	// Abandon records that a verified sign-in cannot be settled.
	Abandon(ctx context.Context, s *signin.SignIn)
}

// TokenMaker signs account management authentication tokens; *token.Verifier is
// one.
type TokenMaker interface {
	MintAccountToken(ctx context.Context, r token.AccountTokenRequest) (string, error)
}

// TokenBody asks for tokens. Which members it needs depends on the mechanism.
type TokenBody struct {
	Type         *string `json:"type"`
	Mechanism    *string `json:"authentication_mechanism"`
	ProfileID    *string `json:"password_profile_id"`
	Username     *string `json:"username"`
	Password     *string `json:"password"`
	OneTimeToken *string `json:"one_time_password_token"`
	UserFields           // of self_signup
}

// Token is an account management authentication token: what a member has for
// one of its accounts.
type Token struct {
	AccountName string `json:"account_name"`
	AccountID   string `json:"account_id"`
	Token       string `json:"token"`
	Type        string `json:"type"`
	Expires     string `json:"expires"`
}

// session is a member who is let in, before that has any effect.
type session struct {
	client    *storage.Client
	principal *storage.Principal
	id        string // the same in all tokens that come from the sign-in
	amr       []string
	purpose   storage.Purpose // of the one-time password that was presented
	authTime  time.Time
	only      *storage.Member // the one account that there is a token for; nil: all of the member's
	sourceID  string          // where the member signed in
	origin    string          // of the token that is renewed; empty: none is
	issuedAt  time.Time       // before anything was checked, so that what ends sessions meanwhile ends this one
	settle    func(context.Context) error
	abandon   func(context.Context) // records that a verified credential is not settled; nil: there is none
}

func (a *API) tokenRoutes() []route {
	r := post("AccountMembers.CreateTokens", "/v2/account-members/tokens", "Get a token for every account of a member",
		Body[TokenBody]{}, List[Token]{}, a.postTokens).toStorefronts()
	r.Query = listParameters()[:2]
	r.Headers = []openapi.Parameter{{Name: accountTokenHeader, About: "Token to renew, with that mechanism"}}
	r.Refuses = []int{400, 403, 413, 415, 422, 429}
	return []route{r}
}

// postTokens signs a member in and answers one token for each of its accounts.
// The tokens are signed before the sign-in takes effect: what goes wrong on the
// way uses no code up.
func (a *API) postTokens(c *call) (reply, error) {
	q, err := pageQuery(c.values)
	if err != nil {
		return reply{}, err
	}
	var body TokenBody
	sent, err := c.read(&body, typeToken)
	if err != nil {
		return reply{}, err
	}
	realm, err := a.cfg.Realms.Realm(c.Context(), settingsRealm)
	if err != nil {
		return reply{}, err
	}
	s, err := a.signIn(c, realm, body, sent)
	if err != nil {
		return reply{}, err
	}
	found, tokens, err := a.issue(c.Context(), realm, s, q)
	if err != nil {
		return reply{}, err
	}
	// A page without tokens uses the code up as well: otherwise it would tell a
	// right code from a wrong one, and leave it as it was.
	if err := s.settle(c.Context()); err != nil {
		return reply{}, err
	}
	list := List[Token]{Data: tokens, Meta: listMeta(q, found.Total), Links: c.pageLinks(q, found.Total)}
	list.Meta.AccountMemberID = s.principal.User.UID
	return reply{status: http.StatusCreated, body: list}, nil
}

// accountsFor returns a page of the accounts that the session gets tokens for.
func (a *API) accountsFor(ctx context.Context, s *session, q storage.Query) (storage.Page[storage.Member], error) {
	if s.only == nil {
		return a.cfg.Memberships.Members(ctx, s.principal.User.UID, q.Offset, q.Limit)
	}
	page := storage.Page[storage.Member]{Total: 1}
	if q.Offset == 0 {
		page.Items = []storage.Member{*s.only}
	}
	return page, nil
}

// issue signs the tokens of a page of the member's accounts.
func (a *API) issue(ctx context.Context, realm storage.Realm, s *session, q storage.Query) (storage.Page[storage.Member], []Token, error) {
	var tokens []Token
	found, err := a.accountsFor(ctx, s, q)
	if err == nil {
		tokens, err = a.mint(ctx, realm, s, found.Items)
	}
	if err != nil && s.abandon != nil {
		s.abandon(ctx)
	}
	return found, tokens, err
}

func (a *API) mint(ctx context.Context, realm storage.Realm, s *session, accounts []storage.Member) ([]Token, error) {
	expires := s.issuedAt.Truncate(time.Second).Add(tokenTTL(realm))
	if end := sessionEnd(realm, s.client, s.authTime); end.Before(expires) {
		expires = end
	}
	tokens := make([]Token, 0, len(accounts))
	for _, m := range accounts {
		token, err := a.cfg.Tokens.MintAccountToken(ctx, token.AccountTokenRequest{
			Client: s.client, Principal: s.principal, Member: m, Realm: realm, StoreID: a.cfg.StoreID,
			SessionID: s.id, AMR: s.amr, Purpose: s.purpose, AuthTime: s.authTime, SourceID: s.sourceID, Origin: s.origin, IssuedAt: s.issuedAt, ExpiresAt: expires,
		})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, Token{
			AccountName: m.Account.Name, AccountID: m.Account.ID, Token: token, Type: typeToken, Expires: wireTime(expires),
		})
	}
	return tokens, nil
}

// maxSession is how long account tokens can be renewed after the sign-in through
// a client that gives no refresh tokens.
const maxSession = 30 * 24 * time.Hour

// sessionEnd returns when the last account token of a sign-in expires, however
// often it is renewed: when a refresh token of the sign-in would expire. A token
// that the sign-in itself gives has its full life.
func sessionEnd(realm storage.Realm, c *storage.Client, signedIn time.Time) time.Time {
	life := cmp.Or(c.RefreshTokenTTL, maxSession)
	return signedIn.Truncate(time.Second).Add(max(life, tokenTTL(realm)))
}

func (a *API) newSessionID() (string, error) { return storage.NewID(a.cfg.Rand, "ses_") }

// signIn lets a member in by the mechanism that the body names.
func (a *API) signIn(c *call, realm storage.Realm, body TokenBody, sent members) (*session, error) {
	switch deref(body.Mechanism) {
	case byPassword:
		return a.signInWith(c, "password", body, body.Password, signin.Attempt{Password: true})
	case passwordless:
		return a.signInWith(c, "one_time_password_token", body, body.OneTimeToken, signin.Attempt{
			OTP: true, Purposes: []storage.Purpose{storage.PurposeSignIn, storage.PurposeResetPassword},
		})
	case bySelfSignup:
		return a.signUp(c, realm, body)
	case byHeldToken:
		return a.renew(c, realm, sent)
	case byOIDC:
		return nil, refuse(http.StatusUnprocessableEntity, "the authentication mechanism oidc is not supported")
	case "":
		return nil, refuse(http.StatusBadRequest, validation("authentication_mechanism", "required"))
	}
	return nil, refuse(http.StatusBadRequest, validation("authentication_mechanism", "oneof"))
}

// signInWith checks a username and a secret, which is the body's member of that
// name. A password profile that there is not refuses like anything wrong.
func (a *API) signInWith(c *call, name string, body TokenBody, secret *string, at signin.Attempt) (*session, error) {
	var check check
	check.filled("password_profile_id", body.ProfileID, true)
	check.filled("username", body.Username, true)
	check.secret(name, secret, true)
	if err := check.err(); err != nil {
		return nil, err
	}
	p, err := a.cfg.Profiles.PasswordProfile(c.Context(), storage.PasswordProfileID(*body.ProfileID))
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != settingsRealm {
		return nil, errCredentials
	}
	if err != nil {
		return nil, err
	}
	id, err := a.newSessionID()
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now().UTC()
	at.ProfileID, at.Username, at.Secret = p.ID, *body.Username, *secret
	at.Source = a.cfg.CallerAddress(c.Request, c.caller)
	verified, err := a.cfg.SignIns.Verify(c.Context(), c.caller.Client, at)
	if err != nil {
		return nil, err
	}
	return &session{
		client: c.caller.Client, principal: &verified.Principal, id: id, amr: []string{verified.AMR}, purpose: verified.Purpose,
		authTime: now, issuedAt: now, sourceID: verified.SourceID(),
		settle:  func(ctx context.Context) error { return a.cfg.SignIns.Settle(ctx, verified, nil) },
		abandon: func(ctx context.Context) { a.cfg.SignIns.Abandon(ctx, verified) },
	}, nil
}

// renew takes a token that was got before, from the header and nowhere else. It
// gives a token for the same account, and for all of the member's accounts if the
// sign-in is recent. What the sign-in was stays, and so does the end of the
// session; see sessionEnd.
func (a *API) renew(c *call, realm storage.Realm, sent members) (*session, error) {
	given := c.Header.Values(accountTokenHeader)
	_, inBody := sent["token"]
	if _, too := sent[typeToken]; too || inBody {
		return nil, refuse(http.StatusBadRequest, "the token must be in the header "+accountTokenHeader)
	}
	if len(given) != 1 || given[0] == "" {
		return nil, refuse(http.StatusBadRequest, "the header "+accountTokenHeader+" is required")
	}
	now := a.cfg.Now().UTC()
	holder, err := a.cfg.Bearer.AccountHolder(c.Context(), given[0])
	if errors.Is(err, token.ErrInvalidToken) {
		return nil, errCredentials
	}
	if err != nil {
		return nil, err
	}
	c.holder = holder
	s := &session{
		client: holder.Client, principal: holder.Principal, id: holder.SessionID, amr: holder.AMR, purpose: holder.Purpose,
		authTime: holder.AuthTime, sourceID: holder.SourceID, issuedAt: now, origin: holder.Origin,
		settle: func(context.Context) error {
			a.record(c, typeToken, "renewed", holder.Principal.User.UID)
			return nil
		},
	}
	if !grants.IsRecentSignIn(holder.AuthTime, now) {
		s.only = holder.Member
	}
	if !now.Before(sessionEnd(realm, holder.Client, holder.AuthTime)) {
		return nil, errCredentials
	}
	return s, nil
}

// signUp makes a user with a login, and an account if the realm says so.
func (a *API) signUp(c *call, realm storage.Realm, body TokenBody) (*session, error) {
	if !realm.SelfSignup {
		return nil, refuse(http.StatusForbidden, "self signup is not enabled")
	}
	if err := body.check(true); err != nil {
		return nil, err
	}
	login := LoginBody{ProfileID: body.ProfileID, Username: body.Username, Password: body.Password}
	if err := login.check(true); err != nil {
		return nil, err
	}
	made, err := a.newUser(realm, body.UserFields)
	if err != nil {
		return nil, err
	}
	if !c.caller.Client.Admits(made.User) || !c.caller.Client.Credentials.Password {
		return nil, refuse(http.StatusForbidden, "the client may not sign such users in")
	}
	// A password hash is dear, and this one is for whoever asks.
	if err := a.cfg.AdmitSignUp(c.Context(), a.cfg.Address(c.Context())); err != nil {
		return nil, err
	}
	l, err := a.newLogin(c, made.User, login)
	if err != nil {
		return nil, err
	}
	made.Login = &l
	return a.join(c, made)
}

// join stores who signs up, and lets it in.
func (a *API) join(c *call, made storage.NewUser) (*session, error) {
	added, err := a.cfg.Users.AddUser(c.Context(), made)
	if err != nil {
		return nil, a.taken(c, made.Login.ID, err)
	}
	a.record(c, typeUser, "signed_up", added.User.UID)
	p, err := a.cfg.Logins.PrincipalOf(c.Context(), added.Login.ID)
	if err != nil {
		return nil, err
	}
	id, err := a.newSessionID()
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now().UTC()
	return &session{
		client: c.caller.Client, principal: &p, id: id, amr: []string{"pwd"}, authTime: now, issuedAt: now,
		settle: func(context.Context) error { return nil },
	}, nil
}
