package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"latchkey/grants"
	"latchkey/keys/jose"
	oauthclient "latchkey/oauth/client"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

const (
	credentialOTP      = "otp"
	credentialPassword = "password"

	defaultRefreshDuration = 720 * time.Hour
	maxRefreshDuration     = 10 * 365 * 24 * time.Hour

	maxJWKSBytes = 1 << 20 // the largest key set, in bytes
)

// maxAccessTokenLife is the longest life of an access token that a client may be
// given.
const maxAccessTokenLife = 24 * time.Hour

func isSigningAlg(alg string) bool { return slices.Contains(jose.SigningAlgorithms(), alg) }

// newClient holds the flags of "client create".
type newClient struct {
	name, id, profile, signingAlg string
	public, noRotation            bool
	grants, roles, credentials    []string
	accessDuration                time.Duration
	refreshDuration               time.Duration // 0: not given
	jwksFile                      string        // empty: it authenticates otherwise
	jwks                          []byte        // what that file holds
	resources                     []string
	dpop, trustAddress            bool
	redirectURIs                  []string
	postLogoutURIs                []string
	backchannelURI                string
	thirdParty                    bool
}

// createdClient is printed once. The secret cannot be shown again.
type createdClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
}

func (c *cli) clientCreateCommand() *cobra.Command {
	var n newClient
	cmd := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Create a client and print its id and secret, once, as JSON",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.createClient(cmd, n) },
	}
	f := cmd.Flags()
	f.StringVar(&n.name, "name", "", "name of the client, for people")
	f.StringVar(&n.id, "id", "", "client id (default: a new UUID)")
	f.BoolVar(&n.public, "public", false, "the client has no secret")
	f.StringArrayVar(&n.grants, "grant", nil, "grant type it may use, repeatable: "+strings.Join(grants.GrantTypes(), ", "))
	f.StringArrayVar(&n.roles, "role", nil, "role it has and its users may get, repeatable")
	f.StringArrayVar(&n.credentials, "credential", nil, "what its users sign in with, repeatable: otp, password (default: both)")
	f.DurationVar(&n.accessDuration, "access-token-duration", 0, "life of its access tokens, 1s to 24h (default 15m, and 1h at /oauth/access_token, which is the most there)")
	f.DurationVar(&n.refreshDuration, "refresh-token-duration", 0, "life of its refresh tokens, counted from the sign-in (default 720h with the grant refresh_token)")
	f.BoolVar(&n.noRotation, "no-rotation", false, "a refresh token stays valid when it was used")
	f.StringVar(&n.signingAlg, "signing-alg", "", "algorithm of its access tokens: ES256, RS256, EdDSA (default: the server's)")
	f.StringVar(&n.jwksFile, "jwks", "", "file with its public keys, a JWK Set (RFC 7517): it signs assertions (private_key_jwt) and has no secret")
	f.StringArrayVar(&n.resources, "resource", nil, "resource that its tokens may be for, a URI of LATCHKEY_RESOURCES, repeatable (default: all)")
	f.BoolVar(&n.dpop, "dpop", false, "its tokens are bound to a key, always (RFC 9449)")
	f.BoolVar(&n.trustAddress, "trust-address", false, "the address that it says its user has is believed")
	f.StringArrayVar(&n.redirectURIs, "redirect-uri", nil, "URI to which the hosted sign-in returns, repeatable, for the grant authorization_code")
	f.StringArrayVar(&n.postLogoutURIs, "post-logout-redirect-uri", nil, "URI to which browsers may go after a logout, repeatable")
	f.StringVar(&n.backchannelURI, "backchannel-logout-uri", "", "URI that gets logout tokens (OpenID Connect Back-Channel Logout 1.0)")
	f.BoolVar(&n.thirdParty, "third-party", false, "its users are asked for their consent")
	f.StringVar(&n.profile, "profile", storage.DefaultProfileID, "password profile of its users")
	return cmd
}

func (c *cli) createClient(cmd *cobra.Command, n newClient) error {
	n.profile = storage.PasswordProfileID(n.profile)
	if err := n.check(); err != nil {
		return err
	}
	if err := n.readKeys(); err != nil {
		return err
	}
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withApp(cmd.Context(), cfg, func(a *app) error {
		created, err := a.createClient(cmd.Context(), n)
		if err != nil {
			return err
		}
		return writeJSON(c.stdout, created)
	})
}

