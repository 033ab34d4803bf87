package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// command runs a command on the world's database and clock, and returns its exit
// code and what it printed.
func (w *world) command(args ...string) (code int, out, errs string) {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	c := w.cli(&w.clock)
	c.stdout, c.stderr = &stdout, &stderr
	key := filepath.Join(w.t.TempDir(), "master.key")
	if err := os.WriteFile(key, []byte(testMasterKey), 0o600); err != nil {
		w.t.Fatal(err)
	}
	code = c.run(w.t.Context(), append(args, "--database-url", w.databaseURL, "--master-key-file", key))
	return code, stdout.String(), stderr.String()
}

// messages lists the world's messages, the newest first.
func (w *world) messages(args ...string) []messageView {
	w.t.Helper()
	code, out, errs := w.command(append([]string{"message", "list", "--output", "json"}, args...)...)
	var views []messageView
	if err := json.Unmarshal([]byte(out), &views); code != 0 || err != nil {
		w.t.Fatalf("message list: %d %q %q %v", code, out, errs, err)
	}
	return views
}

// steps tells the timeline of a message or request.
func (w *world) steps(id string) []string {
	w.t.Helper()
	code, out, errs := w.command("message", "show", id, "--output", "json")
	var shown struct{ Steps []step }
	if err := json.Unmarshal([]byte(out), &shown); code != 0 || err != nil {
		w.t.Fatalf("message show: %d %q %q %v", code, out, errs, err)
	}
	var steps []string
	for _, s := range shown.Steps {
		steps = append(steps, s.Step)
	}
	return steps
}

// await asks again until the condition holds; the test's deadline is the limit.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (n *node) metric(name string) string {
	n.t.Helper()
	response, err := http.Get(n.ops + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return "absent"
	}
	return string(found[1])
}

// TestTimeline follows a code from the request to its redemption, past a
// receiver that fails at first.
func TestTimeline(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		w.inbox.answer.Store(http.StatusServiceUnavailable)
		if a := n.askForCode("jane", ""); a.status != http.StatusNoContent {
			t.Fatalf("asked for a code: %d %s", a.status, a.body)
		}
		await(t, "a failed attempt", func() bool { list := w.messages(); return len(list) == 1 && list[0].Reason != "" })
		m := w.messages("--state", "queued", "--sender", "sink")[0]
		if m.DueAt == nil || m.EndedAt != nil || !strings.Contains(m.Reason, "503") {
			t.Errorf("message %+v", m)
		}
		w.inbox.answer.Store(http.StatusOK)
		if code, out, errs := w.command("message", "retry", m.ID); code != 0 || out != "message "+m.ID+" is due now\n" {
			// The next attempt may have come first.
			if !strings.Contains(errs, "delivered") {
				t.Errorf("retry: %d %q %q", code, out, errs)
			}
		}
		secret := w.inbox.next(t).EventBody.OneTimePassword
		await(t, "the delivery", func() bool { return len(w.messages("--state", "delivered")) == 1 })

		if a := n.signIn("jane", "WRONG-CODE"); a.status != http.StatusBadRequest {
			t.Errorf("a wrong code: %d %s", a.status, a.body)
		}
		if a := n.signIn("jane", secret); a.status != http.StatusOK {
			t.Fatalf("redeemed: %d %s", a.status, a.body)
		}
		steps := w.steps(m.ID)
		failures := len(steps) - 5
		want := append(append([]string{"asked", "issued", "queued"}, slices.Repeat([]string{"failed"}, max(failures, 1))...), "accepted", "redeemed")
		if !slices.Equal(steps, want) || !slices.Equal(w.steps(m.RequestID), want) {
			t.Errorf("steps %q, want %q", steps, want)
		}
		_, out, _ := w.command("message", "show", m.ID)
		if strings.Contains(out, secret) || !regexp.MustCompile(`accepted +`+m.ID+` +attempt \d+, \d+ ms`).MatchString(out) {
			t.Errorf("message show:\n%s", out)
		}
		code, _, errs := w.command("message", "retry", m.ID)
		if code != 1 || !strings.Contains(errs, "no retry: it was delivered at ") {
			t.Errorf("retry of a delivered message: %d %q", code, errs)
		}
		for step, count := range map[string]string{
			"requested": "1", "queued": "1", "delivered": "1", "redeemed": "1", "guessed_wrong": "1", "dead": "0", "expired": "0", "limited": "0",
		} {
			if got := n.metric(`latchkey_otp_steps_total{step="` + step + `"}`); got != count {
				t.Errorf("%s is counted %s, want %s", step, got, count)
			}
		}
		if got := n.metric("latchkey_otp_delivery_seconds_count"); got != "1" {
			t.Errorf("the histogram has %s deliveries, want 1", got)
		}
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log holds the code")
		}
	})
}

