package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth/client"
	"latchkey/oauth/client/register"
	"latchkey/oauth/proof"
	"latchkey/oauth/token"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// TokenStore reads what ends an access token before it expires, and remembers which
// proofs and assertions were used.
type TokenStore interface {
	token.Store
	// RevokeToken ends one access token. The store may forget it after expiresAt.
	RevokeToken(ctx context.Context, jti string, expiresAt time.Time) error
	// IsSpent reports whether an id was spent with SpendID.
	IsSpent(ctx context.Context, id []byte) (bool, error)
}

// Config configures the Endpoints. Required are Issuer, Clients, SignIns, Families, Tokens,
// Members, Profiles, Authorizations, Sealer, Codes, Passwords, Ring, Peppers and Rand.
type Config struct {
	Issuer         string        // the server's identifier, an absolute URL without query or fragment (RFC 8414 §2)
	Audience       string        // of access tokens; default: Issuer
	Resources      []string      // further audiences (RFC 8707): absolute URIs without fragment
	DPoPNonce      bool          // a DPoP proof must have a nonce of ours (RFC 9449 §8)
	SigningAlg     string        // of access tokens; default: the ring's
	Grace          time.Duration // of a rotated refresh token
	UILocales      []string      // languages of the hosted sign-in, as language tags
	JWKSMaxAge     time.Duration // how long resource servers may cache our keys
	Clients        client.Store
	SignIns        signin.Store
	Families       grants.FamilyStore
	Tokens         TokenStore
	Members        grants.MemberStore
	Profiles       grants.ProfileStore
	Authorizations AuthorizationStore
	Sealer         *keys.Sealer  // of requests that travel sealed, and of kept answers
	SessionIdle    time.Duration // a browser's session that is not used for so long ends; default: DefaultSessionIdle
	SessionLife    time.Duration // of a browser's session in total; default: DefaultSessionLife
	Codes          signin.CodeMatcher
	Passwords      signin.PasswordVerifier
	Ring           *keys.Ring
	Peppers        *keys.Peppers
	Recorder       storage.Recorder // default: events are discarded
	Now            func() time.Time // default: time.Now
	Rand           io.Reader
	Logger         zerolog.Logger
	ExtraGrants    []Grant // further token endpoint handlers

	Issued  func(grantType string) // called for each access token; optional
	Limited func(limiter string)   // called when too many guesses at a client secret were refused; optional

	// Address returns the address that sent a request. If it is nil or returns an
	// invalid address, guesses at client secrets are not limited.
	Address func(context.Context) netip.Addr
	// AddressHeader is the header in which trusted clients name the address of their
	// user. Empty: no header is read. See UserAddress.
	AddressHeader string
	SecretLimit   limit.Limit       // of wrong client secrets from one address for one client; zero: none
	Charges       limit.Store       // counts them; nil: no limit
	Answers       AnswerStore       // keeps the answers to requests with an Idempotency-Key; nil: the header is ignored
	Registry      register.Registry // stores clients that register themselves; nil: registration is off
}

// Grant is a token endpoint handler with the grant type it serves.
type Grant struct {
	Type    string
	Handler fosite.TokenEndpointHandler
}

// Endpoints serves the OAuth endpoints.
type Endpoints struct {
	cfg           Config
	base          string // Issuer without a trailing slash
	fosite        fosite.OAuth2Provider
	grantTypes    []string
	authenticator *signin.Authenticator
	refreshTokens *grants.RefreshTokens
	codes         *grants.AuthorizationCodes
	sessions      *BrowserSessions
	clients       *client.Authenticator
	proofs        *proof.Verifier
	tokens        *token.Verifier
	registration  *register.Endpoint // nil: registration is off
}

// New returns the Endpoints. It returns an error for a missing field, an issuer that
// RFC 8414 does not allow, and two grants of one type.
func New(cfg Config) (*Endpoints, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	e := &Endpoints{
		cfg: cfg, base: strings.TrimSuffix(cfg.Issuer, "/"),
		refreshTokens: &grants.RefreshTokens{Peppers: cfg.Peppers, Rand: cfg.Rand},
		codes:         &grants.AuthorizationCodes{Digests: cfg.Peppers, Rand: cfg.Rand},
		sessions: &BrowserSessions{
			Store: cfg.Authorizations, Peppers: cfg.Peppers, Rand: cfg.Rand, Now: cfg.Now,
			Idle: cmp.Or(cfg.SessionIdle, DefaultSessionIdle), Life: cmp.Or(cfg.SessionLife, DefaultSessionLife),
			Secure: strings.HasPrefix(cfg.Issuer, "https:"),
		},
	}
	for _, step := range []func() error{e.newCollaborators, e.newGrants, e.newRegistration} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("oauth: %w", err)
		}
	}
	return e, nil
}

