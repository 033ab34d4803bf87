package signinpage

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"latchkey/oauth"
	"latchkey/storage"
)

// reload shows the page of a form again. A browser asks for it after "reload" and
// "back", because it cannot show the answer to a post twice. It sends no code, verifies
// nothing and gives no consent.
func (p *Pages) reload(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := p.clientOf(r, v)
	if err != nil {
		return err
	}
	step := v.Step
	v.Step = stepName // what the form would have done has not happened
	if v.Browser == "" || p.forms.Presented(r) != v.Browser || p.isOld(v) {
		v.Browser, v.Name, v.Started = p.forms.Browser(w, r), "", p.cfg.Now().UnixMicro()
		return p.startAgain(w, r, v, &c)
	}
	session, err := p.sessions.Read(r)
	if err != nil {
		return err
	}
	if session == nil {
		switch step {
		case stepCode:
			return p.showCode(w, r, v, &c, page{})
		case stepPassword:
			return p.showPassword(w, r, v, &c, "")
		}
	}
	return p.startAgain(w, r, v, &c)
}

// isOld reports whether the form was shown so long ago that it is not accepted.
func (p *Pages) isOld(v *visit) bool {
	return p.cfg.Now().Sub(time.UnixMicro(v.ShownAt)) > visitLife
}

// clientOf returns the client that the form is for, unless it may not use the redirect URI
// any more.
func (p *Pages) clientOf(r *http.Request, v *visit) (storage.Client, error) {
	c, err := p.cfg.Clients.Client(r.Context(), v.Request.ClientID)
	gone := errors.Is(err, storage.ErrNotFound) || err == nil && (!c.Active || !c.HasRedirectURI(v.Request.RedirectURI))
	if gone {
		return c, &oauth.AuthorizationError{Code: "invalid_client", Description: "The application is not known any more."}
	}
	if err != nil {
		return c, fmt.Errorf("read client: %w", err)
	}
	return c, nil
}
