package signinpage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// formPath is where the forms of the pages are posted.
const formPath = "/oauth/signin"

// Codes sends one-time passwords; *otp.Service is one.
type Codes interface {
	Request(ctx context.Context, client storage.Client, r otp.Request) error
}

// Clients reads clients, from memory where possible.
type Clients interface {
	Client(ctx context.Context, id string) (storage.Client, error)
}

// Config configures the Pages. All fields are required.
type Config struct {
	surface.Runtime
	Issuer    string
	Endpoints *oauth.Endpoints
	Clients   Clients
	Members   grants.MemberStore
	Codes     Codes
	Sessions  *admin.Sessions
	Profiles  grants.ProfileStore
	Templates *Templates
	Sealer    *keys.Sealer
	Peppers   *keys.Peppers
}

// Pages serves the hosted sign-in.
type Pages struct {
	cfg      Config
	sessions *oauth.BrowserSessions
	forms    *surface.BrowserForms
	base     string // the path of the issuer, without a slash at its end
}

// New returns the Pages, or an error if a field is missing.
func New(cfg Config) (*Pages, error) {
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("signinpage: %w", err)
	}
	if cfg.Endpoints == nil || cfg.Clients == nil || cfg.Members == nil || cfg.Codes == nil || cfg.Sessions == nil || cfg.Profiles == nil || cfg.Templates == nil || cfg.Sealer == nil || cfg.Peppers == nil {
		return nil, errors.New("signinpage: a collaborator is missing")
	}
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("signinpage: issuer: %w", err)
	}
	return &Pages{
		cfg: cfg, sessions: cfg.Endpoints.Sessions(), forms: cfg.Endpoints.BrowserForms(), base: strings.TrimSuffix(u.Path, "/"),
	}, nil
}

// Mount registers the pages.
func (p *Pages) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET "+oauth.AuthorizePath, p.serveAuthorize)
	mux.HandleFunc("POST "+oauth.AuthorizePath, p.serveAuthorize)
	mux.HandleFunc("POST "+formPath, p.withVisit(p.takeForm))
	mux.HandleFunc("GET "+oauth.EndSessionPath, p.serveEndSession)
	mux.HandleFunc("POST "+oauth.EndSessionPath, p.serveEndSession)
	mux.HandleFunc("POST "+logoutPath, p.serveLogoutForm)
	mux.HandleFunc("GET "+formPath, p.withVisit(p.reload))
	mux.HandleFunc("GET "+formPath+"/assets/{name}", p.serveAsset)
}

// HTTPRules returns the rules for the pages.
func (p *Pages) HTTPRules() surface.HTTPRules {
	var rules surface.HTTPRules
	for _, prefix := range []string{formPath, oauth.AuthorizePath, oauth.EndSessionPath} {
		rules.Guessable = append(rules.Guessable, surface.GuessablePath{Prefix: prefix, Page: p.showTooMany})
	}
	return rules
}

// showTooMany answers an address that has failed too often. The header Retry-After is set.
func (p *Pages) showTooMany(w http.ResponseWriter, r *http.Request) {
	wait, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	p.write(w, r, http.StatusTooManyRequests, p.policy(nil), page{
		Step: stepTooMany, Locale: p.cfg.Templates.localeOf(r, nil, ""), Alert: alertTooMany, Wait: max(wait, 1), RequestID: p.cfg.TraceID(r.Context()),
	})
}

// serveAuthorize is the authorization endpoint.
func (p *Pages) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q, c, err := p.cfg.Endpoints.ReadAuthorization(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	v := &visit{Request: q, Started: p.cfg.Now().UnixMicro(), Browser: p.forms.Browser(w, r)}
	if err := p.proceed(w, r, v, c); err != nil {
		p.refuse(w, r, err)
	}
}

// refuse answers a request that failed: at the redirect URI if the error says so, and
// otherwise by a page that repeats nothing of the request.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *oauth.AuthorizationError
	switch {
	case errors.As(err, &refused) && refused.Request != nil:
		p.respond(w, r, p.cfg.Endpoints.RespondError(refused.Request, refused.Code, refused.Description))
	case errors.As(err, &refused):
		p.showError(w, r, http.StatusBadRequest, alertRequest, refused.Description)
	case errors.Is(err, signin.ErrBusy), errors.Is(err, storage.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		w.Header().Set("Retry-After", "1")
		p.cfg.Logger.Warn().Ctx(r.Context()).Err(err).Msg("sign-in page cannot be shown now")
		p.showError(w, r, http.StatusServiceUnavailable, alertBusy, "")
	default:
		status, description, known := oauth.Explain(err)
		if !known {
			p.cfg.Logger.Error().Ctx(r.Context()).Err(err).Msg("sign-in page failed")
			p.showError(w, r, status, alertInternal, "")
			return
		}
		p.showError(w, r, status, alertRequest, description)
	}
}

// respond sends the browser to the redirect URI with the response.
func (p *Pages) respond(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	if response.Request.ResponseMode == oauth.ModeFormPost {
		p.showFormPost(w, r, response)
		return
	}
	setHeaders(w.Header(), p.policy(response.Request))
	w.Header().Set("Location", response.URL())
	w.WriteHeader(http.StatusSeeOther)
}

// seconds returns a duration in whole seconds, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
