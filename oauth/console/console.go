package console

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
)

// Paths of the console. The last two are below the first.
const (
	Path          = "/console"
	CallbackPath  = "/callback"
	SignedOutPath = "/signed-out"
)

// ErrSignedOut says that the access token of a request is not good, or not good any more.
var ErrSignedOut = errors.New("console: signed out")

// Sealer seals what the console gives to browsers; *keys.Sealer is one.
type Sealer interface {
	SealText(plain []byte, context string) (string, error)
	OpenText(text, context string) ([]byte, error)
}

// Caller is an administrator.
type Caller struct {
	Username            string
	BuyerID, SupplierID string // of a user of that company
	// Permits reports whether the caller may use the operation of /v1 with that ID.
	Permits func(operation string) bool
}

// Config configures the Console. All fields but Version are required.
type Config struct {
	surface.Runtime
	Issuer   string
	ClientID string // of the console at the authorization server
	Version  string // of the program
	// SessionIdle is how long a session lasts without use. It is also how old a sign-in at
	// another application may be to open the console.
	SessionIdle time.Duration
	Server      http.Handler // serves /v1 and the token endpoint
	// Operations are those of /v1.
	Operations []openapi.Operation
	// Caller returns who sends a request to /v1. The error is ErrSignedOut if its access
	// token is not good.
	Caller func(*http.Request) (Caller, error)
	Sealer Sealer
	Forms  *surface.BrowserForms
}

// Console serves the screens.
type Console struct {
	cfg      Config
	base     string // the path of the issuer, without a slash at its end
	files    *files
	screens  []screen
	methods  map[string]openapi.Operation // by ID
	document apiDocumentReader
	instance []byte // identifies this server among those of one database
}

// New returns the Console, or an error if a field is missing.
func New(cfg Config) (*Console, error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if cfg.Issuer == "" || cfg.ClientID == "" || cfg.SessionIdle <= 0 || cfg.Server == nil || cfg.Caller == nil || cfg.Sealer == nil || cfg.Forms == nil {
		return nil, errors.New("console: a collaborator is missing")
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("console: issuer: %w", err)
	}
	c := &Console{
		cfg: cfg, base: strings.TrimSuffix(issuer.Path, "/"), methods: map[string]openapi.Operation{}, instance: make([]byte, 8),
	}
	if _, err := io.ReadFull(cfg.Rand, c.instance); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, operation := range cfg.Operations {
		c.methods[operation.ID] = operation
	}
	c.screens = c.allScreens()
	for _, s := range c.screens {
		if _, known := c.methods[s.operation]; !known {
			return nil, fmt.Errorf("console: screen %s: there is no operation %q", s.path, s.operation)
		}
	}
	c.files, err = loadFiles()
	return c, err
}

// Mount registers the screens.
func (c *Console) Mount(mux *http.ServeMux) {
	for _, s := range c.screens {
		mux.HandleFunc("GET "+Path+s.path, c.serve(s))
		if s.posts {
			mux.HandleFunc("POST "+Path+s.path, c.serve(s))
		}
	}
	mux.HandleFunc("GET "+Path, c.serveStart)
	mux.HandleFunc("GET "+Path+"/{$}", c.serveStart)
	mux.HandleFunc("GET "+Path+"/", c.serveUnknown)
	mux.HandleFunc("GET "+Path+CallbackPath, c.serveCallback)
	mux.HandleFunc("POST "+Path+"/sign-out", c.serveSignOut)
	mux.HandleFunc("GET "+Path+SignedOutPath, c.serveSignedOut)
	mux.HandleFunc("GET "+Path+"/assets/{name}", c.serveAsset)
}

// url returns the path of a screen as browsers see it.
func (c *Console) url(path string) string { return c.base + Path + path }

// policy is the Content-Security-Policy of all pages.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'" +
	"; frame-ancestors 'none'; base-uri 'none'"

// setHeaders sets the headers of every page.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

// redirect sends the browser to a path or URL by GET.
func redirect(w http.ResponseWriter, target string) {
	setHeaders(w.Header())
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}
