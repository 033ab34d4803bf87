package page

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"latchkey/test/e2e/kit"
)

// TestCertificationLogout runs the modules of the certification plan for RP-initiated logout of
// the OpenID Foundation, by their names and in their order.
func TestCertificationLogout(t *testing.T) {
	runPlan(t, logoutModules)
}

// mustBeSignedOut fails the test if the browser has a session.
func (m *module) mustBeSignedOut() {
	m.t.Helper()
	m.mustRefuse(m.request(), "login_required", "prompt", "none")
}

// mustStay fails the test unless the browser stays at the server, also after the user has
// answered the question, and has its session until then.
func (m *module) mustStay(fields ...string) {
	m.t.Helper()
	got := m.get(logoutPath(append(fields, "state", "s-1")...))
	m.mustBeSignedIn()
	switch {
	case got.header.Get("Location") != "":
		m.t.Errorf("sent to %s", got.header.Get("Location"))
	case got.status == http.StatusOK:
		if answered := m.answer(got.mustAsk(m.t, "logout")); answered.header.Get("Location") != "" || answered.status != http.StatusOK {
			m.t.Errorf("after the answer: got %d to %s", answered.status, answered.header.Get("Location"))
		}
	case got.status != http.StatusBadRequest || !strings.Contains(got.body, "Request id"):
		m.t.Errorf("got %d, want a question or an error page: %s", got.status, got.body)
	}
}

// mustBeSignedIn fails the test unless the browser has a session.
func (m *module) mustBeSignedIn() {
	m.t.Helper()
	if got := m.get(m.request().path("prompt", "none")).response(m.t, relyingParty); !got.Has("code") {
		m.t.Errorf("the session has ended: %v", got)
	}
}

// signOut asks for the logout, and presses the button of the question.
func (m *module) signOut(fields ...string) {
	m.t.Helper()
	m.signInFor(m.request())
	done := m.answer(m.get(logoutPath(fields...)).mustAsk(m.t, "logout"))
	if done.status != http.StatusOK || !strings.Contains(done.body, "You have signed out.") {
		m.t.Errorf("after the answer: got %d %v %s", done.status, done.header, done.body)
	}
	m.mustBeSignedOut()
}

var logoutModules = []moduleTest{
	{"oidcc-rp-initiated-logout-discovery-endpoint-verification", func(m *module) string {
		if got := m.metadata("end_session_endpoint"); got != "http://latchkey.test/oauth/end_session" {
			m.t.Errorf("end_session_endpoint: got %v, want http://latchkey.test/oauth/end_session", got)
		}
		return ""
	}},
	{"oidcc-rp-initiated-logout", func(m *module) string {
		of := m.signInFor(m.request())
		m.get(logoutPath("id_token_hint", of.idToken, "post_logout_redirect_uri", loggedOut, "state", "s-1")).mustGoTo(m.t, "logout", loggedOut+"?state=s-1")
		m.mustBeSignedOut()
		return ""
	}},
	{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", func(m *module) string {
		m.mustStay("id_token_hint", m.signInFor(m.request()).idToken, "post_logout_redirect_uri", loggedOut+"/other")
		return ""
	}},
	{"oidcc-rp-initiated-logout-modified-id-token-hint", func(m *module) string {
		parts := strings.Split(m.signInFor(m.request()).idToken, ".")
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		m.mustStay("id_token_hint", unsigned, "post_logout_redirect_uri", loggedOut)
		return ""
	}},
	{"oidcc-rp-initiated-logout-no-id-token-hint", func(m *module) string {
		m.signInFor(m.request())
		m.mustStay("post_logout_redirect_uri", loggedOut)
		return ""
	}},
	{"oidcc-rp-initiated-logout-no-params", func(m *module) string {
		m.signOut()
		return ""
	}},
	{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", func(m *module) string {
		of := m.signInFor(m.request())
		if got := m.get(logoutPath("id_token_hint", of.idToken, "state", "s-1")); got.status != http.StatusOK || !strings.Contains(got.body, "You have signed out.") {
			m.t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		m.mustBeSignedOut()
		return ""
	}},
	{"oidcc-rp-initiated-logout-no-state", func(m *module) string {
		of := m.signInFor(m.request())
		m.get(logoutPath("id_token_hint", of.idToken, "post_logout_redirect_uri", loggedOut)).mustGoTo(m.t, "logout", loggedOut)
		m.mustBeSignedOut()
		return ""
	}},
	{"oidcc-rp-initiated-logout-only-state", func(m *module) string {
		m.signOut("state", "s-1")
		return ""
	}},
	{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", func(m *module) string {
		m.mustStay("id_token_hint", m.signInFor(m.request()).idToken, "post_logout_redirect_uri", loggedOut+"?foo=bar")
		return ""
	}},
	{"oidcc-rp-initiated-logout-bad-id-token-hint", func(m *module) string {
		of := m.signInFor(m.request())
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(of.idToken, ".")[1])
		m.Must(err)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(kit.ClientSecret)}, nil)
		m.Must(err)
		signed, err := signer.Sign(payload)
		m.Must(err)
		foreign, err := signed.CompactSerialize()
		m.Must(err)
		m.mustStay("id_token_hint", foreign, "post_logout_redirect_uri", loggedOut)
		return ""
	}},
}
