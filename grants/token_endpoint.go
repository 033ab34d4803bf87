package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
)

// ClientStore reads the policies of clients; *gormstore.Store implements it.
type ClientStore interface {
	// Client returns the client with that id, or storage.ErrNotFound.
	Client(ctx context.Context, id string) (storage.Client, error)
}

// TokenEndpoint is a token endpoint (RFC 6749 §3.2) over a fosite server. It does what
// fosite v0.49.0 leaves to the server:
//
//   - It reads the form with ReadTokenForm, so it refuses repeated parameters.
//   - It answers an unknown grant_type with unsupported_grant_type.
//   - It gives each handler a session of the type that the handler expects.
//   - It answers 503 with Retry-After if nothing was decided, 401 with WWW-Authenticate,
//     and never the text of an unknown error. See RefusalOf.
//   - It grants the scopes of fosite's own client credentials.
//
// Client and WriteError serve further endpoints by the same rules.
//
// Set the fields before the first request. A server that needs another order of steps
// uses ReadTokenForm and RefusalOf in a handler of its own.
type TokenEndpoint struct {
	// NewSession returns the session for a grant that is not of this package. nil: a
	// fosite.DefaultSession.
	NewSession func(*http.Request) fosite.Session
	// Address returns the address of the user that sent a request, for the lockout of
	// sources. nil: no address is known, and then ten guesses by anybody lock the user out.
	// Behind a proxy the address of the connection is that of the proxy. There, read the
	// header that the proxy sets, and only if the connection comes from the proxy.
	Address func(*http.Request) netip.Addr
	// Failed is called with each error that is not the fault of the request: the answer is
	// 500 or 503, the client can never get a code, or the user's password hash is in a
	// format that is not supported (signin.ErrHashRefused). nil: it is lost.
	Failed func(*http.Request, error)

	provider fosite.OAuth2Provider
	clients  ClientStore
	handlers fosite.TokenEndpointHandlers // nil: not known
}

// NewTokenEndpoint returns the token endpoint of a provider. clients has the policies of
// its clients; nil: each fosite.Client of the provider is a Client, or embeds one.
//
// It returns an error for a handler of this package with a missing field, and for two
// handlers of one grant, because fosite would run both.
func NewTokenEndpoint(provider fosite.OAuth2Provider, clients ClientStore) (*TokenEndpoint, error) {
	if provider == nil {
		return nil, errors.New("grants: NewTokenEndpoint needs a provider")
	}
	e := &TokenEndpoint{provider: provider, clients: clients}
	if f, ok := provider.(*fosite.Fosite); ok {
		e.handlers = f.Config.GetTokenEndpointHandlers(context.Background())
		if err := checkHandlers(e.handlers); err != nil {
			return nil, fmt.Errorf("grants: %w", err)
		}
	}
	return e, nil
}

var _ http.Handler = (*TokenEndpoint)(nil)

// ServeHTTP implements http.Handler.
func (e *TokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, response, err := e.grant(w, r)
	if err != nil {
		e.WriteError(w, r, err)
		return
	}
	e.provider.WriteAccessResponse(r.Context(), w, request, response)
}

// grant runs the grant of a request.
func (e *TokenEndpoint) grant(w http.ResponseWriter, r *http.Request) (fosite.AccessRequester, fosite.AccessResponder, error) {
	form, err := ReadTokenForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	session, err := e.session(r, form)
	if err != nil {
		return nil, nil, err
	}
	request, err := e.provider.NewAccessRequest(r.Context(), r, session)
	if err != nil {
		return nil, nil, err
	}
	if _, ours := session.(*Session); !ours && request.GetGrantTypes().ExactOne(GrantClientCredentials) {
		for _, scope := range request.GetRequestedScopes() { // the handler has checked that the client may have them
			request.GrantScope(scope)
		}
	}
	response, err := e.provider.NewAccessResponse(r.Context(), request)
	return request, response, err
}

// session returns the session for the handler of the grant.
func (e *TokenEndpoint) session(r *http.Request, form url.Values) (fosite.Session, error) {
	grantType := form.Get("grant_type")
	if grantType == "" {
		return nil, ErrGrantTypeMissing
	}
	ours, foreign := e.serves(r.Context(), form, true), e.serves(r.Context(), form, false)
	switch {
	case e.handlers == nil: // not known, so go by the name
		foreign = !slices.Contains(GrantTypes(), grantType)
	case !ours && !foreign:
		return nil, ErrUnsupportedGrantType
	}
	if foreign {
		if e.NewSession == nil {
			return new(fosite.DefaultSession), nil
		}
		return e.NewSession(r), nil
	}
	return e.ownSession(r), nil
}

