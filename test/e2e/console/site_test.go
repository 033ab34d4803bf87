package console

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"latchkey/test/e2e/kit"
)

// administrators are users with the password kit.Password. root and ruth may do everything. clara
// changes clients, carol reads them, and audrey reads audit events. norman has no role. bob is an
// administrator of the buyer acme only.
const administrators = `
SecurityProfiles:
  - {ID: managing, Name: Managing, Roles: [BuyerAdmin], Assignments: [{UserID: ada}]}
  - {ID: everything, Name: Everything, Roles: [FullAccess], Assignments: [{UserID: root}, {UserID: ruth}]}
  - {ID: clients, Name: Clients, Roles: [ApiClientAdmin], Assignments: [{UserID: clara}]}
  - {ID: client-readers, Name: Readers, Roles: [ApiClientReader], Assignments: [{UserID: carol}]}
  - {ID: auditors, Name: Auditors, CustomRoles: [AuditReader], Assignments: [{UserID: audrey}]}
  - {ID: company, Name: Company, Roles: [BuyerUserAdmin], Assignments: [{BuyerID: acme, UserID: bob}]}
Buyers:
  - ID: acme
    Name: Acme Ltd
    Active: true
    Users:
      - {ID: bob, Username: bob, PasswordHash: 'HASH', FirstName: Bob, LastName: Buyer, Email: bob@example.com, Active: true}
AdminUsers:
  - {ID: root, Username: root, PasswordHash: 'HASH', FirstName: Ruth, LastName: Oot, Email: root@example.com, Active: true}
  - {ID: ruth, Username: ruth, PasswordHash: 'HASH', FirstName: Ruth, LastName: Less, Email: ruth@example.com, Active: true}
  - {ID: clara, Username: clara, PasswordHash: 'HASH', FirstName: Clara, LastName: Client, Email: clara@example.com, Active: true}
  - {ID: carol, Username: carol, PasswordHash: 'HASH', FirstName: Carol, LastName: Reader, Email: carol@example.com, Active: true}
  - {ID: audrey, Username: audrey, PasswordHash: 'HASH', FirstName: Audrey, LastName: Auditor, Email: audrey@example.com, Active: true}
  - {ID: norman, Username: norman, PasswordHash: 'HASH', FirstName: Norman, LastName: None, Email: norman@example.com, Active: true}
`

// site is a server with administrators.
type site struct {
	*kit.Fixture
	t      *testing.T
	Server *kit.Server
}

// newSite starts a server on the fixture. Settings are given as NAME=VALUE.
func newSite(t *testing.T, w *kit.Fixture, settings ...string) *site {
	t.Helper()
	hash, err := kit.PasswordHash()
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(strings.ReplaceAll(administrators, "HASH", hash))
	return &site{w, t, w.Serve(settings...)}
}

// eachSite runs a test on both databases.
func eachSite(t *testing.T, test func(t *testing.T, s *site)) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) { test(t, newSite(t, w)) })
}

// must fails the test on an error.
func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// browser keeps cookies and follows redirects.
type browser struct {
	*site
	client *http.Client
	header http.Header // sent with each request
}

// newBrowser returns a browser without cookies.
func (s *site) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	s.must(err)
	return &browser{site: s, client: &http.Client{Jar: jar, Transport: kit.HTTPClient.Transport}, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

// signIn returns a browser in which the user has signed in to the console with the permanent
// password.
func (s *site) signIn(username string) *browser {
	s.t.Helper()
	b := s.newBrowser()
	b.signIn(username, b.open("/console/"))
	return b
}

// signIn signs in at the sign-in page, and returns the page after the sign-in.
func (b *browser) signIn(username string, at page) page {
	b.t.Helper()
	for _, fields := range [][]string{{"username", username}, {"do", "password"}, {"password", kit.Password}} {
		at = b.submit(at, fields...)
	}
	if !strings.HasPrefix(at.url.Path, "/console") {
		b.t.Fatalf("sign-in of %s: got %s %s, want a page of the console", username, at.url, at.text())
	}
	return at
}

// page is a response that a browser received.
type page struct {
	t      *testing.T
	status int
	header http.Header
	url    *url.URL
	body   string
	root   *html.Node
}

func (b *browser) send(r *http.Request) page {
	b.t.Helper()
	for name, values := range b.header {
		r.Header[name] = values
	}
	response, err := b.client.Do(r)
	b.must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	b.must(err)
	root, err := html.Parse(strings.NewReader(string(body)))
	b.must(err)
	return page{b.t, response.StatusCode, response.Header, response.Request.URL, string(body), root}
}

// open opens a page by its path.
func (b *browser) open(path string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.Server.URL+path, nil)
	b.must(err)
	return b.send(r)
}

