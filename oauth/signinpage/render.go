package signinpage

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/grants"
	"latchkey/oauth"
	"latchkey/storage"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// page is what the templates show.
type page struct {
	Base        string // before the paths of forms and assets
	Action      string // where the form is posted
	Step        string // empty: there is no form
	State       string // sealed
	Client      string // name of the client
	Name        string // prefilled
	Alert       string
	Notice      string
	User        string // who is signed in
	HasPassword bool
	HasCode     bool
	Accounts    []storage.Member
	Scopes      []string
	Fields      url.Values // of a response by form_post
	RequestID   string
	AutoSubmit  bool
}

// setHeaders sets the headers of every answer of the pages.
func setHeaders(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

// policy returns the Content-Security-Policy of a page about the request. form-action
// names the origin of the redirect URI, because browsers apply it to the redirect that
// follows a post.
func (p *Pages) policy(q *oauth.AuthorizationRequest) string {
	target := ""
	if q != nil {
		if u, err := url.Parse(q.RedirectURI); err == nil && u.Host != "" && strings.HasPrefix(u.Scheme, "http") {
			target = " " + u.Scheme + "://" + u.Host
		} else if err == nil {
			target = " " + u.Scheme + ":"
		}
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'" + target +
		"; frame-ancestors 'none'; base-uri 'none'"
}

// show shows a step. It seals the visit into the form.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, shown page) error {
	v.Step, v.ShownAt = shown.Step, p.cfg.Now().UnixMicro()
	var err error
	if shown.State, err = p.seal(v); err != nil {
		return err
	}
	shown.Client, shown.Action = c.Name, p.base+formPath
	shown.HasPassword, shown.HasCode = c.Credentials.Password, c.Credentials.OTP
	p.write(w, r, http.StatusOK, p.policy(v.Request), shown)
	return nil
}

func (p *Pages) write(w http.ResponseWriter, r *http.Request, status int, policy string, shown page) {
	shown.Base = p.base + formPath
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, "page.html", shown); err != nil {
		p.cfg.Logger.Error().Ctx(r.Context()).Err(err).Msg("template of the sign-in page failed")
		http.Error(w, "Something went wrong here.", http.StatusInternalServerError)
		return
	}
	setHeaders(w.Header(), policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // an error means that the browser has gone
}

// showError shows the error page. It repeats nothing of the request.
func (p *Pages) showError(w http.ResponseWriter, r *http.Request, status int, description string) {
	p.write(w, r, status, p.policy(nil), page{Alert: description, RequestID: p.cfg.TraceID(r.Context())})
}

func (p *Pages) showName(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, alert string) error {
	v.Name, v.Session, v.Account = "", "", ""
	return p.show(w, r, v, c, page{Step: stepName, Name: v.Request.LoginHint, Alert: alert})
}

func (p *Pages) showCode(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, alert, notice string) error {
	return p.show(w, r, v, c, page{Step: stepCode, Alert: alert, Notice: notice})
}

func (p *Pages) showPassword(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, alert string) error {
	return p.show(w, r, v, c, page{Step: stepPassword, Alert: alert})
}

func (p *Pages) showResume(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, s *storage.SessionState) error {
	v.Session = s.Session.ID
	return p.show(w, r, v, c, page{Step: stepResume, User: s.Principal.Login.Username})
}

func (p *Pages) showAccounts(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person, accounts []storage.Member) error {
	v.Session = who.Session.ID
	return p.show(w, r, v, c, page{Step: stepAccount, User: who.user.Login.Username, Accounts: accounts})
}

// showConsent asks whether the client may have what the request asks for.
func (p *Pages) showConsent(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person) error {
	v.Session, v.Account = who.Session.ID, who.Account
	scopes := slices.DeleteFunc(slices.Clone(v.Request.Scope), func(s string) bool { return s == grants.ScopeOpenID })
	return p.show(w, r, v, c, page{Step: stepConsent, User: who.user.Login.Username, Scopes: scopes})
}

// showFormPost lets the browser post the response to the client (OAuth 2.0 Form Post
// Response Mode). Without JavaScript the user presses the button.
func (p *Pages) showFormPost(w http.ResponseWriter, r *http.Request, response oauth.AuthorizationResponse) {
	p.write(w, r, http.StatusOK, p.policy(response.Request), page{
		Action: response.Request.RedirectURI, Fields: response.Values, AutoSubmit: true,
	})
}

// assetTypes are the files beside the pages.
var assetTypes = map[string]string{"style.css": "text/css; charset=utf-8", "submit.js": "text/javascript; charset=utf-8"}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	kind, ok := assetTypes[r.PathValue("name")]
	content, err := assetFiles.ReadFile("assets/" + r.PathValue("name"))
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(content) // an error means that the browser has gone
}
