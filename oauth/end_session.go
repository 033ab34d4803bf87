package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
)

// EndSessionPath is the path of the logout endpoint (OpenID Connect RP-Initiated Logout
// 1.0 §2).
const EndSessionPath = "/oauth/end_session"

// LogoutRequest is a request of the logout endpoint that has been checked.
type LogoutRequest struct {
	ClientID    string // empty: the request names none
	RedirectURI string // registered for the client; empty: the browser stays here
	State       string // for RedirectURI
	UILocales   string
	Hint        token.IDHint // from an ID token of this server; zero: there was none
}

// Matches reports whether the ID token in the request was issued in the session. Then its
// client need not ask the user.
func (q *LogoutRequest) Matches(x *storage.Session) bool {
	return q.Hint.SessionID != "" && q.Hint.SessionID == x.ID && q.Hint.Subject == x.UserUID
}

// URL returns where the browser goes after the logout; empty: it stays here.
func (q *LogoutRequest) URL() string {
	if q.RedirectURI == "" || q.State == "" {
		return q.RedirectURI
	}
	separator := "?"
	if strings.Contains(q.RedirectURI, "?") {
		separator = "&"
	}
	return q.RedirectURI + separator + url.Values{"state": {q.State}}.Encode()
}

// ReadLogout checks the parameters of a logout request. A redirect URI that is not
// registered is refused. One without a client is ignored: nothing says that it may be
// trusted. An ID token that is not from this server counts as none, and the redirect URI
// is ignored then (OpenID Connect RP-Initiated Logout 1.0 §2, §3). Errors are
// *AuthorizationError and those of the store.
func (e *Endpoints) ReadLogout(ctx context.Context, form url.Values) (*LogoutRequest, error) {
	q := &LogoutRequest{ClientID: form.Get("client_id"), UILocales: form.Get("ui_locales")}
	if len(q.UILocales) > maxParameter {
		return nil, pageError("invalid_request", "The parameter ui_locales is too long.")
	}
	if presented := form.Get("id_token_hint"); presented != "" {
		hint, ok := e.tokens.ReadIDHint(presented)
		switch {
		case !ok:
			return &LogoutRequest{UILocales: q.UILocales}, nil
		case q.ClientID != "" && q.ClientID != hint.ClientID:
			return nil, pageError("invalid_request", "The ID token was issued to another client.")
		}
		q.ClientID, q.Hint = hint.ClientID, hint
	}
	if q.ClientID == "" {
		return q, nil
	}
	return q, e.checkLogoutURI(ctx, q, form.Get("post_logout_redirect_uri"), form.Get("state"))
}

// checkLogoutURI puts the redirect URI of a logout into the request if its client has
// registered it.
func (e *Endpoints) checkLogoutURI(ctx context.Context, q *LogoutRequest, uri, state string) error {
	if !otp.IsName(q.ClientID) {
		return pageError("invalid_client", "The application is not known.")
	}
	c, err := e.cfg.Clients.Client(ctx, q.ClientID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !c.Active {
		return pageError("invalid_client", "The application is not known.")
	}
	if err != nil {
		return fmt.Errorf("read client: %w", err)
	}
	q.ClientID = c.ID
	if uri == "" {
		return nil
	}
	if !slices.Contains(c.PostLogoutRedirectURIs, uri) {
		return pageError("invalid_request", "The address after the logout is not registered for the application.")
	}
	if len(state) > maxParameter {
		return pageError("invalid_request", "The parameter state is too long.")
	}
	q.RedirectURI, q.State = uri, state
	return nil
}
