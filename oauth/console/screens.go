package console

import (
	"errors"
	"net/http"
	"slices"
)

// screen is a page of the console, or a page that changes something.
type screen struct {
	path      string // below Path, a pattern of net/http: "/clients/{id}"
	operation string // ID of the operation of /v1 that the caller must be allowed to use
	nav       string // name of its text in the navigation; empty: it is not there
	under     string // path of the screen of the navigation that it belongs to; empty: the path shows it
	own       bool   // the navigation shows it to users of a company only
	posts     bool   // it takes forms
	serve     func(*call) error
}

// allScreens returns all screens. Those with a text for the navigation are shown there in
// this order, and the first one that a caller may see is the start.
func (c *Console) allScreens() []screen {
	return slices.Concat(
		c.homeScreens(),
		c.clientScreens(),
		c.userScreens(),
		c.sessionSearch(),
		c.keyScreens(),
		c.senderScreens(),
		c.profileScreens(),
		c.auditScreens(),
		c.apiScreens(),
	)
}

// Screen describes a screen: its path below Path as a pattern of net/http, the ID of the
// operation of /v1 that the caller must be allowed to use, and whether it takes forms.
type Screen struct {
	Path, Operation string
	Posts           bool
}

// Screens returns all screens.
func Screens() []Screen {
	var c *Console // the table depends on nothing
	var all []Screen
	for _, s := range c.allScreens() {
		all = append(all, Screen{s.path, s.operation, s.posts})
	}
	return all
}

// Patterns returns the patterns of everything that Mount registers.
func Patterns() []string {
	all := []string{
		"GET " + Path, "GET " + Path + "/{$}", "GET " + Path + "/", "GET " + Path + CallbackPath, "POST " + Path + "/sign-out",
		"GET " + Path + SignedOutPath, "GET " + Path + "/assets/{name}",
	}
	for _, s := range Screens() {
		all = append(all, "GET "+Path+s.Path)
		if s.Posts {
			all = append(all, "POST "+Path+s.Path)
		}
	}
	return all
}

// navItem is an entry of the navigation.
type navItem struct {
	Text    string // name of a text
	URL     string
	Current bool // the page is this screen, or below it
}

// navigation returns the screens that the caller may see. path is that of the page, or of
// the screen that it belongs to, below Path.
func (c *Console) navigation(caller Caller, path string) []navItem {
	var items []navItem
	for _, s := range c.screens {
		ofCompany := caller.BuyerID != "" || caller.SupplierID != ""
		if s.nav != "" && caller.Permits(s.operation) && (!s.own || ofCompany) {
			items = append(items, navItem{Text: s.nav, URL: c.url(s.path), Current: isBelow(path, s.path)})
		}
	}
	return items
}

func isBelow(path, root string) bool {
	return path == root || len(path) > len(root) && path[:len(root)] == root && path[len(root)] == '/'
}

// serveStart sends an administrator to the first screen that they may see.
func (c *Console) serveStart(w http.ResponseWriter, r *http.Request) {
	c.answer(w, r, func(x *call) error {
		if items := c.navigation(x.caller, ""); len(items) > 0 {
			redirect(w, items[0].URL)
			return nil
		}
		return x.showStatus(http.StatusForbidden, "error", "frame.noRoleTitle", message{Text: "frame.noRole"})
	})
}

// serveUnknown answers requests for paths that no screen has.
func (c *Console) serveUnknown(w http.ResponseWriter, r *http.Request) {
	c.answer(w, r, func(*call) error { return errNotFound })
}

var errNotFound = errors.New("console: there is no such page")