// newCollaborators makes the verifiers of clients, proofs and tokens.
func (e *Endpoints) newCollaborators() (err error) {
	cfg := &e.cfg
	if e.clients, err = client.New(client.Config{
		Issuer: cfg.Issuer, TokenEndpoint: e.base + tokenPath, Clients: cfg.Clients, UsedIDs: cfg.Tokens, Peppers: cfg.Peppers,
		Address: cfg.Address, SecretLimit: cfg.SecretLimit, Charges: cfg.Charges, Limited: cfg.Limited,
		Recorder: cfg.Recorder, Now: cfg.Now, Rand: cfg.Rand, Logger: cfg.Logger,
	}); err != nil {
		return err
	}
	if e.proofs, err = proof.New(proof.Config{
		Issuer: cfg.Issuer, RequireNonce: cfg.DPoPNonce, UsedIDs: cfg.Tokens, Peppers: cfg.Peppers, Now: cfg.Now,
	}); err != nil {
		return err
	}
	e.tokens, err = token.New(token.Config{
		Issuer: cfg.Issuer, TokenEndpoint: e.base + tokenPath, Audience: cfg.Audience, Resources: cfg.Resources, SigningAlg: cfg.SigningAlg,
		Clients: cfg.Clients, Tokens: cfg.Tokens, Principals: cfg.SignIns, Ring: cfg.Ring, Proofs: e.proofs,
		Now: cfg.Now, Rand: cfg.Rand,
	})
	return err
}

// newGrants gives fosite the grants of this server and the further ones.
func (e *Endpoints) newGrants() error {
	own, err := e.ownGrants()
	if err != nil {
		return err
	}
	return e.assemble(append(own, e.cfg.ExtraGrants...))
}

// newRegistration makes the registration endpoints, if clients may register
// themselves.
func (e *Endpoints) newRegistration() (err error) {
	if e.cfg.Registry == nil {
		return nil
	}
	e.registration, err = register.New(register.Config{
		Issuer: e.cfg.Issuer, Registry: e.cfg.Registry, Callers: e.tokens, Clients: e.clients, ServesGrant: e.serves,
		Peppers: e.cfg.Peppers, Recorder: e.cfg.Recorder, Now: e.cfg.Now, Rand: e.cfg.Rand, WriteError: e.writeError,
	})
	return err
}

