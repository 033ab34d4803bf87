package main

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
)

// everyTypeDocument makes the world's receiver take every type of message.
const everyTypeDocument = `
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword, ForgottenPassword, ForgottenUsername, NewUserInvitation],
     URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`

// askForRenewal asks for a code to renew a password through client "shop".
func (n *node) askForRenewal(username string) answer {
	return n.do(http.MethodPost, "/v1/password/reset", "application/json",
		fmt.Sprintf(`{"ClientID":"shop","Username":%q,"URL":"https://shop.example/renew"}`, username))
}

// renew renews a password by a code.
func (n *node) renew(code, username, password string) answer {
	return n.do(http.MethodPut, "/v1/password/reset/"+code, "application/json",
		fmt.Sprintf(`{"ClientID":"shop","Username":%q,"Password":%q}`, username, password))
}

// operator is an administrator of the world, by the API.
type operator struct {
	n     *node
	token string
}

func (a *arena) operator(n *node) operator {
	a.t.Helper()
	c := a.adminClient(a.t.(*testing.T), "--name", "Operator", "--grant", "client_credentials", "--role", "FullAccess", "--access-token-duration", "24h")
	return operator{n, granted(a.t, "operator", n.self(c.ID, c.Secret)).field("access_token")}
}

func (o operator) do(method, path, body string) answer {
	return o.n.do(method, path, "application/json", body, "Authorization", "Bearer "+o.token)
}

// askForEverything asks once for each type of message.
func (o operator) askForEverything(t *testing.T, newcomer string) {
	t.Helper()
	invited := o.do(http.MethodPost, "/v1/buyers/acme/users", fmt.Sprintf(`{"ID":%q,"Username":%[1]q,"Email":"new@example.com","Active":true}`, newcomer))
	if invited.status != http.StatusCreated {
		t.Fatalf("invitation: %d %s", invited.status, invited.body)
	}
	for what, got := range map[string]answer{
		"code":     o.n.askForCode("jane", ""),
		"renewal":  o.n.askForRenewal("john"),
		"username": o.n.do(http.MethodPost, "/v1/username/retrieve?clientID=shop&email=jane@example.com", "", ""),
	} {
		if got.status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", what, got.status, got.body)
		}
	}
}

// TestEveryTypeSurvives: every type of message goes the same durable way. The
// server is killed right after its last answer, the receiver is down for
// minutes after that, and then each message comes once and its code is good.
// What is refused for good, or has expired, is listed with the reason, and
// never sent.
func TestEveryTypeSurvives(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(strings.ReplaceAll(everyTypeDocument, "SINK", w.inbox.url))
		a := enterArena(w)
		a.n.stop()
		a.inbox.answer.Store(http.StatusServiceUnavailable)
		p := a.launch()
		a.operator(p.node).askForEverything(t, "nina")
		p.kill()
		n := a.another()
		for attempts := range 3 { // a minute of each is over before the next
			a.clock.advance(time.Minute)
			awaitThat(t, "all were tried in vain again", func() bool {
				return a.one(fmt.Sprintf("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > %d", attempts)) == "4"
			})
		}
		a.inbox.answer.Store(http.StatusOK)
		a.clock.advance(time.Minute)
		came := map[string]mail{}
		for _, m := range a.settled() {
			if again, ok := came[m.MessageType]; ok {
				t.Errorf("%s came as %s and %s", m.MessageType, again.header.Get("Idempotency-Key"), m.header.Get("Idempotency-Key"))
			}
			came[m.MessageType] = m
		}
		if diff := cmp.Diff([]string{"ForgottenPassword", "ForgottenUsername", "NewUserInvitation", "OneTimePassword"}, slices.Sorted(maps.Keys(came))); diff != "" {
			t.Fatalf("messages: %s", diff)
		}
		granted(t, "code", n.signIn("jane", came["OneTimePassword"].EventBody.OneTimePassword))
		for name, m := range map[string]mail{"john": came["ForgottenPassword"], "nina": came["NewUserInvitation"]} {
			if got := n.renew(m.EventBody.PasswordRenewalVerificationCode, name, nextPassword); got.status != http.StatusNoContent {
				t.Errorf("password of %s: %d %s", name, got.status, got.body)
			}
		}
		if got := n.metric(`latchkey_otp_steps_total{step="delivered"}`); got != "1" {
			t.Errorf("the funnel of one-time passwords counts %s deliveries, want 1", got)
		}
		a.endsAreListed(t, a.operator(n))
	})
}

// endsAreListed has every type refused for good, and then expire.
func (a *arena) endsAreListed(t *testing.T, o operator) {
	t.Helper()
	for _, end := range []struct {
		state, newcomer, reason string
		answer                  int64
	}{
		{"dead", "dora", "410", http.StatusGone},
		{"expired", "ella", "503", http.StatusServiceUnavailable},
	} {
		a.inbox.answer.Store(end.answer)
		o.askForEverything(t, end.newcomer)
		if end.state == "expired" {
			awaitThat(t, "all were tried", func() bool {
				return a.one("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "4"
			})
			a.clock.advance(8 * 24 * time.Hour)
			a.inbox.answer.Store(http.StatusOK)
		}
		if late := a.settled(); len(late) != 0 {
			t.Errorf("%d messages came after their end", len(late))
		}
		ended := a.messages("--state", end.state)
		if len(ended) != 4 {
			t.Errorf("%d messages are %s, want 4: %+v", len(ended), end.state, ended)
		}
		for _, m := range ended {
			if !strings.Contains(m.Reason, end.reason) {
				t.Errorf("%s message %+v", end.state, m)
			}
			if end.state == "dead" { // the token is as old as the clock says
				a.hasStep(t, o, m.RequestID, end.state, end.reason)
			}
		}
	}
	if got := a.one("SELECT count(*) FROM messages WHERE length(payload) > 0"); got != "0" {
		t.Errorf("%s messages that have ended keep a payload", got)
	}
}

// hasStep looks for a step and its reason where an administrator would.
func (a *arena) hasStep(t *testing.T, o operator, requestID, step, reason string) {
	t.Helper()
	got := o.do(http.MethodGet, "/v1/onetimepasswordrequests/"+requestID, "")
	var shown struct {
		Timeline []struct{ Step, Detail string }
	}
	if err := json.Unmarshal([]byte(got.body), &shown); got.status != http.StatusOK || err != nil {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, s := range shown.Timeline {
		if s.Step == step && strings.Contains(s.Detail, reason) {
			return
		}
	}
	t.Errorf("no step %q because of %s in %s", step, reason, got.body)
}

// TestThreeReplicas shares sixty requests among three servers: a receiver that
// answers gets one call for each.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t).Database(t))
	a := enterArena(w)
	names := numbered("third-", 60)
	a.enrolWithout(names...)
	replicas := []*node{a.n, a.another(), a.another()}
	for i, got := range atOnce(len(names), func(i int) answer { return replicas[i%3].askForCodeThrough("kiosk", names[i], "") }) {
		if got.status != http.StatusNoContent {
			t.Fatalf("request %d: %d %s", i, got.status, got.body)
		}
	}
	ids, asked := map[string]int{}, map[string]int{}
	for _, m := range a.settled() {
		ids[m.header.Get("Idempotency-Key")]++
		asked[m.EventBody.Username]++
	}
	for _, counted := range []map[string]int{ids, asked} {
		if len(counted) != len(names) {
			t.Errorf("%d of %d came", len(counted), len(names))
		}
		for id, calls := range counted {
			if calls != 1 {
				t.Errorf("%q came %d times", id, calls)
			}
		}
	}
}
