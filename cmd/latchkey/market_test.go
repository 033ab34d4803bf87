package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// market is a database that only the API has filled, with two servers that are
// one to their clients. The first administrator is made on the command line;
// root is a token of it.
type market struct {
	*world
	first, second *node
	box           *postbox
	operator      createdClient
	root          string
	web           *http.Client
}

// eachMarket runs a test on SQLite and on PostgreSQL.
func eachMarket(t *testing.T, settings []string, test func(t *testing.T, m *market)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newMarket(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"), settings...))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newMarket(t, postgres(t).Database(t), settings...))
	})
}

func newMarket(t *testing.T, databaseURL string, settings ...string) *market {
	t.Helper()
	m := &market{world: &world{t: t, databaseURL: databaseURL}, box: newPostbox(t), web: client}
	m.operator = m.adminClient(t, "--name", "Operator", "--id", "operator", "--grant", "client_credentials", "--role", "FullAccess", "--access-token-duration", "24h")
	m.first, m.second = m.serve(append(settings, wireIssuer)...), m.serve(append(settings, wireIssuer)...)
	t.Cleanup(client.CloseIdleConnections) // or the servers would wait a second for them
	m.root = m.first.self(m.operator.ID, m.operator.Secret).mustIssue(t)
	return m
}

// send sends a request to a server with a token, or with none, and reads the
// answer; it may be called by any goroutine. A body that is no text is sent as
// JSON.
func (m *market) send(n *node, token, method, path string, body any, header ...string) answer {
	text, ok := body.(string)
	if !ok && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			m.t.Error(err)
		}
		text = string(encoded)
	}
	request, err := http.NewRequest(method, n.url+path, strings.NewReader(text))
	if err != nil {
		m.t.Error(err)
		return answer{}
	}
	if text != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := m.web.Do(request)
	if err != nil {
		m.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	read, err := io.ReadAll(response.Body)
	if err != nil {
		m.t.Errorf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, string(read)}
}

// as sends a request that must be answered with the status.
func (m *market) as(t *testing.T, token string, status int, method, path string, body any, header ...string) answer {
	t.Helper()
	got := m.send(m.first, token, method, path, body, header...)
	if got.status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, got.status, got.body, status)
	}
	return got
}

// do sends a request of the administrator that must be answered with the
// status.
func (m *market) do(t *testing.T, status int, method, path string, body any, header ...string) answer {
	t.Helper()
	return m.as(t, m.root, status, method, path, body, header...)
}

// sendForm sends a form.
func (m *market) sendForm(n *node, path string, fields ...string) answer {
	return m.send(n, "", http.MethodPost, path, encode(fields...), "Content-Type", formMedia)
}

// signIn asks a public client for a token with a password or a code.
func (m *market) signIn(n *node, clientID, username, secret string, more ...string) answer {
	return m.sendForm(n, "/oauth/token", append([]string{
		"grant_type", "password", "username", username, "password", secret, "client_id", clientID,
	}, more...)...)
}

// renew uses a refresh token of a public client.
func (m *market) renew(n *node, clientID, token string) answer {
	return m.sendForm(n, "/oauth/token", "grant_type", "refresh_token", "client_id", clientID, "refresh_token", token)
}

// everywhere holds what has just been made so by the first server to be so there
// at once, and on the other as soon as that has heard of it.
func (m *market) everywhere(t *testing.T, what string, holds func(n *node) bool) {
	t.Helper()
	if !holds(m.first) {
		t.Errorf("not so at once: %s", what)
	}
	wireSoon(t, what, func() bool { return holds(m.second) })
}

// agreed waits until both servers show the same at the paths, so that whichever
// of them takes on a request goes by what was changed there.
func (m *market) agreed(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		want := m.send(m.first, m.root, http.MethodGet, path, nil)
		wireSoon(t, "the servers agree on "+path, func() bool { return m.send(m.second, m.root, http.MethodGet, path, nil).body == want.body })
	}
}

// object is the body of an answer, without the members that differ from run to
// run.
func (a answer) object(t *testing.T, without ...string) map[string]any {
	t.Helper()
	o := a.wireBody(t)
	for _, name := range without {
		if _, ok := o[name]; !ok {
			t.Errorf("no member %s in %s", name, a.body)
		}
		delete(o, name)
	}
	return o
}

// mustBe holds an answer to its whole body, which is given as JSON.
func (a answer) mustBe(t *testing.T, want string, without ...string) {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(want), &o); err != nil {
		t.Fatalf("%v: %s", err, want)
	}
	if diff := cmp.Diff(o, a.object(t, without...)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// mustBeErrors holds a refusal below /v1 to its status and its literal body.
func (a answer) mustBeErrors(t *testing.T, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if challenge := a.header.Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("%d with WWW-Authenticate %q", status, challenge)
	}
}

// vendorError is the body of a refusal below /v1 with one entry. The data is
// JSON.
func vendorError(code, message, data string) string {
	return `{"Errors":[{"ErrorCode":"` + code + `","Message":"` + message + `","Data":` + data + `}]}`
}

