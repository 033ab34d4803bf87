package privacy

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// visit is a browser at the sign-in pages. Its forms can be posted again and again.
type visit struct {
	server *kit.Server
	cookie string
	name   string // state of the page that asks for the name
}

var (
	formState = regexp.MustCompile(`name="state" value="([A-Za-z0-9_-]+)"`)
	timeLeft  = regexp.MustCompile(`data-seconds="[0-9]+">[0-9]+<`)
)

func (c *timingTest) visit(t *testing.T) *visit {
	t.Helper()
	page := c.server.Do(http.MethodGet, "/oauth/authorize?"+kit.EncodeForm(
		"client_id", "page", "redirect_uri", "https://app.example/callback", "response_type", "code", "scope", "openid",
		"code_challenge", strings.Repeat("c", 43), "code_challenge_method", "S256",
	), "", "")
	cookie, _, _ := strings.Cut(page.Header.Get("Set-Cookie"), ";")
	return &visit{c.server, cookie, stateOf(t, page)}
}

func stateOf(t *testing.T, page kit.Response) string {
	t.Helper()
	found := formState.FindStringSubmatch(page.Body)
	if found == nil {
		t.Fatalf("no form: %d %s", page.Status, page.Body)
	}
	return found[1]
}

// submit posts the form of a page with another field.
func (v *visit) submit(state, field, value string) kit.Response {
	return v.server.Do(http.MethodPost, "/oauth/signin", kit.FormMedia, kit.EncodeForm("state", state, field, value),
		"Cookie", v.cookie, "Sec-Fetch-Site", "same-origin")
}

// withoutState hides what may differ between two pages: the sealed state, but not its
// length, and the time that the code has left.
func withoutState(page kit.Response) kit.Response {
	if found := formState.FindStringSubmatch(page.Body); found != nil {
		page.Body = strings.Replace(page.Body, found[1], strings.Repeat("x", len(found[1])), 1)
	}
	page.Body = timeLeft.ReplaceAllString(page.Body, "")
	return page
}

// pages types names and wrong codes at the sign-in pages.
func (c *timingTest) pages(t *testing.T) {
	v := c.visit(t)
	t.Run("name", func(t *testing.T) {
		ask := func(name string) kit.Response { return withoutState(v.submit(v.name, "username", name)) }
		alike(t, http.StatusOK, cheapTries, c.of(ask, hasPassword, unknownOnce, unknownAgain, isLocked, isDisabled, noPassword, noEmail)...)
	})
	for what, step := range map[string]struct {
		field string
		tries int
		state func(name string) string
	}{
		"code": {"code", cheapTries, func(name string) string { return stateOf(t, v.submit(v.name, "username", name)) }},
		"password": {"password", dearTries, func(name string) string {
			return stateOf(t, v.submit(stateOf(t, v.submit(v.name, "username", name)), "do", "password"))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			var kinds []kind
			for _, of := range indistinguishableUsers() {
				names := usersOfAKind
				if of == unknownOnce { // each name is new until all were asked for
					names = step.tries
				}
				states := make([]string, names)
				for i := range states {
					name := member(of, i)
					if of == unknownOnce {
						name = nameWithNumber("new-"+what, i)
					}
					states[i] = step.state(name)
				}
				kinds = append(kinds, kind{of, func(i int) kit.Response {
					return withoutState(v.submit(states[i%names], step.field, kit.WrongCode))
				}})
			}
			alike(t, http.StatusOK, step.tries, kinds...)
		})
	}
}
