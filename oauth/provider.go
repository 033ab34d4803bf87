package oauth

import (
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
	"latchkey/oauth/proof"
	"latchkey/otp"
	"latchkey/storage"
)

// TokenStore knows what ends an access token before its time.
type TokenStore interface {
	// TokenStatus reads, in one statement, what may have ended a token.
	TokenStatus(ctx context.Context, ref storage.TokenRef) (storage.TokenStatus, error)
	// RevokeToken ends one access token; it may be forgotten after expiresAt.
	RevokeToken(ctx context.Context, jti string, expiresAt time.Time) error
	// SpendID answers storage.ErrConflict if the id was spent before; it may be
	// forgotten after expiresAt.
	SpendID(ctx context.Context, id []byte, expiresAt time.Time) error
	// IsSpent reports whether the id was spent.
	IsSpent(ctx context.Context, id []byte) (bool, error)
	// InTx lets all that fn does with its context take effect if it returns nil,
	// and else none of it.
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Config configures a Provider. The stores, Ring, Peppers and Passwords are
// required.
type Config struct {
	Issuer      string        // the server's identifier, an absolute URL without query or fragment (RFC 8414 §2)
	Audience    string        // of access tokens; default: Issuer
	Resources   []string      // what else they may be for (RFC 8707): absolute URIs without fragment; default: nothing
	DPoPNonce   bool          // a DPoP proof must have a nonce of ours (RFC 9449 §8)
	SigningAlg  string        // of access tokens; default: the ring's
	Grace       time.Duration // of a rotated refresh token
	JWKSMaxAge  time.Duration // how long resource servers may cache our keys
	Clients     client.Store
	SignIns     signin.SignInStore
	Families    grants.FamilyStore
	Tokens      TokenStore
	Members     grants.MemberStore
	Profiles    grants.ProfileStore
	Codes       signin.CodeMatcher
	Passwords   signin.PasswordVerifier
	Ring        *keys.Ring
	Peppers     *keys.Peppers
	Recorder    storage.Recorder // default: discards
	Now         func() time.Time // default: time.Now
	Rand        io.Reader
	Logger      zerolog.Logger
	ExtraGrants []Grant // further token endpoint handlers

	// Address tells who sent a request. Default: nobody knows; then guesses at
	// client secrets are not limited.
	Address func(context.Context) netip.Addr
	// AddressHeader is the header in which trusted clients name the address of
	// their user; empty: there is none. See UserAddress.
	AddressHeader string
	SecretLimit   otp.Limit          // of wrong client secrets from one address for one client; zero: none
	Charges       client.ChargeStore // counts them; nil: no limit
	Registry      Registry           // of clients that register themselves; nil: none do
}

// Grant is a token endpoint handler with the grant type it serves.
type Grant struct {
	Type    string
	Handler fosite.TokenEndpointHandler
}

// Provider serves the OAuth endpoints.
type Provider struct {
	cfg           Config
	base          string   // Issuer without a trailing slash
	resources     []string // what tokens may be for: Audience and Resources
	fosite        fosite.OAuth2Provider
	grantTypes    []string
	authenticator *signin.Authenticator
	refreshTokens *grants.RefreshTokens
	clients       *client.Authenticator
	proofs        *proof.Verifier
}

// New assembles a Provider, or says what is wrong with its configuration: a
// missing part, an issuer that RFC 8414 does not allow, two grants of one type.
func New(cfg Config) (*Provider, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	p := &Provider{
		cfg: cfg, base: strings.TrimSuffix(cfg.Issuer, "/"),
		refreshTokens: &grants.RefreshTokens{Peppers: cfg.Peppers, Rand: cfg.Rand},
		resources:     append([]string{cfg.Audience}, cfg.Resources...),
	}
	var err error
	if p.clients, err = client.New(client.Config{
		Issuer: cfg.Issuer, TokenEndpoint: p.base + tokenPath, Clients: cfg.Clients, UsedIDs: cfg.Tokens, Peppers: cfg.Peppers,
		Address: cfg.Address, SecretLimit: cfg.SecretLimit, Charges: cfg.Charges,
		Recorder: cfg.Recorder, Now: cfg.Now, Rand: cfg.Rand, Logger: cfg.Logger,
	}); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if p.proofs, err = proof.New(proof.Config{
		Issuer: cfg.Issuer, RequireNonce: cfg.DPoPNonce, UsedIDs: cfg.Tokens, Peppers: cfg.Peppers, Now: cfg.Now,
	}); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	own, err := p.ownGrants()
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if err := p.assemble(append(own, cfg.ExtraGrants...)); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return p, nil
}

// complete fills in the defaults and checks the rest.
func (c *Config) complete() error {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("issuer %q is not an absolute URL without query and fragment", c.Issuer)
	}
	if c.Clients == nil || c.SignIns == nil || c.Families == nil || c.Tokens == nil || c.Members == nil || c.Profiles == nil {
		return errors.New("a store is missing")
	}
	if c.Ring == nil || c.Peppers == nil || c.Codes == nil || c.Passwords == nil || c.Rand == nil {
		return errors.New("one of Ring, Peppers, Codes, Passwords and Rand is missing")
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
	if c.Address == nil {
		c.Address = func(context.Context) netip.Addr { return netip.Addr{} }
	}
	return nil
}

func (p *Provider) ownGrants() ([]Grant, error) {
	var err error
	p.authenticator, err = signin.NewAuthenticator(signin.AuthenticatorConfig{
		Store: p.cfg.SignIns, Codes: p.cfg.Codes, Passwords: p.cfg.Passwords,
		Recorder: p.cfg.Recorder, Now: p.cfg.Now, Rand: p.cfg.Rand,
	})
	if err != nil {
		return nil, err
	}
	return []Grant{
		{grants.GrantPassword, &grants.Password{
			Authenticator: p.authenticator, AccessTokens: p, RefreshTokens: p.refreshTokens, Now: p.cfg.Now,
		}},
		{grants.GrantClientCredentials, &grants.ClientCredentials{
			Users: p.cfg.SignIns, AccessTokens: p, Now: p.cfg.Now,
		}},
		{grants.GrantRefreshToken, &grants.Refresh{
			Families: p.cfg.Families, AccessTokens: p, RefreshTokens: p.refreshTokens,
			Grace: p.cfg.Grace, Recorder: p.cfg.Recorder, Now: p.cfg.Now,
		}},
		{grants.GrantAccountMember, &grants.AccountMember{
			Authenticator: p.authenticator, Profiles: p.cfg.Profiles, Members: p.cfg.Members, SubjectTokens: p,
			AccessTokens: p, RefreshTokens: p.refreshTokens, Now: p.cfg.Now,
		}},
		{grants.GrantTokenExchange, &grants.TokenExchange{
			SubjectTokens: p, Members: p.cfg.Members, AccessTokens: p, Recorder: p.cfg.Recorder, Now: p.cfg.Now,
		}},
	}, nil
}

// Authenticator returns what decides the sign-ins of the grants. Whoever else
// signs users in must take the same one: it lets no more attempts of a login run
// at a time than the login has guesses left.
func (p *Provider) Authenticator() *signin.Authenticator { return p.authenticator }

// assemble hands the grants to fosite. It fills the list itself, because
// fosite's Append drops a second handler of one Go type without a word.
func (p *Provider) assemble(all []Grant) error {
	var handlers fosite.TokenEndpointHandlers
	for _, g := range all {
		if p.serves(g.Type) {
			return fmt.Errorf("two grants of type %q", g.Type)
		}
		p.grantTypes = append(p.grantTypes, g.Type)
		handlers = append(handlers, g.Handler)
	}
	p.fosite = fosite.NewOAuth2Provider(nil, &fosite.Config{
		TokenEndpointHandlers:        handlers,
		ClientAuthenticationStrategy: authenticatedClient,
	})
	return nil
}

func (p *Provider) serves(grantType string) bool {
	for _, g := range p.grantTypes {
		if g == grantType {
			return true
		}
	}
	return false
}

// Mount registers the endpoints at the root. If the issuer has a path, the mux
// must be served below that path too, because the metadata names the endpoints
// there; listen.Below does so.
func (p *Provider) Mount(mux *http.ServeMux) {
	mux.HandleFunc(tokenPath, p.endpoint(p.serveToken))
	mux.HandleFunc("/oauth/revoke", p.endpoint(p.serveRevocation))
	mux.HandleFunc("/oauth/introspect", p.endpoint(p.serveIntrospection))
	if p.cfg.Registry != nil {
		mux.HandleFunc("POST "+registrationPath, p.registrationEndpoint(p.serveRegister))
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			mux.HandleFunc(method+" "+registrationPath+"/{client_id}", p.registrationEndpoint(p.serveRegistration))
		}
	}
	mux.HandleFunc("GET /oauth/jwks", p.serveKeys)
	mux.HandleFunc("GET /oauth/certs/{kid}", p.serveKey)
	mux.HandleFunc("GET "+wellKnownKeys, p.serveKeys)
	mux.HandleFunc("GET "+wellKnownMetadata, p.serveMetadata)
	mux.HandleFunc("GET "+wellKnownOpenID, p.serveMetadata)
}

// endpoint adapts a handler that reports its failure to one that writes it.
func (p *Provider) endpoint(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			p.writeError(w, r, err)
		}
	}
}
