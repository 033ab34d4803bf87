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

// What a Verifier without other settings does.
const (
	DefaultLeeway          = 30 * time.Second
	DefaultMaxStale        = time.Hour
	DefaultRefetchInterval = 10 * time.Second
)

// Why a token is refused, or cannot be judged. What is behind the first colon of
// an error's text is for the log and not for the caller.
var (
	// ErrInvalidToken says that a token is malformed, forged, expired, of
	// another kind, from another issuer or for somebody else.
	ErrInvalidToken = errors.New("resource: invalid token")
	// ErrInsufficientScope says that a good token lacks a scope.
	ErrInsufficientScope = errors.New("resource: insufficient scope")
	// ErrUnavailable says that nothing was decided, because the issuer's keys
	// or the store of proofs could not be had.
	ErrUnavailable = errors.New("resource: unavailable")
)

// Config says whose tokens a Verifier takes. Issuer and Audiences are required.
type Config struct {
	// Issuer is the claim iss of every token, to the letter. Without JWKSURL it
	// is also where the server's metadata is looked for (RFC 8414).
	Issuer string
	// Audiences are the names of this service; a token for one of them is for it.
	Audiences []string
	// JWKSURL is where the keys are. Empty: where the issuer's metadata says,
	// which is read when the first token comes.
	JWKSURL string
	// Algorithms are the JWS algorithms that are taken, of ES256, ES384, RS256,
	// PS256 and EdDSA. Empty: ES256, RS256 and EdDSA.
	Algorithms []string
	// AccountAudience is the claim aud of account management authentication
	// tokens. Empty: the issuer with /v2 behind it, as Latchkey has it.
	AccountAudience string
	// DPoP is about tokens that are bound to a key (RFC 9449). Nil: they are
	// refused.
	DPoP *DPoP

	HTTPClient      *http.Client     // what is not set in it is bounded; nil: 10 s, one origin
	Leeway          time.Duration    // how far the issuer's clock may be off; 0: DefaultLeeway
	MaxStale        time.Duration    // how long keys serve beyond their time if there are no newer ones; 0: DefaultMaxStale
	RefetchInterval time.Duration    // how often, at most, an unknown key has fresh keys read again; 0: DefaultRefetchInterval
	Now             func() time.Time // nil: time.Now
	Logger          *slog.Logger     // of failures to read keys; nil: none
}

// Verifier verifies the tokens of one issuer. Safe for concurrent use.
type Verifier struct {
	issuer  string
	access  kind
	account kind
	realm   string
	dpop    *proofs // nil: no bound tokens

	keys     *keySet
	parser   *jwt.Parser
	validate *jwt.Validator
}

// New returns a Verifier, or an error that names what the configuration lacks.
// It reads nothing over the network.
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
		// The claims are checked before the key is looked for, so that whatever
		// is refused anyhow has no keys read.
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

// complete checks what is given and fills in what is not.
func (cfg *Config) complete() error {
	switch {
	case !isHTTP(cfg.Issuer):
		return errors.New("the issuer must be an http or https URL without query and fragment")
	case len(cfg.Audiences) == 0, slices.Contains(cfg.Audiences, ""):
		return errors.New("an audience is required, and none may be empty")
	case cfg.JWKSURL != "" && !isHTTP(cfg.JWKSURL):
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

// isHTTP tells whether a text is an absolute URL that can be asked.
func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
