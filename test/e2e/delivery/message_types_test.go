package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// askForEverything requests one message of each type.
func askForEverything(o kit.Admin, t *testing.T, newcomer string) {
	t.Helper()
	invited := o.Do(http.MethodPost, "/v1/buyers/acme/users", fmt.Sprintf(`{"ID":%q,"Username":%[1]q,"Email":"new@example.com","Active":true}`, newcomer))
	if invited.Status != http.StatusCreated {
		t.Fatalf("invitation: got %d %s, want 201", invited.Status, invited.Body)
	}
	for what, got := range map[string]kit.Response{
		"code":     o.Server.RequestCode("jane", ""),
		"renewal":  o.Server.RequestRenewal("john"),
		"username": o.Server.Do(http.MethodPost, "/v1/username/retrieve?clientID=shop&email=jane@example.com", "", ""),
	} {
		if got.Status != http.StatusNoContent {
			t.Fatalf("%s: got %d %s, want 204", what, got.Status, got.Body)
		}
	}
}

// TestEveryMessageTypeSurvivesAKill kills the server right after its last response while the
// receiver is down for minutes. Then each message of each type must arrive once, and its code
// must work. Refused and expired messages are listed with the reason and are never sent.
func TestEveryMessageTypeSurvivesAKill(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(strings.ReplaceAll(kit.EveryTypeDocument, "SINK", w.Inbox.URL))
		a := kit.NewOneServer(w)
		a.Server.Stop()
		a.Inbox.Status.Store(http.StatusServiceUnavailable)
		p := a.StartProcess()
		askForEverything(a.NewAdmin(p.Server), t, "nina")
		p.Kill()
		n := a.StartServer()
		for attempts := range 3 { // a minute passes between attempts
			a.Clock.Advance(time.Minute)
			kit.Eventually(t, "all were tried in vain again", func() bool {
				return a.QueryOne(fmt.Sprintf("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > %d", attempts)) == "4"
			})
		}
		a.Inbox.Status.Store(http.StatusOK)
		a.Clock.Advance(time.Minute)
		came := map[string]kit.Message{}
		for _, m := range a.AwaitMessages() {
			if again, ok := came[m.MessageType]; ok {
				t.Errorf("%s: got the messages %s and %s, want one", m.MessageType, again.Header.Get("Idempotency-Key"), m.Header.Get("Idempotency-Key"))
			}
			came[m.MessageType] = m
		}
		if diff := cmp.Diff([]string{"ForgottenPassword", "ForgottenUsername", "NewUserInvitation", "OneTimePassword"}, slices.Sorted(maps.Keys(came))); diff != "" {
			t.Fatalf("messages (-want +got):\n%s", diff)
		}
		kit.MustIssue(t, "code", n.SignIn("jane", came["OneTimePassword"].EventBody.OneTimePassword))
		for name, m := range map[string]kit.Message{"john": came["ForgottenPassword"], "nina": came["NewUserInvitation"]} {
			if got := n.RenewPassword(m.EventBody.PasswordRenewalVerificationCode, name, kit.NextPassword); got.Status != http.StatusNoContent {
				t.Errorf("password of %s: got %d %s, want 204", name, got.Status, got.Body)
			}
		}
		if got := metric(n, `latchkey_otp_steps_total{step="delivered"}`); got != "1" {
			t.Errorf("got %s counted deliveries of one-time passwords, want 1", got)
		}
		endsAreListed(a, t, a.NewAdmin(n))
	})
}

// endsAreListed lets the receiver refuse a message of every type permanently, and then lets
// others expire.
func endsAreListed(a *kit.OneServer, t *testing.T, o kit.Admin) {
	t.Helper()
	a.Clock.Stop() // otherwise a second attempt could run when the receiver starts to accept
	for _, end := range []struct {
		state, newcomer, reason string
		answer                  int64
	}{
		{"dead", "dora", "410", http.StatusGone},
		{"expired", "ella", "503", http.StatusServiceUnavailable},
	} {
		a.Inbox.Status.Store(end.answer)
		askForEverything(o, t, end.newcomer)
		if end.state == "expired" {
			kit.Eventually(t, "all were tried", func() bool {
				return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "4"
			})
			a.Clock.Advance(8 * 24 * time.Hour)
			a.Inbox.Status.Store(http.StatusOK)
		}
		if late := a.AwaitMessages(); len(late) != 0 {
			t.Errorf("got %d messages after their end, want none", len(late))
		}
		ended := messages(a.Fixture, "--state", end.state)
		if len(ended) != 4 {
			t.Errorf("got %d messages in state %s, want 4: %+v", len(ended), end.state, ended)
		}
		for _, m := range ended {
			if !strings.Contains(m.Reason, end.reason) {
				t.Errorf("%s: got the message %+v", end.state, m)
			}
			if end.state == "dead" { // the clock was advanced, so the token has expired
				hasStep(a, t, o, m.RequestID, end.state, end.reason)
			}
		}
	}
	if got := a.QueryOne("SELECT count(*) FROM messages WHERE length(payload) > 0"); got != "0" {
		t.Errorf("got %s ended messages with a payload, want 0", got)
	}
}

// hasStep checks that the timeline for administrators has a step with a reason.
func hasStep(a *kit.OneServer, t *testing.T, o kit.Admin, requestID, step, reason string) {
	t.Helper()
	got := o.Do(http.MethodGet, "/v1/onetimepasswordrequests/"+requestID, "")
	var shown struct {
		Timeline []struct{ Step, Detail string }
	}
	if err := json.Unmarshal([]byte(got.Body), &shown); got.Status != http.StatusOK || err != nil {
		t.Fatalf("got %d %s, want 200", got.Status, got.Body)
	}
	for _, s := range shown.Timeline {
		if s.Step == step && strings.Contains(s.Detail, reason) {
			return
		}
	}
	t.Errorf("got no step %q because of %s in %s", step, reason, got.Body)
}

// TestThreeReplicas tests that three servers share sixty requests, and that the receiver gets
// one call for each.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, gormtest.Postgres(t).Database(t))
	a := kit.NewOneServer(w)
	names := kit.Numbered("third-", 60)
	a.AddUsersWithoutPassword(names...)
	replicas := []*kit.Server{a.Server, a.StartServer(), a.StartServer()}
	for i, got := range kit.Concurrently(len(names), func(i int) kit.Response { return replicas[i%3].RequestCodeThrough("kiosk", names[i], "") }) {
		if got.Status != http.StatusNoContent {
			t.Fatalf("request %d: got %d %s, want 204", i, got.Status, got.Body)
		}
	}
	ids, asked := map[string]int{}, map[string]int{}
	for _, m := range a.AwaitMessages() {
		ids[m.Header.Get("Idempotency-Key")]++
		asked[m.EventBody.Username]++
	}
	for _, counted := range []map[string]int{ids, asked} {
		if len(counted) != len(names) {
			t.Errorf("got %d of %d messages", len(counted), len(names))
		}
		for id, calls := range counted {
			if calls != 1 {
				t.Errorf("%q: got %d calls, want 1", id, calls)
			}
		}
	}
}
