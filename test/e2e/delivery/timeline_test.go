package delivery

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// command runs a command on the fixture's database.
func command(w *kit.Fixture, args ...string) (code int, out, errs string) {
	w.T.Helper()
	r := kit.TryCommand(w.T, w.Environ(), args...)
	return r.ExitCode, r.Stdout, r.Stderr
}

// queuedMessage is a message as "message list" prints it.
type queuedMessage struct {
	ID        string
	RequestID string `json:"request_id"`
	Sender    string
	Type      storage.MessageType
	User      string
	Trace     string `json:"trace_id"`
	State     storage.MessageState
	Attempts  int
	Reason    string
	CreatedAt *time.Time `json:"created_at"`
	DueAt     *time.Time `json:"due_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// messages returns all messages, newest first.
func messages(w *kit.Fixture, args ...string) []queuedMessage {
	w.T.Helper()
	code, out, errs := command(w, append([]string{"message", "list", "--output", "json"}, args...)...)
	var views []queuedMessage
	if err := json.Unmarshal([]byte(out), &views); code != 0 || err != nil {
		w.T.Fatalf("message list: got %d %q %q %v", code, out, errs, err)
	}
	return views
}

// stepsOf returns the steps in the timeline of a message or a request.
func stepsOf(w *kit.Fixture, id string) []string {
	w.T.Helper()
	code, out, errs := command(w, "message", "show", id, "--output", "json")
	var shown struct{ Steps []struct{ Step string } }
	if err := json.Unmarshal([]byte(out), &shown); code != 0 || err != nil {
		w.T.Fatalf("message show: got %d %q %q %v", code, out, errs, err)
	}
	var steps []string
	for _, s := range shown.Steps {
		steps = append(steps, s.Step)
	}
	return steps
}

func metric(n *kit.Server, name string) string {
	n.T.Helper()
	response, err := http.Get(n.OpsURL + "/metrics")
	if err != nil {
		n.T.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.T.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return "absent"
	}
	return string(found[1])
}

// TestTimeline tests that the timeline shows each step of a code, from the request to the
// redemption, with a receiver that fails at first.
func TestTimeline(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		w.Inbox.Status.Store(http.StatusServiceUnavailable)
		if a := n.RequestCode("jane", ""); a.Status != http.StatusNoContent {
			t.Fatalf("request for a code: got %d %s, want 204", a.Status, a.Body)
		}
		kit.Eventually(t, "a failed attempt", func() bool { list := messages(w); return len(list) == 1 && list[0].Reason != "" })
		m := messages(w, "--state", "queued", "--sender", "sink")[0]
		if m.DueAt == nil || m.EndedAt != nil || !strings.Contains(m.Reason, "503") {
			t.Errorf("got the message %+v", m)
		}
		w.Inbox.Status.Store(http.StatusOK)
		if code, out, errs := command(w, "message", "retry", m.ID); code != 0 || out != "message "+m.ID+" is due now\n" {
			// The next attempt may have run first.
			if !strings.Contains(errs, "delivered") {
				t.Errorf("retry: got %d %q %q", code, out, errs)
			}
		}
		secret := w.Inbox.Next(t).EventBody.OneTimePassword
		kit.Eventually(t, "the delivery", func() bool { return len(messages(w, "--state", "delivered")) == 1 })

		if a := n.SignIn("jane", "WRONG-CODE"); a.Status != http.StatusBadRequest {
			t.Errorf("a wrong code: got %d %s, want 400", a.Status, a.Body)
		}
		if a := n.SignIn("jane", secret); a.Status != http.StatusOK {
			t.Fatalf("redeemed: got %d %s, want 200", a.Status, a.Body)
		}
		steps := stepsOf(w, m.ID)
		failures := len(steps) - 5
		want := append(append([]string{"asked", "issued", "queued"}, slices.Repeat([]string{"failed"}, max(failures, 1))...), "accepted", "redeemed")
		if !slices.Equal(steps, want) || !slices.Equal(stepsOf(w, m.RequestID), want) {
			t.Errorf("got the steps %q, want %q", steps, want)
		}
		if _, out, _ := command(w, "__complete", "message", "show", m.ID[:8]); !strings.Contains(out, m.ID+"\t") {
			t.Errorf("completion of %s: got %s", m.ID, out)
		}
		_, out, _ := command(w, "message", "show", m.ID)
		if strings.Contains(out, secret) || !regexp.MustCompile(`accepted +`+m.ID+` +attempt \d+, \d+ ms`).MatchString(out) {
			t.Errorf("message show: got\n%s", out)
		}
		code, _, errs := command(w, "message", "retry", m.ID)
		if code != 1 || !strings.Contains(errs, "no retry: it was delivered at ") {
			t.Errorf("retry of a delivered message: got %d %q", code, errs)
		}
		for step, count := range map[string]string{
			"requested": "1", "queued": "1", "delivered": "1", "redeemed": "1", "guessed_wrong": "1", "dead": "0", "expired": "0", "limited": "0",
		} {
			if got := metric(n, `latchkey_otp_steps_total{step="`+step+`"}`); got != count {
				t.Errorf("%s: got the count %s, want %s", step, got, count)
			}
		}
		if got := metric(n, "latchkey_otp_delivery_seconds_count"); got != "1" {
			t.Errorf("got %s deliveries in the histogram, want 1", got)
		}
		if strings.Contains(w.Log.String(), secret) {
			t.Error("got the code in the log, want it hidden")
		}
	})
}

// TestRetryOfADeadMessage lets the receiver refuse a message permanently. A retry must send
// another code instead, until the code has expired.
func TestRetryOfADeadMessage(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		w.Inbox.Status.Store(http.StatusGone)
		n.RequestCode("", "jane@example.com")
		kit.Eventually(t, "a dead message", func() bool { return len(messages(w, "--state", "dead")) == 1 })
		dead := messages(w)[0]
		if !strings.Contains(dead.Reason, "410") {
			t.Errorf("got the message %+v", dead)
		}
		w.Inbox.Status.Store(http.StatusOK)
		if code, out, errs := command(w, "message", "retry", dead.ID); code != 0 || !strings.Contains(out, "another code is on its way: otr_") {
			t.Fatalf("retry: got %d %q %q", code, out, errs)
		}
		m := w.Inbox.Next(t)
		if a := n.SignIn("jane", m.EventBody.OneTimePassword); a.Status != http.StatusOK {
			t.Errorf("the code of the retry: got %d %s, want 200", a.Status, a.Body)
		}
		if steps := stepsOf(w, dead.RequestID); !slices.Equal(steps, []string{"asked", "issued", "queued", "dead", "retired"}) {
			t.Errorf("got the steps %q", steps)
		}
		code, _, errs := command(w, "message", "retry", dead.ID)
		if code != 1 || !strings.Contains(errs, "its code was replaced or withdrawn at ") {
			t.Errorf("a second retry: got %d %q", code, errs)
		}
		w.Clock.Advance(11 * time.Minute) // the command is another process and does not use this clock
		w.WithApp(func(ctx context.Context, a *server.App) error {
			if _, err := otp.Retry(ctx, a.Store, a.Rand, dead.ID, a.Now()); err == nil || !strings.Contains(err.Error(), "its code expired at ") {
				t.Errorf("a late retry: got %v", err)
			}
			return nil
		})
		for _, args := range [][]string{{"retry", "msg_none"}, {"show", "msg_none"}} {
			if code, _, errs := command(w, append([]string{"message"}, args...)...); code != 1 || !strings.Contains(errs, "what has ended is kept for a day") {
				t.Errorf("%q: got %d %q, want 1", args, code, errs)
			}
		}
		for _, args := range [][]string{{"--state", "lost"}, {"--limit", "0"}} {
			if code, _, errs := command(w, append([]string{"message", "list"}, args...)...); code != 2 {
				t.Errorf("%q: got %d %q, want 2", args, code, errs)
			}
		}
	})
}

// TestUnknownNamesLeaveATimeline tests that a request for an unknown username has a timeline
// with two steps.
func TestUnknownNamesLeaveATimeline(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		n.RequestCode("nobody", "")
		var id string
		kit.Eventually(t, "the end of the request", func() bool { return strings.Contains(w.Log.String(), "no_such_login") })
		withRequestID(w, &id)
		if steps := stepsOf(w, id); !slices.Equal(steps, []string{"asked", "nobody_served"}) {
			t.Errorf("got the steps %q", steps)
		}
	})
}

// withRequestID reads the ID of the request from the log.
func withRequestID(w *kit.Fixture, id *string) {
	w.T.Helper()
	found := regexp.MustCompile(`"request":"(otr_[0-9a-z]+)"`).FindStringSubmatch(w.Log.String())
	if found == nil {
		w.T.Fatal("got no request in the log")
	}
	*id = found[1]
}
