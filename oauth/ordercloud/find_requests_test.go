package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// found lists the requests that a caller finds.
func (srv *testServer) found(token, path, wanted string) string {
	srv.t.Helper()
	return fmt.Sprint(srv.expect(200, token, "GET", path+"?find="+wanted, "").ids(srv.t))
}

func TestFindRequests(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	const path = "/v1/onetimepasswordrequests"
	srv.request("r1", true) // names "Ann"
	srv.advance(time.Second)
	ask := func(id, username, email string) {
		srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
			ID: id, Type: storage.MessageOneTimePassword, ClientID: "shop", ProfileID: storage.DefaultProfileID, Username: username, Email: email,
			TraceID: "t-" + id, CreatedAt: srv.now(), ExpiresAt: srv.now().Add(10 * time.Minute),
		}))
		srv.advance(time.Second)
	}
	ask("r2", "", "ANN@example.com")
	ask("r3", "gus", "")
	ask("r4", "nobody", "")
	for wanted, want := range map[string]string{
		"ann": "[r2 r1]", "Ann@Example.com": "[r2 r1]", "an": "[]", "nobody": "[r4]", "r1": "[r1]", "msg-r1": "[r1]", "t-r3": "[r3]", "ann*": "[]", "msg-none": "[]",
	} {
		if got := srv.found("root", path, wanted); got != want {
			t.Errorf("%q finds %s, want %s", wanted, got, want)
		}
	}
	if got := fmt.Sprint(srv.expect(200, "root", "GET", path+"?find=ann&CreatedAt=%3E2026-03-01T12:00:00Z", "").ids(t)); got != "[r2]" {
		t.Errorf("with a filter: %s", got)
	}
	srv.refuses(400, "ValidationFailure", "root", "GET", path+"?find=a&find=b", "")
	var states []string
	for _, id := range []string{"r1", "r2"} {
		states = append(states, fmt.Sprint(srv.expect(200, "root", "GET", path+"/"+id, "").get(t, "State")))
	}
	if fmt.Sprint(states) != "[queued waiting]" {
		t.Errorf("states %s", states)
	}
}

// A company's administrator sees the codes of its users only, by the list, by the IDs and
// by the retry.
func TestRequestsOfACompany(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	const acme, globex = "/v1/buyers/acme/onetimepasswordrequests", "/v1/buyers/globex/onetimepasswordrequests"
	srv.userToken("ann", "shop", "ann", "OneTimePasswordAdmin")
	srv.userToken("gus", "shop", "gus", "OneTimePasswordAdmin")
	srv.userToken("reader", "shop", "ann", "OneTimePasswordReader")
	srv.userToken("ann-without", "shop", "ann", "BuyerUserAdmin")
	srv.request("r1", true)
	srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
		ID: "unknown", Type: storage.MessageOneTimePassword, ProfileID: storage.DefaultProfileID, Username: "stranger",
		CreatedAt: srv.now(), ExpiresAt: srv.now().Add(time.Hour),
	}))
	srv.both("both")
	for _, x := range []struct{ token, path, wanted, want string }{
		{"ann", acme, "ann", "[r1]"},
		{"ann", acme, "gus", "[]"},
		{"ann", acme, "stranger", "[]"},
		{"ann", acme, "r1", "[r1]"},
		{"gus", globex, "ann", "[]"},
		{"gus", globex, "r1", "[]"},
		{"gus", globex, "msg-r1", "[]"},
		{"gus", globex, "both", "[both]"},
		{"root", globex, "ann", "[]"},
		{"root", acme, "ann", "[r1]"},
	} {
		got := srv.expect(200, x.token, "GET", x.path+"?find="+x.wanted+"&sortBy=!ID", "").ids(t)
		if fmt.Sprint(got) != x.want {
			t.Errorf("%s finds %v by %s, want %s", x.token, got, x.wanted, x.want)
		}
	}
	srv.refuses(400, "ValidationFailure", "gus", "GET", globex, "")
	srv.refuses(404, "NotFound", "gus", "GET", globex+"/r1", "")
	srv.refuses(404, "NotFound", "gus", "GET", globex+"/msg-r1", "")
	srv.refuses(404, "NotFound", "gus", "GET", globex+"/both-ann", "")
	srv.refuses(404, "NotFound", "gus", "GET", acme, "")
	srv.refuses(403, "Auth.InsufficientRoles", "gus", "GET", "/v1/onetimepasswordrequests", "")
	srv.refuses(403, "Auth.InsufficientRoles", "gus", "GET", "/v1/onetimepasswordrequests/funnel", "")
	srv.refuses(403, "Auth.InsufficientRoles", "ann-without", "GET", acme, "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", acme+"/r1/messages/msg-r1/retry", "")
	srv.refuses(404, "NotFound", "gus", "POST", globex+"/r1/messages/msg-r1/retry", "")
	srv.refuses(404, "NotFound", "gus", "POST", globex+"/both/messages/both-ann/retry", "")
	// The request that reached both is repeated for both, so neither company may.
	srv.refuses(409, "Message.NoRetry", "gus", "POST", globex+"/both/messages/both-gus/retry", "")
	srv.expect(200, "ann", "POST", acme+"/r1/messages/msg-r1/retry", "")
	for token, path := range map[string]string{"ann": acme, "gus": globex} {
		var r wire.CodeRequest
		srv.must(json.Unmarshal([]byte(srv.expect(200, token, "GET", path+"/both", "").body), &r))
		if len(r.Messages) != 1 || r.Messages[0].ID != "both-"+token {
			t.Errorf("%s sees %+v", token, r.Messages)
		}
		for _, step := range r.Timeline {
			if step.MessageID != nil && *step.MessageID != "both-"+token {
				t.Errorf("%s sees %+v", token, step)
			}
		}
	}
	got := srv.expect(200, "root", "GET", "/v1/onetimepasswordrequests/both-gus", "")
	if !strings.Contains(got.body, "both-gus") || strings.Contains(got.body, "both-ann") {
		t.Errorf("by the ID of a message: %s", got.body)
	}
}

