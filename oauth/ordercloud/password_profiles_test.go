package ordercloud

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// runTasks runs tasks in the background until the test ends.
func (srv *testServer) runTasks() {
	ctx, stop := context.WithCancel(srv.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.config.Tasks.Run(ctx)
	}()
	srv.t.Cleanup(func() { stop(); <-done })
}

// awaitTask reads the path until its task has ended.
func (srv *testServer) awaitTask(token, path string) answer {
	srv.t.Helper()
	for range 1000 {
		a := srv.expect(200, token, "GET", path, "")
		if state := a.get(srv.t, "State"); state == "done" || state == "failed" {
			return a
		}
		time.Sleep(5 * time.Millisecond)
	}
	srv.t.Fatalf("%s did not end in time", path)
	return answer{}
}

func TestPasswordProfiles(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.recorded()
	const path = "/v1/passwordprofiles/default"
	listed := srv.expect(200, "root", "GET", "/v1/passwordprofiles?OneTimePasswords=true&search=def", "")
	if fmt.Sprint(listed.ids(t)) != "[default]" {
		t.Errorf("listed: got %s, want default alone", listed.body)
	}
	got := srv.expect(200, "root", "GET", path, "")
	tag := got.header.Get("ETag")
	changed := srv.expect(200, "root", "PATCH", path, `{"AllowedFailedAttempts":5,"LockoutDurationSeconds":90}`, "If-Match", tag)
	if changed.get(t, "AllowedFailedAttempts") != json.Number("5") || changed.header.Get("Latchkey-Changed") != "AllowedFailedAttempts, LockoutDurationSeconds" {
		t.Errorf("changed: got %s, members %q", changed.body, changed.header.Get("Latchkey-Changed"))
	}
	srv.refuses(412, "PreconditionFailed", "root", "PATCH", path, `{"AllowedFailedAttempts":6}`, "If-Match", tag)
	if stored, err := srv.store.PasswordProfile(srv.ctx, "default"); err != nil || stored.Lockout.Threshold != 5 || stored.Lockout.Duration != 90*time.Second {
		t.Errorf("got the stored profile %+v, error %v", stored, err)
	}
	if recorded := srv.recorded(); fmt.Sprint(recorded) != "[passwordprofile.updated PasswordProfile/default]" {
		t.Errorf("got the events %q", recorded)
	}
	for body, want := range map[string]string{
		`{"AllowedFailedAttempts":0}`:                                      "AllowedFailedAttempts",
		`{"AllowedFailedAttempts":100,"LockoutDurationSeconds":1}`:         "AllowedFailedAttempts",
		`{"CodeLength":3}`:                                                 "CodeLength",
		`{"OneTimePasswords":true,"CodeAlphabet":"digits","CodeLength":4}`: "CodeLength",
		`{"CodeAlphabet":"runes"}`:                                         "CodeLength",
		`{"CodeDurationSeconds":5}`:                                        "CodeDurationSeconds",
		`{"UsernameFormat":"x"}`:                                           "UsernameFormat",
		`{"Name":null}`:                                                    "Name",
		`{"ID":"other"}`:                                                   "ID",
	} {
		if a := srv.call("root", "PATCH", path, body); a.status != 400 || a.paths()[0] != want {
			t.Errorf("%s: got %d %s, want a fault at %s", body, a.status, a.body, want)
		}
	}
	srv.refuses(404, "NotFound", "root", "PUT", "/v1/passwordprofiles/none", `{"Name":"n"}`)

	srv.clientToken("reader", "back-office", "SecurityProfileReader")
	srv.expect(200, "reader", "GET", path, "")
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "PATCH", path, `{"Name":"n"}`)
	srv.clientToken("auditor", "back-office", "AuditReader")
	srv.refuses(403, "Auth.InsufficientRoles", "auditor", "GET", path, "")
	// An admin user with more roles signs in with the profile.
	srv.giveProfile("powers", storage.UserParty(srv.user("ada").UID), "BuyerAdmin")
	srv.clientToken("weak", "back-office", "SecurityProfileAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "weak", "PATCH", path, `{"Name":"n"}`)
}