// TestRetryOfADeadMessage has the receiver refuse a message for good: another
// code goes out in its place, while there is time.
func TestRetryOfADeadMessage(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		w.inbox.answer.Store(http.StatusGone)
		n.askForCode("", "jane@example.com")
		await(t, "a dead message", func() bool { return len(w.messages("--state", "dead")) == 1 })
		dead := w.messages()[0]
		if !strings.Contains(dead.Reason, "410") {
			t.Errorf("message %+v", dead)
		}
		w.inbox.answer.Store(http.StatusOK)
		if code, out, errs := w.command("message", "retry", dead.ID); code != 0 || !strings.Contains(out, "another code is on its way: otr_") {
			t.Fatalf("retry: %d %q %q", code, out, errs)
		}
		m := w.inbox.next(t)
		if a := n.signIn("jane", m.EventBody.OneTimePassword); a.status != http.StatusOK {
			t.Errorf("the code of the retry: %d %s", a.status, a.body)
		}
		if steps := w.steps(dead.RequestID); !slices.Equal(steps, []string{"asked", "issued", "queued", "dead", "retired"}) {
			t.Errorf("steps %q", steps)
		}
		code, _, errs := w.command("message", "retry", dead.ID)
		if code != 1 || !strings.Contains(errs, "its code was replaced or withdrawn at ") {
			t.Errorf("a second retry: %d %q", code, errs)
		}
		w.clock.advance(11 * time.Minute)
		code, _, errs = w.command("message", "retry", dead.ID)
		if code != 1 || !strings.Contains(errs, "its code expired at ") {
			t.Errorf("a late retry: %d %q", code, errs)
		}
		for _, args := range [][]string{{"retry", "msg_none"}, {"show", "msg_none"}} {
			if code, _, errs := w.command(append([]string{"message"}, args...)...); code != 1 || !strings.Contains(errs, "what has ended is kept for a day") {
				t.Errorf("%q: %d %q", args, code, errs)
			}
		}
		for _, args := range [][]string{{"--state", "lost"}, {"--limit", "0"}} {
			if code, _, errs := w.command(append([]string{"message", "list"}, args...)...); code != 2 {
				t.Errorf("%q: %d %q", args, code, errs)
			}
		}
	})
}

// TestUnknownNamesLeaveATimeline as short as that.
func TestUnknownNamesLeaveATimeline(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		n.askForCode("nobody", "")
		var id string
		await(t, "the end of the request", func() bool { return strings.Contains(w.log.String(), "no_such_login") })
		w.withRequestID(&id)
		if steps := w.steps(id); !slices.Equal(steps, []string{"asked", "nobody_served"}) {
			t.Errorf("steps %q", steps)
		}
	})
}

// withRequestID reads the ID of the request from the log.
func (w *world) withRequestID(id *string) {
	w.t.Helper()
	found := regexp.MustCompile(`"request":"(otr_[0-9a-z]+)"`).FindStringSubmatch(w.log.String())
	if found == nil {
		w.t.Fatal("the log names no request")
	}
	*id = found[1]
}
