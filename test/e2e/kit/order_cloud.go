package kit

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

	"latchkey/storage/gormstore/gormtest"

	"github.com/google/go-cmp/cmp"
)

// EachEmptyDatabase runs a test on an empty SQLite and PostgreSQL database.
func EachEmptyDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, gormtest.Postgres(t).Database(t))
	})
}

// DataOf returns the JSON of a resource in the envelope of /v2.
func DataOf(o Object) string {
	text, err := json.Marshal(map[string]any{"data": o})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// InvalidBody is the literal body of a refusal of one invalid member. The path is "" for
// the whole body.
func InvalidBody(path, problem string) string {
	message, data := problem, `{"Path":""}`
	if path != "" {
		message, data = path+": "+problem, `{"Path":"`+path+`"}`
	}
	return ErrorBody("ValidationFailure", message, data)
}

// MailPassword is the password at the SMTP server.
const MailPassword = "password-at-the-mail-server"

// OrderCloud is a database that tests fill through the API, and two servers with one issuer.
// "latchkey client create" has created the first administrator, Operator. AdminToken is the
// administrator's token.
type OrderCloud struct {
	*Fixture
	First, Second *Server
	SenderInbox   *SenderInbox
	Operator      Client
	AdminToken    string
	HTTPClient    *http.Client
}

// EachOrderCloud runs a test on SQLite and on PostgreSQL.
func EachOrderCloud(t *testing.T, settings []string, test func(t *testing.T, m *OrderCloud)) {
	orderCloudDatabase.each(t, func(t *testing.T, databaseURL string, operator Client) {
		test(t, newOrderCloud(t, databaseURL, operator, settings...))
	})
}

// OneOrderCloud returns the servers of EachOrderCloud on SQLite, for tests whose results do not
// depend on the database.
func OneOrderCloud(t *testing.T, settings ...string) *OrderCloud {
	t.Helper()
	databaseURL, operator := orderCloudDatabase.sqlite(t)
	return newOrderCloud(t, databaseURL, operator, settings...)
}

// orderCloudDatabase contains only the client of the first administrator.
var orderCloudDatabase = &prepared[Client]{fill: (*Fixture).createOperator}

// NewOrderCloud fills an empty database and starts two servers with the settings.
// EachOrderCloud is faster.
func NewOrderCloud(t *testing.T, databaseURL string, settings ...string) *OrderCloud {
	t.Helper()
	w := &Fixture{T: t, DatabaseURL: databaseURL}
	return newOrderCloud(t, databaseURL, w.createOperator(), settings...)
}

// createOperator creates the client of the first administrator.
func (w *Fixture) createOperator() Client {
	w.T.Helper()
	return w.CreateClient(w.T, "--name", "Operator", "--id", "operator", "--grant", "client_credentials", "--role", "FullAccess", "--access-token-duration", "24h")
}

func newOrderCloud(t *testing.T, databaseURL string, operator Client, settings ...string) *OrderCloud {
	t.Helper()
	m := &OrderCloud{
		Fixture:     &Fixture{T: t, DatabaseURL: databaseURL},
		SenderInbox: NewSenderInbox(t), HTTPClient: HTTPClient, Operator: operator,
	}
	m.First, m.Second = m.Serve(append(settings, SharedIssuer)...), m.Serve(append(settings, SharedIssuer)...)
	t.Cleanup(HTTPClient.CloseIdleConnections) // otherwise the servers would wait a second for them
	m.AdminToken = m.First.ClientCredentials(m.Operator.ID, m.Operator.Secret).AccessToken(t)
	return m
}

// Send sends a request to a server, with a token unless that is "". A body that is not a
// string is encoded as JSON. Any goroutine may call it.
func (m *OrderCloud) Send(n *Server, token, method, path string, body any, header ...string) Response {
	text, ok := body.(string)
	if !ok && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			m.T.Error(err)
		}
		text = string(encoded)
	}
	request, err := http.NewRequest(method, n.URL+path, strings.NewReader(text))
	if err != nil {
		m.T.Error(err)
		return Response{}
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
	response, err := m.HTTPClient.Do(request)
	if err != nil {
		m.T.Errorf("%s %s: %v", method, path, err)
		return Response{}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	read, err := io.ReadAll(response.Body)
	if err != nil {
		m.T.Errorf("%s %s: %v", method, path, err)
	}
	return Response{response.StatusCode, response.Header, string(read)}
}

// DoAs sends a request to the first server that must be answered with the status.
func (m *OrderCloud) DoAs(t *testing.T, token string, status int, method, path string, body any, header ...string) Response {
	t.Helper()
	got := m.Send(m.First, token, method, path, body, header...)
	if got.Status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, got.Status, got.Body, status)
	}
	return got
}

