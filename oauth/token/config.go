package token

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"latchkey/keys"
	"latchkey/oauth/client"
	"latchkey/oauth/proof"
	"latchkey/storage"
)

// Store reads what ends a token before it expires, and remembers spent ids.
type Store interface {
	// TokenStatus reads, in one statement, what may have ended a token.
	TokenStatus(ctx context.Context, ref storage.TokenRef) (storage.TokenStatus, error)
	// SpendID returns storage.ErrConflict if the id was spent before. The store
	// may forget the id after expiresAt.
	SpendID(ctx context.Context, id []byte, expiresAt time.Time) error
	// InTx runs fn in one transaction. Nothing that fn does with its context takes
	// effect if fn returns an error.
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Principals reads users by their login.
type Principals interface {
	// Principal reads a login with its user. For an unknown login the result is not
	// Known.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
}

// Config configures an Issuer and a Verifier. All fields but Resources and
// SigningAlg are required.
type Config struct {
	Issuer        string   // the server's identifier
	TokenEndpoint string   // its URL, the audience of selection tokens
	Audience      string   // of access tokens that name no resource
	Resources     []string // further audiences of access tokens (RFC 8707)
	SigningAlg    string   // of tokens; default: the ring's
	Clients       client.Store
	Tokens        Store
	Principals    Principals
	Ring          *keys.Ring
	Proofs        *proof.Verifier
	Now           func() time.Time
	Rand          io.Reader
}

// Issuer signs and decodes tokens. It reads the database only if the ring has no key for
// an algorithm, because another server may have stored the key meanwhile.
type Issuer struct {
	cfg       Config
	base      string   // Config.Issuer without a trailing slash
	resources []string // all audiences of access tokens: Audience and Resources
}

// Verifier verifies tokens and checks them against the database.
type Verifier struct{ *Issuer }

// New returns a Verifier, or an error if a field is missing.
func New(cfg Config) (*Verifier, error) {
	if cfg.Clients == nil || cfg.Tokens == nil || cfg.Principals == nil || cfg.Ring == nil || cfg.Proofs == nil || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("token: Clients, Tokens, Principals, Ring, Proofs, Now and Rand are required")
	}
	return &Verifier{&Issuer{
		cfg: cfg, base: strings.TrimSuffix(cfg.Issuer, "/"), resources: append([]string{cfg.Audience}, cfg.Resources...),
	}}, nil
}