func objectData(kind, id string) string {
	return `{"ObjectID":"` + id + `","ObjectType":"` + kind + `"}`
}

func missing(kind, id string) string {
	return vendorError("NotFound", "Object not found.", objectData(kind, id))
}

// Refusals below /v1 that many tests have in common.
var (
	wireRevoked      = vendorError("Auth.TokenRevoked", "The provided token has been revoked. Please re-authenticate.", "null")
	wireInvalidToken = vendorError("InvalidToken", "Access token is invalid or expired.", "null")
	wireVerification = vendorError("PasswordReset.InvalidVerification", "Incorrect verification code or username.", "null")
	wireStale        = vendorError("PreconditionFailed", "The object was changed since it was read.", "null")
)

// letter is a message as a message sender gets it.
type letter struct {
	path   string
	header http.Header
	body   []byte

	OcLogIdHeader string //nolint:revive // OrderCloud's spelling
	BuyerID       *string
	UserToken     string
	MessageType   string
	Recipient     struct{ ID, Username, Email string }
	ConfigData    json.RawMessage
	EventBody     struct {
		Username, ClientID, OneTimePassword string

		PasswordRenewalUrl, PasswordRenewalVerificationCode, PasswordRenewalAccessToken string //nolint:revive // OrderCloud's spelling
	}
}

// postbox receives the messages of every sender.
type postbox struct {
	url     string
	letters chan letter
}

func newPostbox(t testing.TB) *postbox {
	t.Helper()
	b := &postbox{letters: make(chan letter, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		l := letter{path: r.URL.Path, header: r.Header, body: body}
		if err == nil {
			err = json.Unmarshal(body, &l)
		}
		if err != nil {
			t.Errorf("message %s: %v", body, err)
		}
		b.letters <- l
		rw.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// next waits for a message, which must be of the type and signed with the key.
func (b *postbox) next(t *testing.T, messageType, key string) letter {
	t.Helper()
	select {
	case l := <-b.letters:
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(l.body)
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); l.header.Get("X-Oc-Hash") != want {
			t.Errorf("message with hash %q, want %q: %s", l.header.Get("X-Oc-Hash"), want, l.body)
		}
		if l.MessageType != messageType {
			t.Fatalf("message of type %s, want %s: %s", l.MessageType, messageType, l.body)
		}
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("no message came")
		return letter{}
	}
}

// asked sends a request for a message, which must be taken on, and returns what
// became of it when everything has ended: the names of the steps of its
// timeline after the first.
func (m *market) asked(t *testing.T, path string, body any) (steps []string) {
	t.Helper()
	got := m.as(t, "", http.StatusNoContent, http.MethodPost, path, body)
	if got.body != "" {
		t.Errorf("%s: body %s", path, got.body)
	}
	return m.fate(t, "TraceID", got.header.Get("X-Request-Id"))
}

// fate waits until the one request whose field has the value has ended.
func (m *market) fate(t *testing.T, field, value string) (steps []string) {
	t.Helper()
	var found struct {
		Items []struct {
			ID         string
			ResolvedAt *time.Time
			Timeline   []struct{ Step, Detail string }
		}
	}
	awaitThat(t, "the request has ended", func() bool {
		list := m.do(t, http.StatusOK, http.MethodGet, "/v1/onetimepasswordrequests?"+field+"="+url.QueryEscape(value), nil)
		if err := json.Unmarshal([]byte(list.body), &found); err != nil || len(found.Items) != 1 {
			t.Fatalf("%v: want one request in %s", err, list.body)
		}
		if found.Items[0].ResolvedAt == nil {
			return false
		}
		one := m.do(t, http.StatusOK, http.MethodGet, "/v1/onetimepasswordrequests/"+found.Items[0].ID, nil)
		if err := json.Unmarshal([]byte(one.body), &found.Items[0]); err != nil {
			t.Fatal(err)
		}
		steps = nil
		for _, s := range found.Items[0].Timeline[1:] {
			steps = append(steps, s.Step)
		}
		tally := map[string]int{}
		for _, s := range steps {
			tally[s]++
		}
		return tally["nobody_served"] > 0 || tally["queued"] > 0 && tally["accepted"]+tally["dead"] == tally["queued"]
	})
	return steps
}

// silent fails the test if a message has come.
func (b *postbox) silent(t *testing.T, what string) {
	t.Helper()
	select {
	case l := <-b.letters:
		t.Errorf("%s: a message came: %s", what, l.body)
	default:
	}
}

// mustBeNobody holds a request to have been for nobody.
func mustBeNobody(t *testing.T, what string, steps []string) {
	t.Helper()
	if diff := cmp.Diff([]string{"nobody_served"}, steps); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// mustBeDelivered holds a request to have become one message that arrived.
func mustBeDelivered(t *testing.T, what string, steps []string) {
	t.Helper()
	if slices.Contains(steps, "nobody_served") || !slices.Contains(steps, "accepted") {
		t.Errorf("%s: steps %v, want a delivery", what, steps)
	}
}

// decodeSegment reads a segment of a JWT.
func decodeSegment(t *testing.T, segment string, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("segment %q: %v", segment, err)
	}
}
