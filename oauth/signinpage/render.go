package signinpage

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"latchkey/grants"
	"latchkey/oauth"
	"latchkey/storage"
)

// setHeaders sets the headers of every answer of the pages.
func setHeaders(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

// policy returns the Content-Security-Policy of a page about the request. form-action also
// allows the redirect URI, because browsers apply it to the redirect after a post.
func (p *Pages) policy(q *oauth.AuthorizationRequest) string {
	target := ""
	if q != nil && q.RedirectURI != "" {
		if source := formTarget(q.RedirectURI); source != "" {
			target = " " + source
		}
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'" + target +
		"; frame-ancestors 'none'; base-uri 'none'"
}

// sourceHost matches a host, with or without a port, that a policy can name (Content
// Security Policy Level 3 §2.3.1). It has no brackets, so no IPv6 address matches.
var sourceHost = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]+)?$`)

// formTarget returns the origin of a redirect URI, or its scheme if a policy cannot name
// the origin.
func formTarget(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case (u.Scheme == "https" || u.Scheme == "http") && sourceHost.MatchString(u.Host):
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// show shows a step. It seals the visit into the form. userLocale is of the user who has
// signed in.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, shown page, userLocale string) error {
	v.Step, v.ShownAt = shown.Step, p.cfg.Now().UnixMicro()
	var err error
	if shown.State, err = p.seal(v); err != nil {
		return err
	}
	shown.Client, shown.Action = c.Name, p.base+formPath
	shown.HasPassword, shown.HasCode = c.Credentials.Password, c.Credentials.OTP
	shown.Locale = p.cfg.Templates.localeOf(r, v.Request, userLocale)
	p.write(w, r, http.StatusOK, p.policy(v.Request), shown)
	return nil
}

func (p *Pages) write(w http.ResponseWriter, r *http.Request, status int, policy string, shown page) {
	shown.Base = p.base + formPath
	body, err := p.cfg.Templates.fill(shown)
	if err != nil {
		p.cfg.Logger.Error().Ctx(r.Context()).Err(err).Msg("template of the sign-in page failed")
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	setHeaders(w.Header(), policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", shown.Locale)
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the browser has gone
}

// showError shows the error page. It repeats nothing of the request. The alert is for the
// user, the detail for those who operate the client; the detail may be empty.
func (p *Pages) showError(w http.ResponseWriter, r *http.Request, status int, alert, detail string) {
	p.write(w, r, status, p.policy(nil), page{
		Step: stepError, Locale: p.cfg.Templates.localeOf(r, nil, ""), Alert: alert, Detail: detail, RequestID: p.cfg.TraceID(r.Context()),
	})
}

func (p *Pages) showName(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, alert string) error {
	v.Name, v.Session, v.Account = "", "", ""
	return p.show(w, r, v, c, page{Step: stepName, Name: v.Request.LoginHint, Alert: alert}, "")
}

// showCode asks for the code. shown has an alert or a notice.
func (p *Pages) showCode(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, shown page) error {
	shown.Step, shown.Digits = stepCode, v.Digits
	if v.CodeUntil != 0 {
		shown.Seconds = seconds(time.UnixMicro(v.CodeUntil).Sub(p.cfg.Now()))
		shown.CodeEnded = shown.Seconds <= 0
	}
	return p.show(w, r, v, c, shown, "")
}

func (p *Pages) showPassword(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, alert string) error {
	return p.show(w, r, v, c, page{Step: stepPassword, Alert: alert}, "")
}

func (p *Pages) showResume(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, s *storage.SessionState) error {
	v.Session = s.Session.ID
	return p.show(w, r, v, c, page{Step: stepResume, User: s.Principal.Login.Username}, s.Principal.User.Locale)
}

func (p *Pages) showAccounts(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person, accounts []storage.Member) error {
	v.Session = who.Session.ID
	return p.show(w, r, v, c, page{Step: stepAccount, User: who.user.Login.Username, Accounts: accounts}, who.user.User.Locale)
}

// showConsent asks whether the client may have what the request asks for.
func (p *Pages) showConsent(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person) error {
	v.Session, v.Account = who.Session.ID, who.Account
	scopes := slices.DeleteFunc(slices.Clone(v.Request.Scope), func(s string) bool { return s == grants.ScopeOpenID })
	return p.show(w, r, v, c, page{Step: stepConsent, User: who.user.Login.Username, Scopes: scopes}, who.user.User.Locale)
}

// showFormPost lets the browser post the response to the client (OAuth 2.0 Form Post
// Response Mode). Without JavaScript the user presses the button.
func (p *Pages) showFormPost(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	p.write(w, r, http.StatusOK, p.policy(response.Request), page{
		Step: stepRespond, Locale: p.cfg.Templates.localeOf(r, response.Request, ""),
		Action: response.Request.RedirectURI, Fields: response.Values,
	})
}

// serveAsset serves a file beside the pages. The policy keeps an SVG image from running
// scripts when a browser opens it directly.
func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	content, kind, ok := p.cfg.Templates.asset(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(content) // an error means that the browser has gone
}
