package operations

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestDemoApplication signs in at the sample application of the demo as its welcome text says,
// with the name in the text and the code on the terminal.
func TestDemoApplication(t *testing.T) {
	t.Parallel()
	demo := runDemo(t, `sample application: (http://127\.0\.0\.1:\d+)\n`, "127.0.0.1:0")
	defer demo.stop()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	visitor := &demoVisitor{t: t, client: &http.Client{Jar: jar, Timeout: 10 * time.Second}}
	issuer := regexp.MustCompile(`Latchkey demo on (\S+):`).FindStringSubmatch(demo.printed())[1]
	kit.Eventually(t, "the demo answers", func() bool {
		response, err := visitor.client.Get(issuer + "/oauth/jwks")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	if home := visitor.get(demo.found + "/"); !strings.Contains(home, `href="/signin"`) || !strings.Contains(home, "jane") {
		t.Fatalf("home page: got %s", home)
	}
	page := visitor.submit(issuer, visitor.get(demo.found+"/signin"), "username", "jane")
	var code []string
	kit.Eventually(t, "the terminal shows the code", func() bool {
		code = regexp.MustCompile(`one-time password for jane: (\S+)`).FindStringSubmatch(demo.printed())
		return code != nil
	})
	if got := visitor.submit(issuer, page, "code", code[1]); !strings.Contains(got, "Welcome, Jane") || !strings.Contains(got, "<td>jane@example.com</td>") {
		t.Fatalf("signed in: got %s", got)
	}
	again := visitor.get(demo.found + "/signin")
	if !strings.Contains(again, "Welcome, Jane") {
		t.Fatalf("the second sign-in: got %s", again)
	}
	signOut := regexp.MustCompile(`href="([^"]+/oauth/end_session[^"]+)"`).FindStringSubmatch(again)
	if got := visitor.get(html.UnescapeString(signOut[1])); !strings.Contains(got, "<h1>Signed out</h1>") {
		t.Errorf("signed out: got %s", got)
	}
	own := "&iss=" + url.QueryEscape(issuer)
	for problem, response := range map[string]func(state string) string{
		"belongs to another sign-in": func(string) string { return "state=x" + own },
		"comes from another server":  func(state string) string { return "state=" + state + "&iss=https%3A%2F%2Fevil.example" },
		"access_denied":              func(state string) string { return "error=access_denied&state=" + state + own },
		"invalid_grant":              func(state string) string { return "code=x&state=" + state + own },
	} {
		visitor.get(demo.found + "/signin")
		if got := visitor.get(demo.found + "/callback?" + response(visitor.state(demo.found))); !strings.Contains(got, problem) {
			t.Errorf("%s: got %s", problem, got)
		}
	}
	if got := visitor.get(demo.found + "/callback?code=x&state=" + own); !strings.Contains(got, "has not started") {
		t.Errorf("without a cookie: got %s", got)
	}
}

// demoVisitor is a browser that follows redirects.
type demoVisitor struct {
	t      *testing.T
	client *http.Client
}

// state returns the state that the application has stored in the browser.
func (v *demoVisitor) state(application string) string {
	v.t.Helper()
	u, err := url.Parse(application)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, cookie := range v.client.Jar.Cookies(u) {
		if state, _, ok := strings.Cut(cookie.Value, "."); ok && cookie.Name == "sample-application" {
			return state
		}
	}
	v.t.Fatal("got no stored state of the application")
	return ""
}

func (v *demoVisitor) get(target string) string {
	v.t.Helper()
	return v.read(v.client.Get(target))
}

func (v *demoVisitor) read(response *http.Response, err error) string {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		v.t.Fatalf("got %s, error %v, %s", response.Status, err, body)
	}
	return string(body)
}

// submit posts the form of a page of the server.
func (v *demoVisitor) submit(issuer, page, name, value string) string {
	v.t.Helper()
	state := regexp.MustCompile(`name="state" value="([^"]+)"`).FindStringSubmatch(page)
	if state == nil {
		v.t.Fatalf("got no form in %s", page)
	}
	return v.read(v.client.PostForm(issuer+"/oauth/signin", url.Values{"state": {state[1]}, name: {value}}))
}