// complete sets the defaults and checks the other fields.
func (c *Config) complete() error {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("issuer %q is not an absolute URL without query and fragment", c.Issuer)
	}
	if c.Clients == nil || c.SignIns == nil || c.Families == nil || c.Tokens == nil || c.Members == nil || c.Profiles == nil || c.Authorizations == nil {
		return errors.New("a store is missing")
	}
	if c.Ring == nil || c.Peppers == nil || c.Codes == nil || c.Passwords == nil || c.Rand == nil || c.Sealer == nil {
		return errors.New("one of Ring, Sealer, Peppers, Codes, Passwords and Rand is missing")
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if c.Recorder == nil {
		c.Recorder = storage.DiscardEvents{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Issued == nil {
		c.Issued = func(string) {}
	}
	if c.Limited == nil {
		c.Limited = func(string) {}
	}
	if c.Address == nil {
		c.Address = func(context.Context) netip.Addr { return netip.Addr{} }
	}
	return nil
}

func (e *Endpoints) ownGrants() ([]Grant, error) {
	var err error
	e.authenticator, err = signin.NewAuthenticator(signin.AuthenticatorConfig{
		Store: e.cfg.SignIns, Codes: e.cfg.Codes, Passwords: e.cfg.Passwords,
		Recorder: e.cfg.Recorder, Now: e.cfg.Now, Rand: e.cfg.Rand,
	})
	if err != nil {
		return nil, err
	}
	return []Grant{
		{grants.GrantAuthorizationCode, &grants.AuthorizationCode{
			Store: e.cfg.Authorizations, Codes: e.codes, AccessTokens: e.tokens, IDTokens: e.tokens, RefreshTokens: e.refreshTokens,
			Recorder: e.cfg.Recorder, Now: e.cfg.Now,
		}},
		{grants.GrantPassword, &grants.Password{
			Authenticator: e.authenticator, AccessTokens: e.tokens, RefreshTokens: e.refreshTokens, Now: e.cfg.Now,
		}},
		{grants.GrantClientCredentials, &grants.ClientCredentials{
			Users: e.cfg.SignIns, AccessTokens: e.tokens, Now: e.cfg.Now,
		}},
		{grants.GrantRefreshToken, &grants.Refresh{
			Families: e.cfg.Families, AccessTokens: e.tokens, RefreshTokens: e.refreshTokens,
			Grace: e.cfg.Grace, Recorder: e.cfg.Recorder, Now: e.cfg.Now,
		}},
		{grants.GrantAccountMember, &grants.AccountMember{
			Authenticator: e.authenticator, Profiles: e.cfg.Profiles, Members: e.cfg.Members, SubjectTokens: e.tokens,
			AccessTokens: e.tokens, RefreshTokens: e.refreshTokens, Now: e.cfg.Now,
		}},
		{grants.GrantTokenExchange, &grants.TokenExchange{
			SubjectTokens: e.tokens, Members: e.cfg.Members, AccessTokens: e.tokens, Recorder: e.cfg.Recorder, Now: e.cfg.Now,
		}},
	}, nil
}

// Authenticator returns the authenticator of the grants. Every other code that signs
// users in must use the same one, because it allows only as many parallel attempts
// of a login as the login has guesses left.
func (e *Endpoints) Authenticator() *signin.Authenticator { return e.authenticator }

// assemble gives the grants to fosite. It fills the list itself, because fosite's
// Append silently drops a second handler of the same Go type.
func (e *Endpoints) assemble(all []Grant) error {
	var handlers fosite.TokenEndpointHandlers
	for _, g := range all {
		if e.serves(g.Type) {
			return fmt.Errorf("two grants of type %q", g.Type)
		}
		e.grantTypes = append(e.grantTypes, g.Type)
		handlers = append(handlers, g.Handler)
	}
	e.fosite = fosite.NewOAuth2Provider(nil, &fosite.Config{
		TokenEndpointHandlers:        handlers,
		ClientAuthenticationStrategy: authenticatedClient,
	})
	return nil
}

func (e *Endpoints) serves(grantType string) bool {
	for _, g := range e.grantTypes {
		if g == grantType {
			return true
		}
	}
	return false
}

// Tokens returns the verifier of the server's tokens.
func (e *Endpoints) Tokens() *token.Verifier { return e.tokens }

// Recipients returns the signer of the tokens in messages.
func (e *Endpoints) Recipients() *token.Recipients { return &token.Recipients{Issuer: e.tokens.Issuer} }

// Mount registers the endpoints at the root. If the issuer has a path, the mux
// must be served below that path too, because the metadata names the endpoints
// there; listen.Below does so.
func (e *Endpoints) Mount(mux *http.ServeMux) {
	mux.HandleFunc(tokenPath, e.endpoint(e.serveToken))
	mux.HandleFunc(parPath, e.endpoint(e.servePushed))
	mux.HandleFunc("GET "+userinfoPath, e.serveUserinfo)
	mux.HandleFunc("POST "+userinfoPath, e.serveUserinfo)
	mux.HandleFunc("/oauth/revoke", e.endpoint(e.serveRevocation))
	mux.HandleFunc("/oauth/introspect", e.endpoint(e.serveIntrospection))
	if e.registration != nil {
		e.registration.Mount(mux)
	}
	mux.HandleFunc("GET /oauth/jwks", e.serveKeys)
	mux.HandleFunc("GET /oauth/certs/{kid}", e.serveKey)
	mux.HandleFunc("GET "+wellKnownKeys, e.serveKeys)
	mux.HandleFunc("GET "+wellKnownMetadata, e.serveMetadata)
	mux.HandleFunc("GET "+wellKnownOpenID, e.serveMetadata)
}

// endpoint adapts a handler that returns its failure to one that answers it.
func (e *Endpoints) endpoint(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			e.writeError(w, r, err)
		}
	}
}
