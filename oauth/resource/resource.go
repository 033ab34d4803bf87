package resource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/keys/jose"
)

// Defaults of a Config.
const (
	DefaultLeeway          = 30 * time.Second
	DefaultMaxStale        = time.Hour
	DefaultRefetchInterval = 10 * time.Second
)

// Errors of a Verifier. Errors wrap them with details, which are for the log and not for
// the client.
var (
	// ErrInvalidToken says that a token is malformed, forged, expired, of another
	// type, of another issuer or for another audience.
	ErrInvalidToken = errors.New("resource: invalid token")
	// ErrInsufficientScope says that a valid token lacks a scope.
	ErrInsufficientScope = errors.New("resource: insufficient scope")
	// ErrUnavailable says that a token could not be verified, because the issuer's
	// keys or the used proofs are not available.
	ErrUnavailable = errors.New("resource: unavailable")
)

// Config configures a Verifier. Issuer and Audiences are required.
type Config struct {
	// Issuer is the exact claim iss of every token. Without JWKSURL, the server's
	// metadata is read from there (RFC 8414).
	Issuer string
	// Audiences are the names of this service. The claim aud must contain one.
	Audiences []string
	// JWKSURL is the URL of the key set. Empty: the one in the issuer's metadata,
	// which is read for the first token.
	JWKSURL string
	// Algorithms are the accepted JWS algorithms, among ES256, ES384, RS256, PS256
	// and EdDSA. Empty: ES256, RS256 and EdDSA.
	Algorithms []string
	// AccountAudience is the claim aud of account management authentication
	// tokens. Empty: the issuer followed by /v2, as Latchkey uses it.
	AccountAudience string
	// DPoP configures tokens that are bound to a key (RFC 9449). Nil: they are
	// refused.
	DPoP *DPoP

	HTTPClient      *http.Client     // nil: a new one; without a Timeout it gets 10 s, without CheckRedirect it follows redirects within one origin only
	Leeway          time.Duration    // allowed difference to the issuer's clock; 0: DefaultLeeway
	MaxStale        time.Duration    // how long keys are used after their max-age if they cannot be fetched; 0: DefaultMaxStale
	RefetchInterval time.Duration    // minimum time between fetches for unknown keys; 0: DefaultRefetchInterval
	Now             func() time.Time // nil: time.Now
	Logger          *slog.Logger     // for failures to fetch keys; nil: none
}

// Verifier verifies the tokens of one issuer. It is safe for concurrent use.
type Verifier struct {
	issuer  string
	access  kind
	account kind
	realm   string
	dpop    *proofs // nil: bound tokens are refused

	keys     *keySet
	parser   *jwt.Parser
	validate *jwt.Validator
}

// New returns a Verifier, or an error that says what is wrong with the configuration. It
// does not use the network.
func New(cfg Config) (*Verifier, error) {
	v, err := newVerifier(cfg)
	if err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return v, nil
}

func newVerifier(cfg Config) (*Verifier, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	v := &Verifier{
		issuer:  cfg.Issuer,
		access:  kind{typ: typeAccessToken, audiences: slices.Clone(cfg.Audiences)},
		account: kind{typ: typeAccountToken, audiences: []string{cfg.AccountAudience}},
		realm:   cfg.Audiences[0],
		keys:    newKeySet(cfg),
		// verify checks the claims before it looks up the key, so that a token
		// with invalid claims causes no fetch of keys.
		parser: jwt.NewParser(jwt.WithValidMethods(cfg.Algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		validate: jwt.NewValidator(
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(cfg.Leeway), jwt.WithTimeFunc(cfg.Now),
		),
	}
	var err error
	if cfg.DPoP != nil {
		v.dpop, err = newProofs(*cfg.DPoP, cfg.Now)
	}
	return v, err
}

// complete checks the configuration and sets the defaults.
func (cfg *Config) complete() error {
	switch {
	case !isHTTPURL(cfg.Issuer):
		return errors.New("the issuer must be an http or https URL without query and fragment")
	case len(cfg.Audiences) == 0, slices.Contains(cfg.Audiences, ""):
		return errors.New("an audience is required, and none may be empty")
	case cfg.JWKSURL != "" && !isHTTPURL(cfg.JWKSURL):
		return errors.New("the JWKS URL must be an http or https URL without query and fragment")
	case cfg.Leeway < 0, cfg.MaxStale < 0, cfg.RefetchInterval < 0:
		return errors.New("negative duration")
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = jose.SigningAlgorithms()
	}
	for _, alg := range cfg.Algorithms {
		if !slices.Contains(jose.VerificationAlgorithms(), alg) {
			return fmt.Errorf("algorithm %q is not supported", alg)
		}
	}
	cfg.Leeway = cmp.Or(cfg.Leeway, DefaultLeeway)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, DefaultMaxStale)
	cfg.RefetchInterval = cmp.Or(cfg.RefetchInterval, DefaultRefetchInterval)
	cfg.AccountAudience = cmp.Or(cfg.AccountAudience, strings.TrimSuffix(cfg.Issuer, "/")+"/v2")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// isHTTPURL reports whether a text is an absolute http or https URL without user
// information, query and fragment.
func isHTTPURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
