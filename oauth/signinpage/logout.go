package signinpage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"latchkey/oauth"
	"latchkey/storage"
)

const (
	// logoutPath is where the form of the logout page is posted.
	logoutPath    = formPath + "/logout"
	logoutContext = "logout page"
	doStay        = "stay" // do not sign out
)

// logoutForm is the state of the form that asks whether to sign out. It travels sealed.
type logoutForm struct {
	Session  string `json:"s"` // ID of the session that the question is about
	Browser  string `json:"b"` // digest of the cookie of the browser that may post it
	ShownAt  int64  `json:"x"` // Unix microseconds
	ClientID string `json:"c,omitzero"`
	URI      string `json:"u,omitzero"` // where the browser goes then
	State    string `json:"t,omitzero"`
	Locales  string `json:"l,omitzero"`
}

// serveEndSession is the logout endpoint (OpenID Connect RP-Initiated Logout 1.0 §2). The
// cookie decides whose session ends, so a client can end only that of the browser that it
// sends here. If the request has an ID token of that
// session, the user is not asked.
func (p *Pages) serveEndSession(w http.ResponseWriter, r *http.Request) {
	form, err := oauth.ReadPageForm(w, r)
	if err != nil {
		p.refuseLogout(w, r, err)
		return
	}
	// A browser sends the cookie with a post from this site only, but with every GET that
	// the user follows.
	if _, err := r.Cookie(p.sessions.CookieName()); err != nil && r.Method == http.MethodPost {
		p.redirect(w, p.base+oauth.EndSessionPath+"?"+form.Encode())
		return
	}
	q, err := p.cfg.Endpoints.ReadLogout(r.Context(), form)
	if err == nil {
		err = p.logOut(w, r, q)
	}
	if err != nil {
		p.refuseLogout(w, r, err)
	}
}

// logOut ends the session of the browser, or asks whether to.
func (p *Pages) logOut(w http.ResponseWriter, r *http.Request, q *oauth.LogoutRequest) error {
	session, err := p.sessions.Read(r)
	switch {
	case err != nil:
		return err
	case session == nil:
		return p.showLoggedOut(w, r, q)
	case q.Matches(&session.Session):
		return p.endSession(w, r, q, session)
	}
	return p.askLogout(w, r, q, session)
}

// askLogout shows the question. The session goes on until the button is pressed.
func (p *Pages) askLogout(w http.ResponseWriter, r *http.Request, q *oauth.LogoutRequest, session *storage.SessionState) error {
	plain, err := json.Marshal(logoutForm{
		Session: session.Session.ID, Browser: p.forms.Browser(w, r), ShownAt: p.cfg.Now().UnixMicro(),
		ClientID: q.ClientID, URI: q.RedirectURI, State: q.State, Locales: q.UILocales,
	})
	if err != nil {
		return fmt.Errorf("seal form: %w", err)
	}
	sealed, err := p.cfg.Sealer.SealText(plain, logoutContext)
	if err != nil {
		return err
	}
	p.writeLogout(w, r, http.StatusOK, q, page{
		Step: stepLogout, State: sealed, Action: p.base + logoutPath, User: session.Principal.Login.Username,
	}, session.Principal.User.Locale)
	return nil
}

// serveLogoutForm takes the answer to the question. A form that is not accepted, because
// it is too old, was shown to another browser or about another session, or came from
// another site, gets the question again.
func (p *Pages) serveLogoutForm(w http.ResponseWriter, r *http.Request) {
	f := new(logoutForm)
	form, err := oauth.ReadPageForm(w, r)
	if err == nil {
		var plain []byte
		if plain, err = p.cfg.Sealer.OpenText(form.Get("state"), logoutContext); err == nil {
			err = json.Unmarshal(plain, f)
		}
	}
	if err != nil {
		p.refuseLogout(w, r, &oauth.AuthorizationError{Code: "invalid_request", Description: "Start the sign-out at your application."})
		return
	}
	if err := p.takeLogout(w, r, f); err != nil {
		p.refuseLogout(w, r, err)
	}
}

func (p *Pages) takeLogout(w http.ResponseWriter, r *http.Request, f *logoutForm) error {
	again := url.Values{}
	for name, value := range map[string]string{"client_id": f.ClientID, "post_logout_redirect_uri": f.URI, "state": f.State, "ui_locales": f.Locales} {
		if value != "" {
			again.Set(name, value)
		}
	}
	q, err := p.cfg.Endpoints.ReadLogout(r.Context(), again)
	if err != nil {
		return err
	}
	session, err := p.sessions.Read(r)
	if err != nil {
		return err
	}
	old := p.cfg.Now().Sub(time.UnixMicro(f.ShownAt)) > visitLife
	switch {
	case session == nil:
		return p.showLoggedOut(w, r, q)
	case old, session.Session.ID != f.Session, !p.forms.MayPost(r, f.Browser):
		return p.askLogout(w, r, q, session)
	case r.PostForm.Get("do") == doStay:
		p.writeLogout(w, r, http.StatusOK, q, page{Step: stepStays}, session.Principal.User.Locale)
		return nil
	}
	return p.endSession(w, r, q, session)
}

// endSession ends the session and its refresh tokens, and notifies its clients.
func (p *Pages) endSession(w http.ResponseWriter, r *http.Request, q *oauth.LogoutRequest, session *storage.SessionState) error {
	x, ctx := &session.Session, r.Context()
	ended, err := p.cfg.Sessions.End(ctx, x, p.cfg.TraceID(ctx))
	if err != nil {
		return err
	}
	if ended {
		p.cfg.Recorder.Record(ctx, storage.AuditEvent{
			Time: p.cfg.Now().UTC(), Action: "session.ended", Outcome: "success", ClientID: q.ClientID,
			UserUID: x.UserUID, Username: session.Principal.Login.Username,
		})
	}
	http.SetCookie(w, p.sessions.Cookie(""))
	return p.showLoggedOut(w, r, q)
}

// showLoggedOut sends the browser where the request says, or shows that it is signed out.
func (p *Pages) showLoggedOut(w http.ResponseWriter, r *http.Request, q *oauth.LogoutRequest) error {
	if target := q.URL(); target != "" {
		p.redirect(w, target)
		return nil
	}
	p.writeLogout(w, r, http.StatusOK, q, page{Step: stepLoggedOut}, "")
	return nil
}

// refuseLogout shows why a logout is not possible. It repeats nothing of the request.
func (p *Pages) refuseLogout(w http.ResponseWriter, r *http.Request, err error) {
	var refused *oauth.AuthorizationError
	if !errors.As(err, &refused) {
		p.refuse(w, r, err)
		return
	}
	p.writeLogout(w, r, http.StatusBadRequest, &oauth.LogoutRequest{}, page{
		Step: stepLogoutError, Alert: alertRequest, Detail: refused.Description, RequestID: p.cfg.TraceID(r.Context()),
	}, "")
}

// writeLogout writes a page of the logout. userLocale is of the user who is signed in.
func (p *Pages) writeLogout(w http.ResponseWriter, r *http.Request, status int, q *oauth.LogoutRequest, shown page, userLocale string) {
	about := &oauth.AuthorizationRequest{RedirectURI: q.RedirectURI, UILocales: q.UILocales}
	shown.Locale = p.cfg.Templates.localeOf(r, about, userLocale)
	p.write(w, r, status, p.policy(about), shown)
}

// redirect sends the browser to the URL.
func (p *Pages) redirect(w http.ResponseWriter, target string) {
	setHeaders(w.Header(), p.policy(nil))
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}
