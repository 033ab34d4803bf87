package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no files of time zones

	"golang.org/x/text/language"

	"latchkey/oauth/ordercloud/wire"
)

// view is the argument of every template: the data of the page, and functions to call.
type view struct {
	*call
	Title string // name of a text
	Data  any
}

// With returns the view with other data, for a template that is a part.
func (v view) With(data any) view {
	v.Data = data
	return v
}

// T returns a text in the language of the page. pairs are names of placeholders and their
// values. If a name that ends in a value of /v1 does not exist, T returns the value. The
// error is nil.
func (v view) T(name string, pairs ...string) (string, error) { return v.t(name, pairs...), nil }

// HasText reports whether there is a text of that name.
func (v view) HasText(name string) bool {
	_, ok := v.console.files.texts[v.locale][name]
	return ok
}

// t returns a text for handlers; see T.
func (x *call) t(name string, pairs ...string) string {
	return x.console.files.text(x.locale, name, pairs...)
}

// Link returns the path of a screen. The segments are escaped: Link "clients" .ID.
func (v view) Link(segments ...string) string {
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return v.console.url("/" + strings.Join(segments, "/"))
}

// Permits reports whether the caller may use the operation of /v1.
func (v view) Permits(operation string) bool { return v.caller.Permits(operation) }

// Token returns the hidden field of a form that shows who may post it.
func (v view) Token() (string, error) { return v.token() }

// Base returns the path of the console.
func (v view) Base() string { return v.console.url("") }

// Locale returns the language of the page.
func (v view) Locale() string { return v.locale }

// Username returns who is signed in; empty: nobody.
func (v view) Username() string { return v.caller.Username }

// Version returns the version of the program.
func (v view) Version() string { return v.console.cfg.Version }

// Nav returns the navigation.
func (v view) Nav() []navItem {
	return v.console.navigation(v.caller, cmp.Or(v.under, strings.TrimPrefix(v.URL.Path, Path)))
}

// Notice returns what the page shows once.
func (v view) Notice() notice { return v.notice }

// NoticeText returns the text of the notice.
func (v view) NoticeText() (string, error) { return v.T(v.notice.Text, v.notice.Pairs...) }

// OtherLocale returns the URL of the page in the other language. It is empty for pages
// that answer a form.
func (v view) OtherLocale() string {
	if v.Method != http.MethodGet {
		return ""
	}
	q := v.URL.Query()
	q.Set("lang", otherLocale(v.locale))
	return v.console.base + v.URL.Path + "?" + q.Encode()
}

// shownTime is a time as the template "time" shows it.
type shownTime struct{ UTC, Text string }

// Time returns a time in the zone of the viewer. value is a time.Time, a pointer to one, or
// a text in RFC 3339.
func (v view) Time(value any) shownTime {
	var t time.Time
	switch given := value.(type) {
	case time.Time:
		t = given
	case *time.Time:
		if given != nil {
			t = *given
		}
	case string:
		t = timeOf(given)
	}
	if t.IsZero() {
		return shownTime{}
	}
	return shownTime{UTC: t.UTC().Format(time.RFC3339), Text: t.In(v.zone).Format("2006-01-02 15:04:05 MST")}
}

// Who returns the user or the client that caused an audit event.
func (v view) Who(e wire.AuditEvent) string {
	for _, name := range []*string{e.Username, e.UserID, e.ClientID} {
		if name != nil && *name != "" {
			return *name
		}
	}
	return "–"
}

// Int returns a number of /v1; 0: there is none.
func (v view) Int(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// True reports whether an optional boolean of /v1 is true: "if" takes every pointer for
// true.
func (v view) True(b *bool) bool { return b != nil && *b }

// Duration returns minutes in the largest unit that they are a multiple of.
func (v view) Duration(minutes int) (string, error) {
	n, unit := minutes, "Minutes"
	if n >= 60 && n%60 == 0 {
		n, unit = n/60, "Hours"
		if n >= 24 && n%24 == 0 {
			n, unit = n/24, "Days"
		}
	}
	if n == 1 {
		return v.T("frame.one" + unit)
	}
	return v.T("frame.some"+unit, "count", strconv.Itoa(n))
}

// Now returns the time, for comparisons.
func (v view) Now() time.Time { return v.console.cfg.Now() }

// show answers with a page. name is that of its template, title that of a text.
func (x *call) show(name, title string, data any) error {
	return x.showStatus(http.StatusOK, name, title, data)
}

func (x *call) showStatus(status int, name, title string, data any) error {
	if x.browser == "" {
		x.browser = x.console.cfg.Forms.Browser(x.w, x.Request)
	}
	body, err := x.console.files.fill(name, view{call: x, Title: title, Data: data})
	if err != nil {
		return err
	}
	h := x.w.Header()
	setHeaders(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", x.locale)
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) //nolint:gosec // html/template has escaped it; an error means that the browser has gone
	return nil
}

// Cookies that keep how pages are shown. Scripts set the one of the zone.
const (
	localeCookie = "latchkey-lang"
	zoneCookie   = "latchkey-zone"
)

var localeMatcher = language.NewMatcher([]language.Tag{language.English, language.German})

// locales are the languages of the console, in the order of localeMatcher.
var locales = []string{"en", "de"}

func otherLocale(locale string) string {
	if locale == locales[0] {
		return locales[1]
	}
	return locales[0]
}

// chosenLocale returns the language of the page: the one in the query, which is kept, the
// one that was kept, or the one that the browser prefers.
func (x *call) chosenLocale() string {
	asked := x.URL.Query().Get("lang")
	cookie, err := x.Cookie(localeCookie)
	for _, locale := range locales {
		if asked == locale {
			http.SetCookie(x.w, &http.Cookie{ //nolint:gosec // Secure is false on plain http only
				Name: localeCookie, Value: locale, Path: "/", MaxAge: 365 * 24 * 3600, Secure: x.console.cfg.Forms.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			})
			return locale
		}
	}
	for _, locale := range locales {
		if err == nil && cookie.Value == locale {
			return locale
		}
	}
	_, index := language.MatchStrings(localeMatcher, x.Header.Get("Accept-Language"))
	return locales[index]
}

// chosenZone returns the time zone of the viewer, or UTC.
func (x *call) chosenZone() *time.Location {
	cookie, err := x.Cookie(zoneCookie)
	if err != nil {
		return time.UTC
	}
	name, err := url.QueryUnescape(cookie.Value)
	if err != nil || len(name) > 64 || name == "Local" {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
