package elasticpath

import (
	"context"
	"errors"
	"net/http"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// session is a sign-in that was verified and is not settled yet, with the data of its tokens.
type session struct {
	token.AccountSession
	settle  func(context.Context) error // lets the sign-in take effect, and uses up its code
	abandon func(context.Context)       // records that a verified credential is not settled; nil: there is none
}

// postTokens signs a member in and answers a token for each of its accounts. The
// tokens are signed before the sign-in takes effect, so an error on the way does not
// use up a code.
func postTokens(c *call) (surface.Answer, error) {
	q, err := pageQuery(c.values)
	if err != nil {
		return surface.Answer{}, err
	}
	var body wire.TokenBody
	sent, err := c.read(&body, wire.TypeToken)
	if err != nil {
		return surface.Answer{}, err
	}
	realm, err := c.cfg.Realms.Realm(c.Context(), wire.SettingsRealm)
	if err != nil {
		return surface.Answer{}, err
	}
	s, err := signIn(c, realm, body, sent)
	if err != nil {
		return surface.Answer{}, err
	}
	total, tokens, err := issueTokens(c, realm, s, q)
	if err != nil {
		return surface.Answer{}, err
	}
	// A page without tokens uses up the code as well: the answer has shown that the
	// code is right.
	if err := s.settle(c.Context()); err != nil {
		return surface.Answer{}, err
	}
	page := wire.List[wire.Token]{Data: tokens, Meta: wire.NewListMeta(q, total), Links: c.pageLinks(q, total)}
	page.Meta.AccountMemberID = s.Principal.User.UID
	return surface.Answer{Status: http.StatusCreated, Body: page}, nil
}

// signIn signs a member in by the mechanism that the body names.
func signIn(c *call, realm storage.Realm, body wire.TokenBody, sent wire.Members) (*session, error) {
	switch surface.ValueOr(body.Mechanism, "") {
	case wire.MechanismPassword:
		return verifyCredential(c, "password", body, body.Password, signin.Attempt{Password: true})
	case wire.MechanismPasswordless:
		return verifyCredential(c, "one_time_password_token", body, body.OneTimeToken, signin.Attempt{
			OTP: true, Purposes: []storage.Purpose{storage.PurposeSignIn, storage.PurposeResetPassword},
		})
	case wire.MechanismSelfSignup:
		return signUp(c, realm, body)
	case wire.MechanismRenewal:
		return renew(c, realm, sent)
	case wire.MechanismOIDC:
		return nil, wire.UnsupportedError("the authentication mechanism oidc is not supported")
	case "":
		return nil, wire.Invalid("authentication_mechanism", "required")
	}
	return nil, wire.Invalid("authentication_mechanism", "oneof")
}

// verifyCredential checks a username and a password or code. name is the member of the body
// with the secret. An unknown password profile is refused like a wrong credential.
func verifyCredential(c *call, name string, body wire.TokenBody, secret *string, at signin.Attempt) (*session, error) {
	if err := body.CheckCredential(name, secret); err != nil {
		return nil, err
	}
	p, err := c.cfg.Profiles.PasswordProfile(c.Context(), storage.PasswordProfileID(*body.ProfileID))
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != wire.SettingsRealm {
		return nil, errCredentials
	}
	if err != nil {
		return nil, err
	}
	id, err := newSessionID(c)
	if err != nil {
		return nil, err
	}
	now := c.cfg.Now().UTC()
	at.ProfileID, at.Username, at.Secret = p.ID, *body.Username, *secret
	at.Source, at.Grant = c.cfg.CallerAddress(c.Request, c.caller), grants.GrantAccountMember
	verified, err := c.cfg.SignIns.Verify(c.Context(), c.caller.Client, at)
	if err != nil {
		return nil, err
	}
	return &session{
		AccountSession: token.AccountSession{
			Client: c.caller.Client, Principal: &verified.Principal, SessionID: id, AMR: []string{verified.AMR},
			Purpose: verified.Purpose, AuthTime: now, IssuedAt: now, SourceID: verified.SourceID(),
		},
		settle:  func(ctx context.Context) error { return c.cfg.SignIns.Settle(ctx, verified, nil) },
		abandon: func(ctx context.Context) { c.cfg.SignIns.Abandon(ctx, verified) },
	}, nil
}

func newSessionID(c *call) (string, error) { return storage.NewID(c.cfg.Rand, "ses_") }

// signUp creates a user with a login, and an account if the realm says so.
func signUp(c *call, realm storage.Realm, body wire.TokenBody) (*session, error) {
	if err := signin.CheckSignUp(realm); err != nil { // before the body is looked at
		return nil, err
	}
	if err := body.Check(true); err != nil {
		return nil, err
	}
	login := body.Login()
	if err := login.Check(true); err != nil {
		return nil, err
	}
	fresh, err := newMember(c, realm, body.UserFields)
	if err != nil {
		return nil, err
	}
	fresh, err = c.cfg.SignUps.Prepare(c.Context(), c.caller.Client, realm, fresh, loginRequest(login), c.cfg.Address(c.Context()))
	if err != nil {
		return nil, err
	}
	added, err := c.cfg.Users.AddUser(c.Context(), fresh)
	if err != nil {
		return nil, usernameTaken(c, fresh.Login.ID, err)
	}
	c.record(wire.TypeUser, "signed_up", added.User.UID)
	return firstSession(c, added.Login.ID)
}

// firstSession returns the session of a user who has just signed up.
func firstSession(c *call, loginID string) (*session, error) {
	p, err := c.cfg.Logins.PrincipalOf(c.Context(), loginID)
	if err != nil {
		return nil, err
	}
	id, err := newSessionID(c)
	if err != nil {
		return nil, err
	}
	now := c.cfg.Now().UTC()
	return &session{
		AccountSession: token.AccountSession{
			Client: c.caller.Client, Principal: &p, SessionID: id, AMR: []string{"pwd"}, AuthTime: now, IssuedAt: now,
		},
		settle: func(context.Context) error { return nil },
	}, nil
}

// renew returns the session of an account token, which must be in the header.
func renew(c *call, realm storage.Realm, sent wire.Members) (*session, error) {
	given := c.Header.Values(accountTokenHeader)
	if sent["token"] != nil || sent[wire.TypeToken] != nil {
		return nil, refuse(http.StatusBadRequest, "the token must be in the header "+accountTokenHeader)
	}
	if len(given) != 1 || given[0] == "" {
		return nil, refuse(http.StatusBadRequest, "the header "+accountTokenHeader+" is required")
	}
	now := c.cfg.Now().UTC()
	holder, err := c.cfg.Bearer.AccountHolder(c.Context(), given[0])
	if errors.Is(err, token.ErrInvalidToken) {
		return nil, errCredentials
	}
	if err != nil {
		return nil, err
	}
	c.holder = holder
	renewed, ok := holder.Renew(realm, now)
	if !ok {
		return nil, errCredentials
	}
	return &session{AccountSession: renewed, settle: func(context.Context) error {
		c.record(wire.TypeToken, "renewed", holder.Principal.User.UID)
		return nil
	}}, nil
}

// issueTokens signs the tokens for a page of the accounts of the session. total is
// the number of the accounts.
func issueTokens(c *call, realm storage.Realm, s *session, q storage.Query) (total int, tokens []wire.Token, err error) {
	found, err := accountsFor(c, s, q)
	if err == nil {
		tokens, err = mintTokens(c, realm, s, found.Items)
	}
	if err != nil && s.abandon != nil {
		s.abandon(c.Context())
	}
	return found.Total, tokens, err
}

// accountsFor returns a page of the accounts that get tokens.
func accountsFor(c *call, s *session, q storage.Query) (storage.Page[storage.Member], error) {
	if s.Account == nil {
		return c.cfg.Memberships.Members(c.Context(), s.Principal.User.UID, q.Offset, q.Limit)
	}
	page := storage.Page[storage.Member]{Total: 1}
	if q.Offset == 0 {
		page.Items = []storage.Member{*s.Account}
	}
	return page, nil
}

func mintTokens(c *call, realm storage.Realm, s *session, accounts []storage.Member) ([]wire.Token, error) {
	expires := s.TokenExpiry(realm)
	tokens := make([]wire.Token, 0, len(accounts))
	for _, m := range accounts {
		signed, err := c.cfg.Tokens.MintAccountToken(c.Context(), token.AccountTokenRequest{
			AccountSession: s.AccountSession, Member: m, Realm: realm, StoreID: c.cfg.StoreID, ExpiresAt: expires,
		})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, wire.NewToken(m.Account, signed, expires))
	}
	return tokens, nil
}