// Do is DoAs with the token of the administrator.
func (m *OrderCloud) Do(t *testing.T, status int, method, path string, body any, header ...string) Response {
	t.Helper()
	return m.DoAs(t, m.AdminToken, status, method, path, body, header...)
}

// SendForm sends a form.
func (m *OrderCloud) SendForm(n *Server, path string, fields ...string) Response {
	return m.Send(n, "", http.MethodPost, path, EncodeForm(fields...), "Content-Type", FormMedia)
}

// SignIn requests a token through a public client, by a password or a code.
func (m *OrderCloud) SignIn(n *Server, clientID, username, secret string, more ...string) Response {
	return m.SendForm(n, "/oauth/token", append([]string{
		"grant_type", "password", "username", username, "password", secret, "client_id", clientID,
	}, more...)...)
}

// Refresh sends a refresh token of a public client.
func (m *OrderCloud) Refresh(n *Server, clientID, token string) Response {
	return m.SendForm(n, "/oauth/token", "grant_type", "refresh_token", "client_id", clientID, "refresh_token", token)
}

// OnBothServers fails the test unless the condition is true at once on the first server, which
// made the change, and soon on the second server.
func (m *OrderCloud) OnBothServers(t *testing.T, what string, holds func(n *Server) bool) {
	t.Helper()
	if !holds(m.First) {
		t.Errorf("not true at once on the first server: %s", what)
	}
	Eventually(t, what, func() bool { return holds(m.Second) })
}

// AwaitAgreement waits until both servers answer the same at the paths, so that either may
// process the next request.
func (m *OrderCloud) AwaitAgreement(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		want := m.Send(m.First, m.AdminToken, http.MethodGet, path, nil)
		Eventually(t, "the servers agree on "+path, func() bool { return m.Send(m.Second, m.AdminToken, http.MethodGet, path, nil).Body == want.Body })
	}
}

// Members returns the members of a JSON object, without those that differ from run to run.
func (a Response) Members(t *testing.T, without ...string) map[string]any {
	t.Helper()
	o := a.JSON(t)
	for _, name := range without {
		if _, ok := o[name]; !ok {
			t.Errorf("got no member %s in %s", name, a.Body)
		}
		delete(o, name)
	}
	return o
}