// clientID matches the ids a client may have.
var clientID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// scopeToken matches a role: it is granted as a scope (RFC 6749 §3.3).
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,100}$`)

// check returns a usageError if a flag has an invalid value.
func (n *newClient) check() error {
	switch id := strings.ToLower(n.id); {
	case strings.TrimSpace(n.name) == "" || len(n.name) > 200 || strings.ContainsFunc(n.name, unicode.IsControl):
		return usagef("--name is required: one line of at most 200 bytes")
	case id != "" && !clientID.MatchString(id):
		return usagef("--id must be 1 to 100 letters, digits, hyphens and underscores")
	case strings.HasPrefix(id, storage.UserPrefix), strings.HasPrefix(id, storage.AccountPrefix):
		return usagef("--id must not begin with %s or %s, like the ids of users and accounts", storage.UserPrefix, storage.AccountPrefix)
	case n.signingAlg != "" && !isSigningAlg(n.signingAlg):
		return usagef("unknown algorithm %q: the known are %s", n.signingAlg, strings.Join(jose.SigningAlgorithms(), ", "))
	case n.accessDuration != 0 && (n.accessDuration < time.Second || n.accessDuration > maxAccessTokenLife):
		return usagef("--access-token-duration must be from 1s to %s", maxAccessTokenLife)
	}
	for _, role := range n.roles {
		if !scopeToken.MatchString(role) {
			return usagef("role %q must be 1 to 100 visible ASCII characters other than \" and \\", role)
		}
	}
	for _, cr := range n.credentials {
		if cr != credentialOTP && cr != credentialPassword {
			return usagef("unknown credential %q: the known are %s, %s", cr, credentialOTP, credentialPassword)
		}
	}
	if err := n.checkProof(); err != nil {
		return err
	}
	if err := n.checkRedirects(); err != nil {
		return err
	}
	return n.checkGrants()
}

// checkProof checks the flags about the client's authentication and its resources.
func (n *newClient) checkProof() error {
	switch {
	case n.public && n.jwksFile != "":
		return usagef("--public and --jwks exclude each other")
	case n.public && n.trustAddress:
		return usagef("--trust-address is for a client that authenticates itself: anybody can be a public one")
	}
	shape := wire.ApiClient{AppName: n.name, Resources: n.resources}
	if err := shape.Validate("").Err(); err != nil {
		return usagef("--resource: %v", err)
	}
	return nil
}

// checkRedirects checks the flags about the hosted sign-in.
func (n *newClient) checkRedirects() error {
	for flag, uris := range map[string][]string{"--redirect-uri": n.redirectURIs, "--post-logout-redirect-uri": n.postLogoutURIs} {
		for _, uri := range uris {
			if err := storage.CheckRedirectURI(uri); err != nil {
				return usagef("%s: the redirect URI %q %v", flag, uri, err)
			}
		}
	}
	if n.backchannelURI != "" {
		if err := storage.CheckLogoutURI(n.backchannelURI); err != nil {
			return usagef("--backchannel-logout-uri: %q %v", n.backchannelURI, err)
		}
	}
	codes := slices.Contains(n.grants, grants.GrantAuthorizationCode)
	switch {
	case codes && len(n.redirectURIs) == 0:
		return usagef("--grant %s needs --redirect-uri", grants.GrantAuthorizationCode)
	case !codes && len(n.redirectURIs) > 0:
		return usagef("--redirect-uri needs --grant %s", grants.GrantAuthorizationCode)
	}
	return nil
}

// readKeys reads the file of --jwks and checks the key set in it.
func (n *newClient) readKeys() error {
	if n.jwksFile == "" {
		return nil
	}
	file, err := os.Open(n.jwksFile)
	if err != nil {
		return usagef("--jwks: %v", err)
	}
	defer file.Close() //nolint:errcheck // only read
	if n.jwks, err = io.ReadAll(io.LimitReader(file, maxJWKSBytes)); err != nil {
		return usagef("--jwks: %v", err)
	}
	if err := oauthclient.CheckKeySet(n.jwks); err != nil {
		return usagef("--jwks: %s %v", n.jwksFile, err)
	}
	return nil
}

func (n *newClient) checkGrants() error {
	for _, g := range n.grants {
		if !slices.Contains(grants.GrantTypes(), g) {
			return usagef("unknown grant %q: the known are %s", g, strings.Join(grants.GrantTypes(), ", "))
		}
	}
	refreshes := slices.Contains(n.grants, grants.GrantRefreshToken)
	switch {
	case n.public && slices.Contains(n.grants, grants.GrantClientCredentials):
		// RFC 6749 §4.4: only confidential clients may use it.
		return usagef("a public client cannot have the grant %s", grants.GrantClientCredentials)
	case !refreshes && (n.refreshDuration != 0 || n.noRotation):
		return usagef("--refresh-token-duration and --no-rotation need --grant %s", grants.GrantRefreshToken)
	case n.refreshDuration != 0 && (n.refreshDuration < time.Second || n.refreshDuration > maxRefreshDuration):
		return usagef("--refresh-token-duration must be from 1s to %s", maxRefreshDuration)
	}
	return nil
}

// record returns the client that the flags describe. It serves users of all kinds;
// changes through /v1 can restrict them.
func (n *newClient) record() storage.Client {
	roles := sorted(n.roles)
	k := storage.Client{
		ID: n.id, Name: n.name, Active: true, Public: n.public, ProfileID: n.profile,
		GrantTypes: sorted(n.grants),
		Credentials: storage.Credentials{
			OTP:      len(n.credentials) == 0 || slices.Contains(n.credentials, credentialOTP),
			Password: len(n.credentials) == 0 || slices.Contains(n.credentials, credentialPassword),
		},
		Roles: roles, MaximumRoles: roles,
		AllowAnyBuyer: true, AllowAnySupplier: true, AllowSeller: true,
		AccessTokenTTL: n.accessDuration, RefreshTokenTTL: n.refreshDuration,
		ReuseRefreshTokens: n.noRotation, SigningAlg: n.signingAlg,
		JWKS: n.jwks, Resources: sorted(n.resources), DPoPBound: n.dpop, TrustAddress: n.trustAddress,
		RedirectURIs: sorted(n.redirectURIs), PostLogoutRedirectURIs: sorted(n.postLogoutURIs),
		BackchannelLogoutURI: n.backchannelURI, ThirdParty: n.thirdParty,
	}
	if n.jwks != nil {
		k.AuthMethod = storage.AuthMethodPrivateKeyJWT
	}
	if k.HasGrant(grants.GrantRefreshToken) && k.RefreshTokenTTL == 0 {
		k.RefreshTokenTTL = defaultRefreshDuration
	}
	return k
}

func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// createClient stores the client together with its secret.
func (a *app) createClient(ctx context.Context, n newClient) (createdClient, error) {
	if n.id == "" {
		id, err := uuid.NewRandomFromReader(a.random)
		if err != nil {
			return createdClient{}, fmt.Errorf("new client id: %w", err)
		}
		n.id = id.String()
	}
	if _, err := a.store.PasswordProfile(ctx, n.profile); errors.Is(err, storage.ErrNotFound) {
		return createdClient{}, fmt.Errorf("no password profile %q", n.profile)
	} else if err != nil {
		return createdClient{}, err
	}
	if n.signingAlg != "" {
		// Create the first key of an algorithm now, not in the first request.
		if err := a.openRing(ctx, n.signingAlg); err != nil {
			return createdClient{}, err
		}
	}
	created := createdClient{ID: n.id}
	err := a.store.InTx(ctx, func(ctx context.Context) error {
		if old, err := a.store.Client(ctx, n.id); err == nil {
			return clientExists{old.ID}
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		stored, err := a.store.PutClient(ctx, n.record())
		if err == nil && stored.Version != 1 {
			// Another process has created it meanwhile. The transaction is rolled back.
			err = clientExists{stored.ID}
		}
		if err == nil && !n.public && n.jwks == nil {
			var issued issuedSecret
			issued, err = a.addSecret(ctx, n.id, "first", time.Time{})
			created.Secret = issued.Secret
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, "apiclient.created", "ApiClient/"+n.id)
	})
	if exists, ok := errors.AsType[clientExists](err); ok {
		return createdClient{}, exists // without the context that the store adds
	}
	return created, err
}

// clientExists is the error for an id that another client has. The ids may differ in
// letter case.
type clientExists struct{ id string }

func (e clientExists) Error() string { return fmt.Sprintf("client %s exists already", e.id) }
