package ordercloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	const path = "/v1/signingkeys"
	list := func(query string) []wire.SigningKey {
		var page struct{ Items []wire.SigningKey }
		srv.must(json.Unmarshal([]byte(srv.expect(200, "root", "GET", path+query, "").body), &page))
		return page.Items
	}
	first := list("")
	if len(first) != 1 || first[0].State != "active" || first[0].Alg != "ES256" || first[0].RetiresAt != nil {
		t.Fatalf("got the keys %+v, want one active key", first)
	}
	srv.recorded()
	rotated := srv.expect(200, "root", "POST", path+"/rotate", `{"Alg":"ES256"}`)
	heir, _ := rotated.get(t, "ID").(string)
	if rotated.get(t, "State") != "announced" || heir == first[0].ID {
		t.Errorf("rotated: got %s", rotated.body)
	}
	if again := srv.expect(200, "root", "POST", path+"/rotate", "").get(t, "ID"); again != heir {
		t.Errorf("rotated again: got %v, want %s", again, heir)
	}
	srv.expect(200, "root", "POST", path+"/rotate", "{}")
	if got := list("?State=announced&Alg=es*&sortBy=!CreatedAt"); len(got) != 1 || got[0].ID != heir {
		t.Errorf("announced: got %+v", got)
	}
	if shown := srv.expect(200, "root", "GET", path+"/"+heir, "").body; strings.Contains(shown, "rivate") || !strings.Contains(shown, `"ActivatesAt":"2026-03-01T12:01:00Z"`) {
		t.Errorf("got %s", shown)
	}
	srv.expect(204, "root", "POST", path+"/"+first[0].ID+"/revoke", "")
	srv.expect(204, "root", "POST", path+"/"+first[0].ID+"/revoke", "")
	if got := list("?State=active"); len(got) != 1 || got[0].ID != heir {
		t.Errorf("active: got %+v", got)
	}
	srv.refuses(404, "NotFound", "root", "POST", path+"/none/revoke", "")
	srv.refuses(404, "NotFound", "root", "GET", path+"/none", "")
	srv.refuses(400, "ValidationFailure", "root", "POST", path+"/rotate", `{"Alg":"HS256"}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", path+"/rotate", `{"Algorithm":"ES256"}`)
	if got := srv.recorded(); len(got) != 5 || got[0] != "signingkey.rotated SigningKey/"+heir || got[4] != "signingkey.revoked SigningKey/"+first[0].ID {
		t.Errorf("got the events %q", got)
	}
	srv.clientToken("reader", "back-office", "SigningKeyReader")
	srv.expect(200, "reader", "GET", path, "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", path+"/rotate", "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", path+"/"+heir+"/revoke", "")
}

func TestAuditEvents(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	at := srv.now()
	srv.must(srv.store.AddAuditEvents(srv.ctx, []storage.AuditEvent{
		{Time: at, Action: "sign_in", Outcome: "success", ClientID: "shop", UserUID: "usr_1", Username: "ann", Factor: "otp", TraceID: "t1", Source: "192.0.2.1"},
		{Time: at.Add(time.Hour), Action: "sign_in", Outcome: "wrong_credentials", ClientID: "shop", Username: "bob"},
		{Time: at.Add(2 * time.Hour), Action: "message.delivered", Outcome: "success", Object: "Message/m", Took: 1500 * time.Millisecond},
	}))
	srv.clientToken("auditor", "back-office", "AuditReader")
	const path = "/v1/auditevents"
	ids := srv.expect(200, "auditor", "GET", path+"?sortBy=ID", "").ids(t)
	if len(ids) != 3 {
		t.Fatalf("got the events %v, want 3", ids)
	}
	first, second, third := ids[0], ids[1], ids[2]
	for query, want := range map[string][]string{
		"": {third, second, first}, "?sortBy=Time": {first, second, third}, "?Action=sign_in": {second, first},
		"?Outcome=!success": {second}, "?ClientID=SHOP&Username=ann": {first}, "?UserID=usr_1": {first}, "?TraceID=t1": {first},
		"?Time=%3E%3D2026-03-01T13:00:00Z&Time=%3C2026-03-01T14:00:00Z": {second}, "?Object=Message/*": {third}, "?search=deliv": {third},
		"?pageSize=1&page=2": {second},
	} {
		if diff := cmp.Diff(want, srv.expect(200, "auditor", "GET", path+query, "").ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	want := `{"ID":"` + third + `","Time":"2026-03-01T14:00:00Z","Action":"message.delivered","Outcome":"success","ClientID":null,"UserID":null,` +
		`"Username":null,"Factor":null,"Object":"Message/m","Changed":[],"TraceID":null,"Source":null,"Took":1500}`
	if got := srv.expect(200, "auditor", "GET", path+"/"+third, ""); got.body != want || got.header.Get("ETag") != "" {
		t.Errorf("got %s", got.body)
	}
	srv.refuses(404, "NotFound", "auditor", "GET", path+"/aud_4", "")
	srv.refuses(404, "NotFound", "root", "DELETE", path+"/"+third, "")
	srv.refuses(403, "Auth.InsufficientRoles", "auditor", "GET", "/v1/apiclients", "")
	srv.clientToken("other", "back-office", "ApiClientAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "other", "GET", path, "")
}

// request stores a request of ann. If resolved, one message answers it.
func (srv *testServer) request(id string, resolved bool) (code string) {
	srv.t.Helper()
	login := srv.login("ann")
	srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
		ID: id, Type: storage.MessageOneTimePassword, ClientID: "shop", ProfileID: storage.DefaultProfileID, Username: "Ann",
		Purpose: storage.PurposeSignIn, TraceID: "t-" + id, CreatedAt: srv.now(), ExpiresAt: srv.now().Add(10 * time.Minute),
	}))
	if !resolved {
		return ""
	}
	const secret = "K7QM2XWR"
	_, err := srv.store.IssueCodes(srv.ctx, storage.Issuance{
		RequestID: id, Now: srv.now(),
		Codes: []storage.IssuedCode{{
			LoginID: login.ID,
			Code: storage.Code{
				ID: "code-" + id, RequestID: id, ClientID: "shop", Purpose: storage.PurposeSignIn,
				Digest: storage.Digest{PepperID: "p", Sum: []byte(secret)}, ExpiresAt: srv.now().Add(10 * time.Minute),
			},
			Messages: []storage.Message{{
				ID: "msg-" + id, RequestID: id, SenderID: "hook", Type: storage.MessageOneTimePassword, UserUID: login.UserUID,
				Payload: storage.Sealed{KeyID: "k", Data: []byte(secret)}, State: storage.MessageQueued,
				RunAt: srv.now(), ExpiresAt: srv.now().Add(10 * time.Minute), CreatedAt: srv.now(),
			}},
		}},
	})
	srv.must(err)
	return secret
}

// attempt ends a delivery of the message in the state after 250 ms.
func (srv *testServer) attempt(messageID string, state storage.MessageState, problem string) {
	srv.t.Helper()
	claimed, err := srv.store.ClaimMessages(srv.ctx, srv.now(), srv.now().Add(time.Minute), 10)
	srv.must(err)
	for _, m := range claimed {
		if m.ID != messageID {
			continue
		}
		began := srv.now()
		srv.advance(250 * time.Millisecond)
		srv.must(srv.store.FinishAttempt(srv.ctx, storage.Attempt{
			MessageID: m.ID, Number: m.Attempts, State: state, Error: problem, BeganAt: began, RunAt: srv.now().Add(5 * time.Minute), Now: srv.now(),
		}))
		return
	}
	srv.t.Fatalf("the message %s was not claimed", messageID)
}

func TestRequestTimeline(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	woken := 0
	srv.config.Wake = func() { woken++ }
	srv.rebuild()
	code := srv.request("r1", true)
	srv.advance(time.Second)
	srv.attempt("msg-r1", storage.MessageQueued, "500 Internal Server Error")
	srv.request("r2", false)
	srv.recorded()
	const path = "/v1/onetimepasswordrequests"
	listed := srv.expect(200, "root", "GET", path, "")
	want := `{"ID":"r1","Type":"OneTimePassword","ClientID":"shop","Username":"Ann","Email":null,"TraceID":"t-r1",` +
		`"CreatedAt":"2026-03-01T12:00:00Z","ExpiresAt":"2026-03-01T12:10:00Z","ResolvedAt":"2026-03-01T12:00:00Z","State":"queued"}`
	if !strings.HasSuffix(listed.body, want+"]}") || fmt.Sprint(listed.ids(t)) != "[r2 r1]" {
		t.Errorf("listed: got %s", listed.body)
	}
	for query, want := range map[string]string{
		"?ResolvedAt=!*": "[r2]", "?ResolvedAt=*": "[r1]", "?Username=ann&sortBy=CreatedAt": "[r1 r2]", "?ClientID=other": "[]",
		"?CreatedAt=%3C2026-03-01T12:00:01Z": "[r1]", "?Type=OneTime*&search=an&TraceID=t-r2": "[r2]",
	} {
		if got := fmt.Sprint(srv.expect(200, "root", "GET", path+query, "").ids(t)); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	steps := func(id string) string {
		got := srv.expect(200, "root", "GET", path+"/"+id, "")
		if strings.Contains(got.body, code) {
			t.Errorf("got a code in %s, want none", got.body)
		}
		var r wire.CodeRequest
		srv.must(json.Unmarshal([]byte(got.body), &r))
		var all []string
		for _, s := range r.Timeline {
			all = append(all, strings.TrimSuffix(fmt.Sprintf("%s:%v", s.Step, surface.ValueOr(s.Milliseconds, 0)), ":0"))
		}
		return strings.Join(all, " ")
	}
	if got := steps("r1"); got != "asked issued queued failed:250" {
		t.Errorf("got steps %s, want asked issued queued failed:250", got)
	}
	if got := steps("r2"); got != "asked" {
		t.Errorf("got steps %s, want asked", got)
	}
	retry := path + "/r1/messages/msg-r1/retry"
	if got := srv.expect(200, "root", "POST", retry, "").body; got != `{"RequestID":"r1","MessageID":"msg-r1"}` || woken != 1 {
		t.Errorf("retry: got %s, and the worker was woken %d times, want once", got, woken)
	}
	srv.attempt("msg-r1", storage.MessageDead, "410 Gone")
	again, _ := srv.expect(200, "root", "POST", retry, "").get(t, "RequestID").(string)
	if again == "r1" || fmt.Sprint(srv.expect(200, "root", "GET", path+"/"+again, "").get(t, "Username")) != "ann" || woken != 2 {
		t.Errorf("retry of a dead message: got the request %q, want a new one", again)
	}
	srv.refuses(404, "NotFound", "root", "GET", path+"/none", "")
	srv.refuses(404, "NotFound", "root", "POST", path+"/none/messages/msg-r1/retry", "")
	srv.refuses(404, "NotFound", "root", "POST", path+"/r2/messages/msg-r1/retry", "")
	srv.advance(time.Hour)
	if got := steps("r1"); got != "asked issued queued failed:250 dead:250 expired" {
		t.Errorf("got steps %s, want asked issued queued failed:250 dead:250 expired", got)
	}
	a := srv.refuses(409, "Message.NoRetry", "root", "POST", retry, "")
	if !strings.Contains(a.body, "its code expired at") || woken != 2 {
		t.Errorf("got the refusal %s", a.body)
	}
	if got := srv.recorded(); len(got) != 2 || got[0] != "message.retried Message/msg-r1" {
		t.Errorf("got the events %q", got)
	}
	srv.clientToken("reader", "back-office", "OneTimePasswordReader")
	srv.expect(200, "reader", "GET", path+"/r1", "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", retry, "")
}

// rebuild creates the API again with a changed configuration.
func (srv *testServer) rebuild() {
	srv.t.Helper()
	api, err := New(srv.config)
	srv.must(err)
	srv.mux = http.NewServeMux()
	api.Mount(srv.mux)
}
