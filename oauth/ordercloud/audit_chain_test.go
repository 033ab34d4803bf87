package ordercloud

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (srv *testServer) auditChain() (chain wire.AuditChain) {
	srv.t.Helper()
	srv.must(json.Unmarshal([]byte(srv.expect(200, "auditor", "GET", "/v1/auditchain", "").body), &chain))
	return chain
}

// TestAuditChain verifies the chain before and after a change of an event.
func TestAuditChain(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.giveProfile("audit", storage.UserParty(srv.user("ada").UID), "AuditReader")
	srv.userToken("auditor", "back-office", "ada", "AuditReader")
	if chain := srv.auditChain(); chain.Head != nil || !chain.EndIntact || chain.LastVerification != nil {
		t.Errorf("empty chain: got %+v", chain)
	}
	for i := range 3 {
		srv.must(srv.store.AddAuditEvents(srv.ctx, []storage.AuditEvent{{Action: fmt.Sprint(i)}}))
	}
	chain := srv.auditChain()
	if chain.Head == nil || !strings.HasPrefix(*chain.Head, "3:") || chain.Events != 3 || chain.FirstEvent != 1 {
		t.Errorf("got the chain %+v", chain)
	}
	const path = "/v1/auditchain/verifications"
	started := srv.expect(201, "auditor", "POST", path, `{}`)
	if again := srv.expect(200, "auditor", "POST", path, `{}`); again.get(t, "ID") != started.get(t, "ID") {
		t.Errorf("started again: got %s, want the same task", again.body)
	}
	srv.recorded()
	srv.runTasks()
	done := srv.awaitTask("auditor", path+"/"+started.get(t, "ID").(string))
	if done.get(t, "Result.Intact") != true || done.get(t, "Result.Events") != json.Number("3") || done.get(t, "Username") != "ada" || done.get(t, "EventsToRead") != json.Number("3") {
		t.Errorf("verified: got %s", done.body)
	}
	if last := srv.auditChain().LastVerification; last == nil || last.Result == nil || !last.Result.Intact {
		t.Errorf("got the last verification %+v", last)
	}
	expect := srv.expect(201, "auditor", "POST", path, fmt.Sprintf(`{"Expect":%q}`, *chain.Head))
	if done := srv.awaitTask("auditor", path+"/"+expect.get(t, "ID").(string)); done.get(t, "Result.Intact") != true {
		t.Errorf("verified: got %s", done.body)
	}
	forger, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(srv.databaseURL, "sqlite:")+"?_pragma=busy_timeout(5000)")
	srv.must(err)
	defer func() { _ = forger.Close() }()
	_, err = forger.ExecContext(srv.ctx, "UPDATE audit_events SET action = 'forged' WHERE action = '1'")
	srv.must(err)
	srv.advance(time.Second)
	broken := srv.awaitTask("auditor", path+"/"+srv.expect(201, "auditor", "POST", path, `{}`).get(t, "ID").(string))
	if broken.get(t, "Result.Intact") != false || broken.get(t, "Result.BrokenAt") != json.Number("2") || broken.get(t, "Result.Reason") == nil {
		t.Errorf("verified: got %s, want a break at 2", broken.body)
	}
	srv.mu.Lock()
	var outcomes []string
	for _, e := range srv.events {
		outcomes = append(outcomes, e.Action+" "+e.Outcome+" "+e.Object+" "+e.Username)
	}
	srv.mu.Unlock()
	want := "[auditchain.verified success AuditChain ada auditchain.verified success AuditChain ada auditchain.verified broken AuditChain ada]"
	if fmt.Sprint(outcomes) != want {
		t.Errorf("got the events %q", outcomes)
	}
	srv.refuses(400, "ValidationFailure", "auditor", "POST", path, `{"Expect":"3"}`)
	srv.refuses(404, "NotFound", "auditor", "GET", path+"/none", "")
	if listed := srv.expect(200, "auditor", "GET", path+"?Username=ada", ""); len(listed.ids(t)) != 3 {
		t.Errorf("listed: got %s", listed.body)
	}
}