// post posts a form to a path.
func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.Server.URL+path, strings.NewReader(form.Encode()))
	b.must(err)
	r.Header.Set("Content-Type", kit.FormMedia)
	return b.send(r)
}

// submit posts the form in the main part of a page. fields are names and values that replace those
// of the form: name, value, … The fields of resources have names that begin with "f.".
func (b *browser) submit(p page, fields ...string) page {
	b.t.Helper()
	action, form := p.form()
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.post(action, form)
}

// form returns the action and the values of the form in the main part of the page.
func (p page) form() (action string, values url.Values) {
	p.t.Helper()
	found := find(p.root, func(n *html.Node) bool {
		return n.Data == "form" && attribute(n, "method") == "post" && inside(n, "main")
	})
	if len(found) == 0 {
		p.t.Fatalf("got no form, want one: %d %s", p.status, p.text())
	}
	values = url.Values{}
	for _, n := range find(found[0], func(*html.Node) bool { return true }) {
		name := attribute(n, "name")
		if name == "" {
			continue
		}
		switch n.Data {
		case "input":
			if kind := attribute(n, "type"); kind != "checkbox" && kind != "radio" || has(n, "checked") {
				values.Add(name, attribute(n, "value"))
			}
		case "textarea":
			values.Add(name, strings.TrimSpace(content(n)))
		case "select":
			for _, o := range find(n, func(o *html.Node) bool { return o.Data == "option" && has(o, "selected") }) {
				values.Add(name, attribute(o, "value"))
			}
		}
	}
	return attribute(found[0], "action"), values
}

// links returns the URLs of all links, forms and files of the page.
func (p page) links() []string {
	var all []string
	for _, n := range find(p.root, func(*html.Node) bool { return true }) {
		for _, a := range n.Attr {
			if slices.Contains([]string{"href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data", "srcset"}, a.Key) {
				all = append(all, a.Val)
			}
		}
	}
	return all
}

// text returns the text of the main part of the page, with single spaces.
func (p page) text() string {
	found := find(p.root, func(n *html.Node) bool { return n.Data == "main" })
	if len(found) == 0 {
		return p.body
	}
	return strings.Join(strings.Fields(content(found[0])), " ")
}

// contains fails the test unless the page has the status and its main part contains the texts.
func (p page) contains(status int, texts ...string) page {
	p.t.Helper()
	if p.status != status {
		p.t.Fatalf("%s: got %d %s, want %d", p.url, p.status, p.text(), status)
	}
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.t.Fatalf("%s: got %s, want %q in it", p.url, p.text(), text)
		}
	}
	return p
}

// navigation returns the paths of the screens in the navigation.
func (p page) navigation() []string {
	var all []string
	for _, n := range find(p.root, func(n *html.Node) bool { return n.Data == "a" && inside(n, "nav") && !inside(n, "main") }) {
		all = append(all, attribute(n, "href"))
	}
	return all
}

func find(n *html.Node, wanted func(*html.Node) bool) (found []*html.Node) {
	for child := range n.Descendants() {
		if child.Type == html.ElementNode && wanted(child) {
			found = append(found, child)
		}
	}
	return found
}

func inside(n *html.Node, element string) bool {
	for parent := range n.Ancestors() {
		if parent.Data == element {
			return true
		}
	}
	return false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func content(n *html.Node) string {
	var text strings.Builder
	for child := range n.Descendants() {
		if child.Type == html.TextNode {
			text.WriteString(child.Data)
		} else {
			text.WriteString(" ") // between a label and a value
		}
	}
	return text.String()
}