// A company that gives one of its users the address of somebody else does not see what that
// person asked for before.
func TestRequestsOfAForeignAddress(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	const globex = "/v1/buyers/globex/onetimepasswordrequests"
	srv.userToken("gus", "shop", "gus", "OneTimePasswordAdmin")
	srv.reminder("anns", "ann@example.com", "ann")
	srv.reminder("nobodys", "ann@example.com")
	srv.expect(200, "root", "PATCH", "/v1/buyers/globex/users/gus", `{"Email":"ann@example.com"}`)
	srv.reminder("shared", "ann@example.com", "ann", "gus")
	if got := srv.found("gus", globex, "ann@example.com"); strings.Contains(got, "anns") || !strings.Contains(got, "shared") || !strings.Contains(got, "nobodys") {
		t.Errorf("gus finds %s", got)
	}
	srv.refuses(404, "NotFound", "gus", "GET", globex+"/anns", "")
}

// both stores a request that reminded ann and gus of their usernames.
func (srv *testServer) both(id string) {
	srv.t.Helper()
	srv.reminder(id, "shared@example.com", "ann", "gus")
	for _, name := range []string{"ann", "gus"} {
		srv.must(srv.store.FinishAttempt(srv.ctx, storage.Attempt{MessageID: srv.claim(id + "-" + name), Number: 1, State: storage.MessageDead, Error: "410", Now: srv.now()}))
	}
}

// reminder stores a request by e-mail address that reminded users of their usernames.
func (srv *testServer) reminder(id, email string, names ...string) {
	srv.t.Helper()
	srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
		ID: id, Type: storage.MessageForgottenUsername, ProfileID: storage.DefaultProfileID, Email: email,
		CreatedAt: srv.now(), ExpiresAt: srv.now().Add(time.Hour),
	}))
	x := storage.Issuance{RequestID: id, Now: srv.now()}
	for _, name := range names {
		login := srv.login(name)
		x.Notices = append(x.Notices, storage.IssuedNotice{LoginID: login.ID, Messages: []storage.Message{{
			ID: id + "-" + name, RequestID: id, SenderID: "hook", Type: storage.MessageForgottenUsername, UserUID: login.UserUID,
			Payload: storage.Sealed{KeyID: "k", Data: []byte("x")}, State: storage.MessageQueued, RunAt: srv.now(), ExpiresAt: srv.now().Add(time.Hour), CreatedAt: srv.now(),
		}}})
	}
	_, err := srv.store.IssueCodes(srv.ctx, x)
	srv.must(err)
}