// ownSession returns a session for a handler of this package.
func (e *TokenEndpoint) ownSession(r *http.Request) *Session {
	s := &Session{}
	if e.Address != nil {
		s.Source = e.Address(r)
	}
	if e.clients != nil {
		s.policyOf = func(id string) (storage.Client, error) { return e.clients.Client(r.Context(), id) }
	}
	return s
}

// serves reports whether a handler of this package, or another one, serves the request.
func (e *TokenEndpoint) serves(ctx context.Context, form url.Values, ours bool) bool {
	probe := fosite.NewAccessRequest(fosite.Session(new(fosite.DefaultSession)))
	if ours {
		probe = fosite.NewAccessRequest(&Session{})
	}
	probe.Form, probe.GrantTypes = form, fosite.Arguments{form.Get("grant_type")}
	return slices.ContainsFunc(e.handlers, func(h fosite.TokenEndpointHandler) bool {
		_, own := h.(ownHandler)
		return own == ours && h.CanHandleTokenEndpointRequest(ctx, probe)
	})
}

// Client reads the form of a request to another endpoint of the server, and authenticates
// the client as the token endpoint does. It returns the policy of the client. Use it for
// requests for codes and for revocation: fosite itself authenticates clients only in
// NewAccessRequest. WriteError answers its errors.
func (e *TokenEndpoint) Client(w http.ResponseWriter, r *http.Request) (storage.Client, url.Values, error) {
	form, err := ReadTokenForm(w, r)
	if err != nil {
		return storage.Client{}, nil, err
	}
	authenticator, ok := e.provider.(interface {
		AuthenticateClient(context.Context, *http.Request, url.Values) (fosite.Client, error)
	})
	if !ok {
		return storage.Client{}, nil, fmt.Errorf("grants: provider of type %T authenticates no clients", e.provider)
	}
	client, err := authenticator.AuthenticateClient(r.Context(), r, form)
	if err != nil {
		return storage.Client{}, nil, err
	}
	policy, err := clientOf(&fosite.Request{Client: client}, e.ownSession(r))
	if err != nil {
		return storage.Client{}, nil, err
	}
	return *policy, form, nil
}

// WriteError answers a request that failed; see RefusalOf.
func (e *TokenEndpoint) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	answer, known := RefusalOf(err)
	ownFault := !known || answer.Status >= http.StatusInternalServerError || errors.Is(err, otp.ErrClientWithoutCodes) || errors.Is(err, signin.ErrHashRefused)
	if e.Failed != nil && ownFault {
		e.Failed(r, withCause(err))
	}
	body := map[string]any{"error": answer.Code, "error_description": answer.Description}
	if choice, ok := errors.AsType[*SelectionRequired](err); ok {
		choice.addTo(body)
	}
	h := w.Header()
	switch answer.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="token"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "60")
		if limit, ok := errors.AsType[*storage.LimitError](err); ok {
			h.Set("Retry-After", strconv.Itoa(max(1, int(time.Until(limit.Until).Seconds()))))
		}
	}
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(answer.Status)
	_ = json.NewEncoder(w).Encode(body)
}

// withCause adds its cause to the text of an error of fosite, which has only the code. The
// result is for the log.
func withCause(err error) error {
	if e, ok := errors.AsType[*fosite.RFC6749Error](err); ok && e.Unwrap() != nil {
		return fmt.Errorf("%w: %w", err, e.Unwrap())
	}
	return err
}

// addTo adds the accounts that the user can choose to an error response.
func (e *SelectionRequired) addTo(body map[string]any) {
	type account struct {
		ID    string   `json:"account_id"`
		Name  string   `json:"account_name"`
		Roles []string `json:"account_roles"`
	}
	accounts := make([]account, len(e.Accounts))
	for i, m := range e.Accounts {
		accounts[i] = account{m.Account.ID, m.Account.Name, append([]string{}, m.Membership.Roles...)}
	}
	body["accounts"], body["accounts_total"] = accounts, e.Total
	if e.Token != "" {
		body["selection_token"], body["expires_in"] = e.Token, int64(e.ExpiresIn.Seconds())
	}
}