// TestExplainPasswordProfile tests that the explanation of a proposal has other figures than
// that of the stored profile, and that it changes nothing.
func TestExplainPasswordProfile(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.clientToken("reader", "back-office", "SecurityProfileReader")
	const path = "/v1/passwordprofiles/default/explain"
	explain := func(query, body string) (e wire.PasswordProfileExplanation) {
		t.Helper()
		srv.must(json.Unmarshal([]byte(srv.expect(200, "reader", "POST", path+query, body).body), &e))
		return e
	}
	stored, lax, two := explain("", "{}"), explain("", `{"AllowedFailedAttempts":90,"LockoutDurationSeconds":1}`), explain("?replicas=2", "{}")
	if stored.PasswordsAboveCeiling || !lax.PasswordsAboveCeiling || lax.GuessesFirstDay <= stored.GuessesFirstDay {
		t.Errorf("got %+v for the stored profile and %+v for the lax one", stored, lax)
	}
	if two.GuessesFirstDay != 2*stored.GuessesFirstDay || two.Replicas != 2 {
		t.Errorf("two replicas: got %+v", two)
	}
	last := stored.Curve[len(stored.Curve)-1]
	if last.Seconds != 24*3600 || last.PerCounter != stored.GuessesPerCounterAndDay || last.Guesses != stored.GuessesFirstDay {
		t.Errorf("got the end of the curve %+v", last)
	}
	for i := 1; i < len(stored.Curve); i++ {
		if stored.Curve[i].Guesses < stored.Curve[i-1].Guesses {
			t.Errorf("got a falling curve at %d s", stored.Curve[i].Seconds)
		}
	}
	if off := explain("", `{"OneTimePasswords":false}`); off.OneTimePasswords != nil {
		t.Errorf("without one-time passwords: got %+v", off.OneTimePasswords)
	}
	if short := explain("", `{"OneTimePasswords":true,"CodeAlphabet":"digits","CodeLength":6}`); !short.OneTimePasswords.AboveCeiling {
		t.Errorf("six digits: got %+v", short.OneTimePasswords)
	}
	srv.refuses(400, "ValidationFailure", "reader", "POST", path, `{"AllowedFailedAttempts":0}`)
	srv.refuses(400, "ValidationFailure", "reader", "POST", path+"?replicas=0", "{}")
	srv.refuses(404, "NotFound", "reader", "POST", "/v1/passwordprofiles/none/explain", "{}")
	if p, err := srv.store.PasswordProfile(srv.ctx, "default"); err != nil || p.Version != 1 {
		t.Errorf("got a changed profile %+v, error %v", p, err)
	}
}

// TestReplayPolicy replays a proposal over wrong guesses. Only callers that may read audit
// events get the names of logins.
func TestReplayPolicy(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	uid := srv.user("ann").UID
	var events []storage.AuditEvent
	for i := range 5 {
		events = append(events, storage.AuditEvent{
			Time: srv.now().Add(time.Duration(i-100) * time.Second), Action: "sign_in", Outcome: "wrong_credentials", UserUID: uid, Username: "ann", Source: "192.0.2.1",
		})
	}
	srv.must(srv.store.AddAuditEvents(srv.ctx, events))
	srv.clientToken("profiles", "back-office", "SecurityProfileAdmin")
	srv.clientToken("both", "back-office", "SecurityProfileAdmin", "AuditReader")
	srv.clientToken("auditor", "back-office", "AuditReader")
	const path = "/v1/passwordprofiles/default/replays"
	started := srv.expect(201, "profiles", "POST", path, `{"AllowedFailedAttempts":3}`)
	if started.get(t, "State") != "waiting" || started.get(t, "Result") != nil || started.get(t, "AllowedFailedAttempts") != json.Number("3") {
		t.Errorf("started: got %s", started.body)
	}
	srv.recorded()
	srv.runTasks()
	one := path + "/" + started.get(t, "ID").(string)
	done := srv.awaitTask("profiles", one)
	var r wire.PolicyReplay
	srv.must(json.Unmarshal([]byte(done.body), &r))
	if r.Result == nil || r.Result.LockedLogins != 1 || r.Result.Guesses != 5 || r.Result.NewlyRefused != 2 || r.PercentRead != 100 {
		t.Errorf("got the result %s", done.body)
	}
	if strings.Contains(done.body, "ann") || r.Result.ChangedOmitted != 1 {
		t.Errorf("a caller that may not read audit events: got the names of logins in %s", done.body)
	}
	named := srv.expect(200, "both", "GET", one, "")
	srv.must(json.Unmarshal([]byte(named.body), &r))
	if len(r.Result.Changed) != 1 || r.Result.Changed[0].Login != "default/ann" || r.Result.Changed[0].Locks != 1 || *r.Result.Changed[0].LongestLockSeconds != 120 {
		t.Errorf("got the names %s", named.body)
	}
	if listed := srv.expect(200, "both", "GET", path+"?State=done", ""); len(listed.ids(t)) != 1 {
		t.Errorf("listed: got %s", listed.body)
	}
	if got := srv.recorded(); fmt.Sprint(got) != "[passwordprofile.replayed PasswordProfile/default]" {
		t.Errorf("got the events %q", got)
	}
	srv.refuses(403, "Auth.InsufficientRoles", "auditor", "POST", path, `{}`)
	srv.refuses(403, "Auth.InsufficientRoles", "auditor", "GET", one, "")
	srv.refuses(404, "NotFound", "both", "GET", path+"/none", "")
	srv.refuses(404, "NotFound", "both", "GET", "/v1/passwordprofiles/none/replays", "")
	srv.refuses(400, "ValidationFailure", "both", "POST", path, `{"AllowedFailedAttempts":0}`)
	srv.refuses(400, "ValidationFailure", "both", "POST", path, `{"Since":"2100-01-01T00:00:00Z"}`)
	srv.refuses(400, "ValidationFailure", "both", "POST", path, `{"Threshold":3}`)
}

// TestTasksAreBounded tests that a sixth replay is refused, and that the limit of replays does not
// apply to verifications.
func TestTasksAreBounded(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for range 5 {
		srv.expect(201, "root", "POST", "/v1/passwordprofiles/default/replays", `{}`)
	}
	srv.refuses(409, "Task.TooMany", "root", "POST", "/v1/passwordprofiles/default/replays", `{}`)
	srv.expect(201, "root", "POST", "/v1/auditchain/verifications", `{}`)
}
