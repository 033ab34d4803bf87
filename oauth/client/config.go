package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// Refusals of a client.
var (
	// ErrInvalid is the refusal for all reasons that a client must not be able to tell
	// apart.
	ErrInvalid = errors.New("client authentication failed")
	// ErrInactive says that the client has authenticated but is not active.
	ErrInactive = errors.New("client is not active")
	// ErrTwoMethods says that the request has credentials of two methods
	// (RFC 6749 §2.3).
	ErrTwoMethods = errors.New("two client authentications")
	// ErrTooManyGuesses says that an address has sent too many wrong credentials
	// of a client. It comes with the *storage.LimitError.
	ErrTooManyGuesses = errors.New("too many failed client authentications")
	// ErrUnauthorized comes with ErrInvalid or ErrInactive and asks for the status
	// 401 instead of 400: the client used the Authorization header (RFC 6749 §5.2),
	// or the endpoint answers 401 in every case.
	ErrUnauthorized = errors.New("unauthorized")
)

// Store finds clients.
type Store interface {
	// Client returns the client of the id, ignoring letter case, or
	// storage.ErrNotFound. The caller must not change the slices and pointers in it.
	Client(ctx context.Context, id string) (storage.Client, error)
}

// UsedIDs remembers which assertions were used.
type UsedIDs interface {
	// SpendID returns storage.ErrConflict if the id was spent before. The store
	// may forget the id after expiresAt.
	SpendID(ctx context.Context, id []byte, expiresAt time.Time) error
}

// Config configures an Authenticator. All fields are required but Address,
// SecretLimit, Charges, Limited and Logger.
type Config struct {
	Issuer        string // the server's identifier, one audience of assertions
	TokenEndpoint string // its URL, the other audience (RFC 7523 §3)
	Clients       Store
	UsedIDs       UsedIDs
	Peppers       grants.Digester

	// Address returns the address that sent a request. If it is nil or returns an
	// invalid address, guesses are not limited.
	Address     func(context.Context) netip.Addr
	SecretLimit limit.Limit          // of wrong credentials from one address for one client; zero: none
	Charges     limit.Store          // counts them for all servers; nil: no limit
	Limited     func(limiter string) // called when a guess was refused because of SecretLimit
	Recorder    storage.Recorder     // of the events that a limit was reached
	Now         func() time.Time
	Rand        io.Reader
	Logger      zerolog.Logger
}

// Authenticator authenticates clients.
type Authenticator struct {
	cfg    Config
	guard  *guessLimiter  // nil: none
	decoys map[string]any // public keys by algorithm, see newDecoys
}

// New returns an Authenticator, or an error if a field is missing or Rand fails.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Clients == nil || cfg.UsedIDs == nil || cfg.Peppers == nil || cfg.Recorder == nil || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("client: Clients, UsedIDs, Peppers, Recorder, Now and Rand are required")
	}
	decoys, err := newDecoys(cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Authenticator{cfg: cfg, guard: newGuessLimiter(&cfg), decoys: decoys}, nil
}