// MustEqualJSON fails the test unless the body equals the JSON in want. Members in without
// are ignored.
func (a Response) MustEqualJSON(t *testing.T, want string, without ...string) {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(want), &o); err != nil {
		t.Fatalf("decode %[2]s: %[1]v", err, want)
	}
	if diff := cmp.Diff(o, a.Members(t, without...)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// MustRefuseV1 fails the test unless the response is a refusal of /v1 with the status and
// the literal body.
func (a Response) MustRefuseV1(t *testing.T, status int, body string) {
	t.Helper()
	if a.Status != status || a.Body != body {
		t.Errorf("got %d %s, want %d %s", a.Status, a.Body, status, body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
	if challenge := a.Header.Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("got %d with WWW-Authenticate %q", status, challenge)
	}
}

// ErrorBody returns the body of a refusal of /v1 with one error. data is JSON.
func ErrorBody(code, message, data string) string {
	return `{"Errors":[{"ErrorCode":"` + code + `","Message":"` + message + `","Data":` + data + `}]}`
}

func ObjectData(kind, id string) string {
	return `{"ObjectID":"` + id + `","ObjectType":"` + kind + `"}`
}

func NotFoundBody(kind, id string) string {
	return ErrorBody("NotFound", "Object not found.", ObjectData(kind, id))
}

// Bodies of refusals of /v1.
var (
	RevokedTokenBody        = ErrorBody("Auth.TokenRevoked", "The provided token has been revoked. Please re-authenticate.", "null")
	InvalidTokenBody        = ErrorBody("InvalidToken", "Access token is invalid or expired.", "null")
	InvalidVerificationBody = ErrorBody("PasswordReset.InvalidVerification", "Incorrect verification code or username.", "null")
	StaleBody               = ErrorBody("PreconditionFailed", "The object was changed since it was read.", "null")
)

// SenderMessage is a message as a webhook receives it.
type SenderMessage struct {
	Path   string
	Header http.Header
	Body   []byte

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

// SenderInbox is the webhook of all message senders. Unlike Inbox it accepts any shared key.
type SenderInbox struct {
	URL      string
	messages chan SenderMessage
}

func NewSenderInbox(t testing.TB) *SenderInbox {
	t.Helper()
	b := &SenderInbox{messages: make(chan SenderMessage, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		l := SenderMessage{Path: r.URL.Path, Header: r.Header, Body: body}
		if err == nil {
			err = json.Unmarshal(body, &l)
		}
		if err != nil {
			t.Errorf("got the message %s: %v", body, err)
		}
		b.messages <- l
		rw.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(server.Close)
	b.URL = server.URL
	return b
}

// Next waits for the next message, which must have the type and be signed with the key.
func (b *SenderInbox) Next(t *testing.T, messageType, key string) SenderMessage {
	t.Helper()
	select {
	case l := <-b.messages:
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(l.Body)
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); l.Header.Get("X-Oc-Hash") != want {
			t.Errorf("got a message with hash %q, want %q: %s", l.Header.Get("X-Oc-Hash"), want, l.Body)
		}
		if l.MessageType != messageType {
			t.Fatalf("got a message of type %s, want %s: %s", l.MessageType, messageType, l.Body)
		}
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("got no message in 30s")
		return SenderMessage{}
	}
}

// RequestMessage sends a request for a message, which must be accepted. It waits until the
// request and its messages have ended, and returns the steps of the timeline after the first.
func (m *OrderCloud) RequestMessage(t *testing.T, path string, body any) (steps []string) {
	t.Helper()
	got := m.DoAs(t, "", http.StatusNoContent, http.MethodPost, path, body)
	if got.Body != "" {
		t.Errorf("%s: got the body %s, want none", path, got.Body)
	}
	return m.AwaitSteps(t, "TraceID", got.Header.Get("X-Request-Id"))
}

// AwaitSteps waits until the request whose field has the value has ended. It returns the steps
// of its timeline after the first.
func (m *OrderCloud) AwaitSteps(t *testing.T, field, value string) (steps []string) {
	t.Helper()
	var found struct {
		Items []struct {
			ID         string
			ResolvedAt *time.Time
			Timeline   []struct{ Step, Detail string }
		}
	}
	// read reports whether there was an answer. A busy machine may answer 503.
	read := func(path string, into any) bool {
		got := m.Send(m.First, m.AdminToken, http.MethodGet, "/v1/onetimepasswordrequests"+path, nil)
		if got.Status == http.StatusServiceUnavailable {
			return false
		}
		if err := json.Unmarshal([]byte(got.Body), into); err != nil || got.Status != http.StatusOK {
			t.Fatalf("%s: got %d %s", path, got.Status, got.Body)
		}
		return true
	}
	Eventually(t, "the request has ended", func() bool {
		if !read("?"+field+"="+url.QueryEscape(value), &found) {
			return false
		}
		if len(found.Items) != 1 {
			t.Fatalf("got %d requests with %s %s, want one", len(found.Items), field, value)
		}
		if found.Items[0].ResolvedAt == nil || !read("/"+found.Items[0].ID, &found.Items[0]) {
			return false
		}
		steps = nil
		for _, s := range found.Items[0].Timeline[1:] {
			steps = append(steps, s.Step)
		}
		tally := map[string]int{}
		for _, s := range steps {
			tally[s]++
		}
		if tally["nobody_served"]+tally["superseded"] > 0 {
			return true
		}
		return tally["queued"] > 0 && tally["accepted"]+tally["dead"] == tally["queued"]
	})
	return steps
}

// MustBeEmpty fails the test if a message has arrived.
func (b *SenderInbox) MustBeEmpty(t *testing.T, what string) {
	t.Helper()
	select {
	case l := <-b.messages:
		t.Errorf("%s: got the message %s, want none", what, l.Body)
	default:
	}
}

// MustReachNobody fails the test unless a request found no user.
func MustReachNobody(t *testing.T, what string, steps []string) {
	t.Helper()
	if diff := cmp.Diff([]string{"nobody_served"}, steps); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// MustBeDelivered fails the test unless a request became a message that was delivered.
func MustBeDelivered(t *testing.T, what string, steps []string) {
	t.Helper()
	if slices.Contains(steps, "nobody_served") || !slices.Contains(steps, "accepted") {
		t.Errorf("%s: got the steps %v, want a delivery", what, steps)
	}
}

// DecodeSegment decodes a segment of a JWT.
func DecodeSegment(t *testing.T, segment string, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("segment %q: %v", segment, err)
	}
}

const NextPassword = "second-Horse-8-battery"

// The shared key of message senders, and the password of user "ted".
const (
	SenderKey   = "key-of-the-market"
	TedPassword = "correct-Horse-7-battery"
)
