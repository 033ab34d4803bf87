package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxForm is the largest form that is read, in bytes: that of a resource with the largest
// xp, and encoded.
const maxForm = 1 << 20

// call is one request for a screen.
type call struct {
	*http.Request
	w       http.ResponseWriter
	console *Console
	session session
	caller  Caller
	locale  string
	zone    *time.Location
	browser string // digest of the browser that forms are bound to
	notice  notice // of the page before, to be shown once
	under   string // path of the screen of the navigation that the page belongs to
	keeper  string // who may post the form of the page, if that is not the caller
}

var (
	// errForm says that a form was not shown to this browser, or was posted by another site.
	errForm = errors.New("console: the form is not accepted")
	// errFormTooLarge says that a form has more than maxForm bytes.
	errFormTooLarge = errors.New("console: the form is too large")
)

// errForbidden says that the caller may not use the operation of a screen.
var errForbidden = errors.New("console: not permitted")

// serve returns the handler of a screen. Only callers who may use the operation of the
// screen get to it.
func (c *Console) serve(s screen) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.answer(w, r, func(x *call) error {
			if x.under = s.under; !x.caller.Permits(s.operation) {
				return errForbidden
			}
			if r.Method == http.MethodPost {
				if again, err := x.checkForm(); again || err != nil {
					return err
				}
			}
			return s.serve(x)
		})
	}
}

// newCall returns a call of somebody who has not signed in.
func (c *Console) newCall(w http.ResponseWriter, r *http.Request) *call {
	x := &call{Request: r, w: w, console: c, caller: Caller{Permits: func(string) bool { return false }}}
	x.locale, x.zone = x.chosenLocale(), x.chosenZone()
	return x
}

// answer finds out who sends the request, and lets serve answer it. Without a session, a
// GET signs in, and a POST gets a page that keeps what was typed.
func (c *Console) answer(w http.ResponseWriter, r *http.Request, serve func(*call) error) {
	x := c.newCall(w, r)
	err := x.readForm()
	if err == nil {
		x.browser = c.cfg.Forms.Browser(w, r)
		err = x.openSession()
	}
	if err == nil {
		x.takeNotice()
		err = serve(x)
	}
	if errors.Is(err, ErrSignedOut) {
		err = x.signInAgain()
	}
	if err != nil {
		x.fail(err)
	}
}

// readForm reads the form of a POST.
func (x *call) readForm() error {
	if x.Method != http.MethodPost {
		return nil
	}
	x.Body = http.MaxBytesReader(x.w, x.Body, maxForm)
	err := x.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return errFormTooLarge
	}
	if err != nil {
		return errForm
	}
	return nil
}

// formContext is the additional data that tokens of forms are sealed with.
const formContext = "console form"

// formToken is the field of a form that shows who may post it.
type formToken struct {
	Browser  string `json:"b"`
	Username string `json:"u"` // who was signed in when the form was shown
}

// token returns the value of the field "token" of a form.
func (x *call) token() (string, error) {
	plain, err := json.Marshal(formToken{x.browser, cmp.Or(x.keeper, x.caller.Username)})
	if err != nil {
		return "", err
	}
	return x.console.cfg.Sealer.SealText(plain, formContext)
}

// openToken returns the token of the posted form, or errForm if this browser may not post
// it.
func (x *call) openToken() (formToken, error) {
	var t formToken
	plain, err := x.console.cfg.Sealer.OpenText(x.PostForm.Get("token"), formContext)
	if err == nil {
		err = json.Unmarshal(plain, &t)
	}
	if err != nil || !x.console.cfg.Forms.MayPost(x.Request, t.Browser) {
		return t, errForm
	}
	return t, nil
}

// checkForm reports whether the form was answered already, because it was shown to another
// user, who has signed out meanwhile.
func (x *call) checkForm() (answered bool, err error) {
	t, err := x.openToken()
	if err != nil {
		return false, err
	}
	if t.Username != x.caller.Username {
		return true, x.showKept("frame.otherUser")
	}
	return false, nil
}

// signInAgain answers a request without a session.
func (x *call) signInAgain() error {
	if x.Method != http.MethodPost {
		return x.beginSignIn(x.RequestURI(), "")
	}
	t, err := x.openToken()
	if err != nil {
		return err
	}
	x.keeper = t.Username
	return x.showKept("frame.sessionEnded")
}

// RequestURI returns path and query of the request as the browser sees them.
func (x *call) RequestURI() string {
	u := url.URL{Path: x.console.base + x.URL.Path, RawQuery: x.URL.RawQuery}
	return u.RequestURI()
}

// keptField is a field of a form that is shown again.
type keptField struct {
	Name, Label, Value string
	Shown              bool // to the user; the form has the others as hidden fields
	Secret             bool
}

// showKept shows what was typed into the posted form. The user signs in at another tab and
// sends it again.
func (x *call) showKept(text string) error {
	var fields []keptField
	names := make([]string, 0, len(x.PostForm))
	for name := range x.PostForm {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range x.PostForm[name] {
			if name == "token" {
				continue
			}
			member := strings.TrimPrefix(name, "f.")
			fields = append(fields, keptField{
				Name: name, Label: x.t(x.PostForm.Get("form") + "." + member), Value: value, Shown: member != name && value != "", Secret: strings.Contains(strings.ToLower(member), "password"),
			})
		}
	}
	return x.showStatus(http.StatusUnauthorized, "kept", "frame.keptTitle", map[string]any{"Why": text, "Fields": fields, "Action": x.RequestURI()})
}

// message is the data of the page "error".
type message struct {
	Text   string // name of a text
	Detail string // in English
	ID     string // of the request
}

// fail answers a request that failed.
func (x *call) fail(err error) {
	status, title, shown := http.StatusInternalServerError, "frame.failedTitle", message{Text: "frame.failed", ID: x.console.cfg.TraceID(x.Context())}
	var refused *refusal
	switch {
	case errors.Is(err, errForm):
		status, title, shown = http.StatusForbidden, "frame.formTitle", message{Text: "frame.form"}
	case errors.Is(err, errFormTooLarge):
		status, title, shown = http.StatusRequestEntityTooLarge, "frame.tooLargeTitle", message{Text: "frame.tooLarge"}
	case errors.Is(err, errForbidden):
		status, title, shown = http.StatusForbidden, "frame.forbiddenTitle", message{Text: "frame.forbidden"}
	case errors.Is(err, errNotFound):
		status, title, shown = http.StatusNotFound, "frame.notFoundTitle", message{Text: "frame.notFound"}
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		status, title, shown = http.StatusForbidden, "frame.forbiddenTitle", message{Text: "frame.forbidden", Detail: refused.Error()}
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		status, title, shown = http.StatusNotFound, "frame.notFoundTitle", message{Text: "frame.notFound"}
	case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError:
		status, title, shown = refused.Status, "frame.refusedTitle", message{Text: "frame.refused", Detail: refused.Error()}
	case errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status, title, shown.Text = http.StatusServiceUnavailable, "frame.busyTitle", "frame.busy"
		x.w.Header().Set("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError {
		x.console.cfg.Logger.Error().Ctx(x.Context()).Err(err).Str("path", x.Pattern).Str("request_id", shown.ID).Msg("console failed")
	}
	if err := x.showStatus(status, "error", title, shown); err != nil {
		x.console.cfg.Logger.Error().Ctx(x.Context()).Err(err).Msg("template of the console failed")
		http.Error(x.w, "Something went wrong here.", http.StatusInternalServerError)
	}
}
