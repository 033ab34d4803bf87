package register

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"latchkey/keys"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// Role is the role that lets its holder register clients: an access token with it
// is an initial access token (RFC 7591 §1.2).
const Role = "ClientRegistration"

// Path is the path of the client registration endpoint. The client configuration
// endpoints are below it (RFC 7592 §2).
const Path = "/oauth/register"

// Registry stores the clients that register themselves.
type Registry interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	AddClientSecret(ctx context.Context, clientID string, s storage.ClientSecret, limit int) error
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
	DeleteClient(ctx context.Context, id string, version int64) error
	// InTx runs fn in one transaction. Reads in fn see what is stored, not a cache.
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Config configures an Endpoint. All fields are required.
type Config struct {
	Issuer      string // the server's identifier
	Registry    Registry
	Callers     surface.Bearer        // verifies initial access tokens
	Clients     *client.Authenticator // verifies the secret in a replacement
	ServesGrant func(grantType string) bool
	Peppers     *keys.Peppers // of registration access tokens and client secrets
	Recorder    storage.Recorder
	Now         func() time.Time
	Rand        io.Reader
	// WriteError answers the errors that every OAuth endpoint can have, such as
	// those of the store.
	WriteError func(http.ResponseWriter, *http.Request, error)
}

// Endpoint serves the registration endpoints.
type Endpoint struct{ cfg Config }

// New returns an Endpoint, or an error if a field is missing.
func New(cfg Config) (*Endpoint, error) {
	if cfg.Registry == nil || cfg.Callers == nil || cfg.Clients == nil || cfg.ServesGrant == nil || cfg.Peppers == nil ||
		cfg.Recorder == nil || cfg.Now == nil || cfg.Rand == nil || cfg.WriteError == nil {
		return nil, errors.New("register: a field of the configuration is missing")
	}
	return &Endpoint{cfg}, nil
}

// Mount registers the routes.
func (e *Endpoint) Mount(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Path, e.endpoint(e.serveRegister))
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		mux.HandleFunc(method+" "+Path+"/{client_id}", e.endpoint(e.serveRegistration))
	}
}

// registrationError is the body of a refusal (RFC 7591 §3.2.2, RFC 6750 §3.1).
type registrationError struct {
	Error            string `json:"error"`
	ErrorDescription string `json:"error_description"`
}

var errNotJSON = errors.New("content type is not JSON")

// endpoint adapts a handler that returns its failure to one that answers it.
func (e *Endpoint) endpoint(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := surface.ReadQuery(r, nil)
		if err == nil {
			err = serve(w, r)
		}
		if err != nil {
			e.writeError(w, r, err)
		}
	}
}

// writeError answers a refusal: that of a resource that demands a token (RFC 6750
// §3), one of the metadata, or one that every OAuth endpoint can have.
func (e *Endpoint) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var refused *metadataError
	code, description := token.ChallengeError(err)
	switch {
	case code != "" || errors.Is(err, token.ErrNoToken):
		status := http.StatusUnauthorized
		if errors.Is(err, token.ErrInsufficientRoles) {
			status = http.StatusForbidden
		}
		if code == "" { // the challenge has no error code (RFC 6750 §3.1), the body has one
			code, description = "invalid_token", "An access token is required."
		}
		token.SetChallenge(w.Header(), err)
		surface.WriteOAuthJSON(w, status, registrationError{code, description})
	case errors.As(err, &refused):
		surface.WriteOAuthJSON(w, http.StatusBadRequest, registrationError{refused.code, surface.DescriptionText(refused.description)})
	case errors.Is(err, errNotJSON):
		surface.WriteOAuthJSON(w, http.StatusUnsupportedMediaType, registrationError{"invalid_request", "The content type must be application/json."})
	default:
		e.cfg.WriteError(w, r, err)
	}
}

// url returns the client configuration endpoint of a client (RFC 7592 §3).
func (e *Endpoint) url(clientID string) string {
	return strings.TrimSuffix(e.cfg.Issuer, "/") + Path + "/" + clientID
}