// TestAuditEventsAboutUsers finds the events of a user by its ID and its username.
func TestAuditEventsAboutUsers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for i, e := range []storage.AuditEvent{
		{Action: "sign_in", UserUID: "uid-ann", Username: "Ann"},
		{Action: "sign_in", Username: "ann", Outcome: "wrong_credentials"},
		{Action: "user.updated", Object: "User/acme/ann", UserUID: "uid-ada"},
		{Action: "adminuser.updated", Object: "AdminUser/ann", UserUID: "uid-ada"},
		{Action: "login.unlocked", Object: "Login/default/ann", Username: "operator"},
		{Action: "user.updated", Object: "User/acme/joann"},
		{Action: "apiclient.updated", Object: "ApiClient/ann"},
		{Action: "sign_in", UserUID: "uid-joann", Username: "joann"},
	} {
		e.Factor, e.Time = fmt.Sprint(i), srv.now().Add(time.Duration(i)*time.Minute)
		srv.must(srv.store.AddAuditEvents(srv.ctx, []storage.AuditEvent{e}))
	}
	for query, want := range map[string]string{
		"about=ann":                    "012346", // the ID of a client may be that of a user
		"about=uid-ann|ann":            "012346",
		"about=uid-ann":                "0",
		"about=uid-ada|joann":          "2357",
		"about=ann&Action=sign_in":     "01",
		"Time=%3E2026-03-01T12:05:30Z": "67",
		"Time=%3E%3D2026-03-01T12:05:00Z&Time=%3C2026-03-01T12:07:00Z": "56",
	} {
		var listed struct{ Items []wire.AuditEvent }
		srv.must(json.Unmarshal([]byte(srv.expect(200, "root", "GET", "/v1/auditevents?sortBy=ID&"+query, "").body), &listed))
		exported := srv.expect(200, "root", "GET", "/v1/auditevents/export?"+query, "")
		got, lines := "", ""
		for _, e := range listed.Items {
			got += *e.Factor
		}
		for line := range strings.Lines(exported.body) {
			var e wire.ExportedAuditEvent
			srv.must(json.Unmarshal([]byte(line), &e))
			lines += e.Factor
		}
		if got != want || lines != want {
			t.Errorf("%s: got the list %s and the export %s, want %s", query, got, lines, want)
		}
	}
	srv.refuses(400, "ValidationFailure", "root", "GET", "/v1/auditevents?about=a*", "")
	srv.refuses(400, "ValidationFailure", "root", "GET", "/v1/auditevents?about="+strings.Repeat("a%7C", 20), "")
}

// TestAuditExport tests that an export is recorded, that it is refused where the list is
// refused, and that at most two run at the same time.
func TestAuditExport(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.clientToken("auditor", "back-office", "AuditReader")
	srv.clientToken("other", "back-office", "SecurityProfileAdmin", "OneTimePasswordAdmin")
	batch := make([]storage.AuditEvent, 900)
	for range 5 {
		srv.must(srv.store.AddAuditEvents(srv.ctx, batch))
	}
	a := srv.expect(200, "auditor", "GET", "/v1/auditevents/export", "")
	if strings.Count(a.body, "\n") != 4500 || a.header.Get("Content-Type") != "application/x-ndjson" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d lines, %v", strings.Count(a.body, "\n"), a.header)
	}
	if got := srv.recorded(); fmt.Sprint(got) != "[auditevents.exported AuditEvents]" {
		t.Errorf("got the events %q", got)
	}
	srv.refuses(400, "ValidationFailure", "auditor", "GET", "/v1/auditevents/export?Time=yesterday", "")
	srv.refuses(400, "InvalidQuery", "auditor", "GET", "/v1/auditevents/export?Object="+strings.Repeat("*a", 600), "")
	srv.refuses(403, "Auth.InsufficientRoles", "other", "GET", "/v1/auditevents/export", "")
	srv.refuses(403, "Auth.InsufficientRoles", "other", "GET", "/v1/auditchain", "")
	srv.refuses(403, "Auth.InsufficientRoles", "other", "POST", "/v1/auditchain/verifications", "{}")
	if got := srv.recorded(); len(got) != 0 {
		t.Errorf("refused exports: got the events %q, want none", got)
	}
	api, err := New(srv.config)
	srv.must(err)
	for range maxExports {
		api.exports <- struct{}{}
	}
	srv.mux = http.NewServeMux()
	api.Mount(srv.mux)
	if a := srv.refuses(429, "TooManyRequests", "auditor", "GET", "/v1/auditevents/export", ""); a.header.Get("Retry-After") == "" {
		t.Errorf("got no Retry-After in %v", a.header)
	}
	<-api.exports
	for range 3 {
		srv.expect(200, "auditor", "GET", "/v1/auditevents/export", "")
	}
}