// claim claims a message for its only attempt.
func (srv *testServer) claim(id string) string {
	srv.t.Helper()
	m, err := srv.store.Message(srv.ctx, id)
	srv.must(err)
	if m.Attempts == 0 {
		_, err = srv.store.ClaimMessages(srv.ctx, srv.now(), srv.now(), 10)
		srv.must(err)
	}
	return id
}

func TestFunnel(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.request("r1", true)
	srv.attempt("msg-r1", storage.MessageDelivered, "")
	srv.advance(90 * time.Second)
	got := srv.expect(200, "root", "GET", "/v1/onetimepasswordrequests/funnel", "").body
	counts := `"Requested":1,"Delivered":1,"Redeemed":0,"Expired":0,"Dead":0,"Guessed":0,"AtLeast":false}`
	want := `{"Until":"2026-03-01T12:01:00Z","Periods":[{"Since":"2026-03-01T11:01:00Z",` + counts + `,{"Since":"2026-02-28T12:01:00Z",` + counts + `]}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A request does not wait for the counts of another one for longer than it may take.
func TestFunnelIsNotAwaited(t *testing.T) {
	t.Parallel()
	a := oneTimePasswordRequests{API: &API{counting: make(chan struct{}, 1)}}
	a.cfg.Now = time.Now
	a.counting <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/onetimepasswordrequests/funnel", nil)
	if _, err := a.funnel(&call{Request: r}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the time of the request", err)
	}
}

// Each caller sees the checks of what it may see.
func TestStatus(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.must(srv.store.AddAuditEvents(srv.ctx, []storage.AuditEvent{{Action: "a", Time: srv.now()}}))
	checks := func(token string) (names, faults []string) {
		t.Helper()
		var w wire.Status
		srv.must(json.Unmarshal([]byte(srv.expect(200, token, "GET", "/v1/status", "").body), &w))
		for _, c := range w.Checks {
			names = append(names, c.Name)
			if c.State != "ok" {
				faults = append(faults, fmt.Sprintf("%s %s %d %v", c.Name, c.State, c.Count, c.About))
			}
		}
		return names, faults
	}
	srv.clientToken("auditor", "back-office", "AuditReader")
	srv.clientToken("postman", "back-office", "OneTimePasswordReader", "MessageSenderReader")
	srv.clientToken("other", "back-office", "ApiClientAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "other", "GET", "/v1/status", "")
	if names, _ := checks("auditor"); fmt.Sprint(names) != "[audit_chain]" {
		t.Errorf("an auditor sees %s", names)
	}
	if names, _ := checks("postman"); fmt.Sprint(names) != "[dead_letters senders]" {
		t.Errorf("a reader of codes and senders sees %s", names)
	}
	if names, faults := checks("root"); len(names) != len(statusChecks()) || len(faults) > 0 {
		t.Errorf("checks %s, faults %s", names, faults)
	}
	srv.verifications = []storage.Task{{State: storage.TaskRunning}, {State: storage.TaskDone, EndedAt: srv.now(), Result: []byte(`{"Break":{"Seq":3,"Why":"it is missing"}}`)}}
	if _, faults := checks("auditor"); !slices.Equal(faults, []string{"audit_chain failing 1 []"}) {
		t.Errorf("after a verification of the whole chain that found a break: %q", faults)
	}
	srv.verifications = []storage.Task{{State: storage.TaskDone, EndedAt: srv.now(), Result: []byte(`{}`)}}
	srv.request("r1", true)
	srv.attempt("msg-r1", storage.MessageDead, "410 Gone")
	if _, faults := checks("root"); !slices.Equal(faults, []string{"dead_letters failing 1 [hook]", "senders warning 1 [hook]"}) {
		t.Errorf("faults %q", faults)
	}
	srv.request("r2", true)
	srv.attempt("msg-r2", storage.MessageQueued, "503")
	if _, faults := checks("postman"); !slices.Equal(faults, []string{"dead_letters failing 1 [hook]", "senders failing 1 [hook]"}) {
		t.Errorf("faults %q", faults)
	}
	srv.advance(101 * 24 * time.Hour)
	if _, faults := checks("root"); !slices.ContainsFunc(faults, func(s string) bool { return strings.HasPrefix(s, "signing_keys warning 1") }) ||
		!slices.ContainsFunc(faults, func(s string) bool { return strings.HasPrefix(s, "retention warning") }) {
		t.Errorf("faults %q", faults)
	}
}
