package signinpage

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"latchkey/grants"
	"latchkey/storage"
)

// Names of the texts that the handlers choose; see the folder texts.
const (
	alertName        = "alertName"
	alertCode        = "alertCode"
	alertPassword    = "alertPassword"
	alertPasswordOld = "alertPasswordOld"
	alertWait        = "alertWait"
	alertStart       = "alertStart"
	alertRequest     = "alertRequest"
	alertTooLarge    = "alertTooLarge"
	alertBusy        = "alertBusy"
	alertInternal    = "alertInternal"
	alertTooMany     = "alertTooMany"
	noticeNewCode    = "newCode"
)

// Pages that are no steps of a visit.
const (
	stepRespond = "respond" // the browser posts the response to the client
	stepError   = "error"
	stepTooMany = "tooMany" // like stepError

	stepLogout      = "logout"      // whether to sign out
	stepLoggedOut   = "loggedOut"   // the browser has no session any more
	stepStays       = "stays"       // the user does not want to sign out
	stepLogoutError = "logoutError" // like stepError
)

// page is the data of the template.
type page struct {
	Locale      string // language tag
	Base        string // before the paths of assets
	Action      string // where the form is posted
	Step        string
	State       string // sealed
	Client      string // name of the client; empty: not shown
	Name        string // prefilled
	Alert       string // name of a text
	Notice      string // name of a text
	User        string // who is signed in
	HasPassword bool
	HasCode     bool
	Digits      bool // codes consist of digits
	CodeEnded   bool // the code that was sent has expired
	Seconds     int  // until the code expires
	Wait        int  // seconds until another code can be sent, or another attempt is possible
	Accounts    []storage.Member
	Scopes      []string
	Fields      url.Values // of a response by form_post
	RequestID   string
	Detail      string // in English, for those who operate the client

	texts map[string]string
}

// Title returns the heading of the page.
func (p page) Title() (string, error) {
	return p.Text("title" + strings.ToUpper(p.Step[:1]) + p.Step[1:])
}

// Text returns the text of that name in the language of the page.
func (p page) Text(name string) (string, error) { return p.text(name, "") }

func (p page) text(name, scope string) (string, error) {
	text, ok := p.texts[name]
	if !ok {
		return "", fmt.Errorf("there is no text %q", name)
	}
	if !strings.Contains(text, "{") { // as most do
		return text, nil
	}
	return strings.NewReplacer(
		"{client}", p.Client, "{user}", p.User, "{scope}", scope, "{seconds}", strconv.Itoa(p.Wait),
	).Replace(text), nil
}

// Scope returns what the consent to the scope allows.
func (p page) Scope(scope string) (string, error) {
	switch scope {
	case grants.ScopeProfile:
		return p.Text("scopeProfile")
	case grants.ScopeEmail:
		return p.Text("scopeEmail")
	case grants.ScopePhone:
		return p.Text("scopePhone")
	case grants.ScopeOfflineAccess:
		return p.Text("scopeOffline")
	}
	return p.text("scopeRole", scope)
}

// Minutes returns Seconds in minutes, rounded up.
func (p page) Minutes() int { return (p.Seconds + 59) / 60 }
