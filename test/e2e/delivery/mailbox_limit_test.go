package delivery

import (
	"database/sql"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// sendEverything makes the message sender deliver every type of message.
func sendEverything(w *kit.Fixture) {
	w.Apply(strings.ReplaceAll(`
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword, ForgottenPassword, ForgottenUsername, NewUserInvitation, AccountLocked],
     URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`, "SINK", w.Inbox.URL))
}

// delivered waits until all requests are resolved and all messages delivered. It returns the
// numbers of new messages by username.
func delivered(w *kit.Fixture) map[string]int {
	w.T.Helper()
	db := openDatabase(w)
	quiet := func() (left int) {
		err := db.QueryRow(fmt.Sprintf(`SELECT (SELECT count(*) FROM code_requests WHERE ended_at = 0 AND lease_until <= %d)
			+ (SELECT count(*) FROM messages WHERE state = 'queued')`, w.Clock.Now().Add(time.Minute).UnixMicro())).Scan(&left) // requests that wait for a budget wait longer
		if err != nil {
			w.T.Fatal(err)
		}
		return left
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if quiet() == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.T.Fatal("messages are still queued")
		}
		w.Clock.Advance(50 * time.Millisecond) // a second attempt becomes due, also while the clock is stopped
	}
	got := map[string]int{}
	for {
		select {
		case m := <-w.Inbox.Messages:
			got[m.Recipient.Username]++
		default:
			return got
		}
	}
}

// superseded counts the requests that sent nothing because a newer one was resolved before them
// or before their message was sent.
func superseded(w *kit.Fixture) (n int) {
	w.T.Helper()
	if err := openDatabase(w).QueryRow(`SELECT count(*) FROM code_requests r WHERE superseded OR EXISTS
		(SELECT 1 FROM messages m WHERE m.request_id = r.id AND m.state = 'expired' AND m.expires_at < r.expires_at)`).Scan(&n); err != nil {
		w.T.Fatal(err)
	}
	return n
}

// openDatabase opens the database of the fixture.
func openDatabase(w *kit.Fixture) *sql.DB {
	w.T.Helper()
	driver, url := "pgx", w.DatabaseURL
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, url = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = db.Close() })
	return db
}

// total adds the numbers that delivered returns.
func total(messages map[string]int) (n int) {
	for _, of := range messages {
		n += of
	}
	return n
}

// TestFiveMessagesForAMailbox sends four hundred requests at once to two servers, in each way
// that leads to one login or one mailbox. At most five messages may be sent.
func TestFiveMessagesForAMailbox(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		sendEverything(w)
		nodes := []*kit.Server{w.Serve(defaultsOf("RECIPIENT")...), w.Serve(defaultsOf("RECIPIENT")...)}
		w.Clock.Stop() // the limit allows one more every two minutes
		const requests = 400
		ask := func(way func(n *kit.Server, i int) kit.Response) map[int]int {
			statuses := map[int]int{}
			for _, a := range kit.Concurrently(requests, func(i int) kit.Response { return way(nodes[i%2], i) }) {
				statuses[a.Status]++
			}
			return statuses
		}
		anywhere := func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i+1) }
		for name, served := range map[string]int{"jane": 5, "nobody": 0} {
			before := superseded(w)
			got := ask(func(n *kit.Server, i int) kit.Response { return askFrom(n, anywhere(i), name, "") })
			if got[http.StatusNoContent] != 5 || got[http.StatusTooManyRequests] != requests-5 {
				t.Errorf("%s: answers %v", name, got)
			}
			if sent, older := total(delivered(w)), superseded(w)-before; sent+older != served || served > 0 && sent == 0 {
				t.Errorf("%s: got %d messages and %d superseded requests, want %d in all", name, sent, older, served)
			}
		}
		w.Clock.Advance(24 * time.Hour)
		john := func(n *kit.Server, i int) kit.Response { // john and johnny share a mailbox
			switch i % 5 {
			case 0:
				return askFrom(n, anywhere(i), "john", "")
			case 1:
				return askFrom(n, anywhere(i), "", " DOE@Example.com")
			case 2:
				return askFrom(n, anywhere(i), "johnny", "doe@example.com")
			case 3:
				return n.Do(http.MethodPost, "/v1/password/reset", "application/json", `{"ClientID":"other","Username":"john"}`, "X-Forwarded-For", anywhere(i))
			}
			return n.Do(http.MethodPost, "/v1/username/retrieve?clientID=shop&email=doe@example.com", "", "", "X-Forwarded-For", anywhere(i))
		}
		before := superseded(w)
		got := ask(john)
		if got[http.StatusNoContent] == 0 || got[http.StatusNoContent]+got[http.StatusTooManyRequests] != requests {
			t.Errorf("got the answers %v", got)
		}
		first := total(delivered(w)) // a superseded request is not counted
		if older := superseded(w) - before; first > 5 || first+older < 5 {
			t.Errorf("got %d messages and %d superseded requests, want 5 messages at most", first, older)
		}
		w.Clock.Advance(2 * time.Minute) // one more message is allowed
		ask(john)
		if sent := total(delivered(w)); sent < 1 || sent > 5+1-first {
			t.Errorf("got %d messages, and %d after two minutes, want 6 in all at most", first, sent)
		}
	})
}

// TestThirtyMessagesADay tests that a mailbox gets at most thirty messages a day, and that
// unknown usernames are limited in the same way.
func TestThirtyMessagesADay(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve(defaultsOf("RECIPIENT")...)
		w.Clock.Stop() // the limit allows one more every 48 minutes
		sent, answers := 0, [2]int{}
		for range 6 {
			for i, name := range []string{"jane", "nobody"} {
				for range 6 {
					if n.RequestCode(name, "").Status == http.StatusNoContent {
						answers[i]++
					}
					sent += total(delivered(w)) // wait for each message; otherwise some are superseded
				}
			}
			w.Clock.Advance(10 * time.Minute)
		}
		if sent != 30 || answers != [2]int{30, 30} {
			t.Errorf("got %d messages; answers %v for a known and an unknown name", sent, answers)
		}
		for _, name := range []string{"jane", "nobody"} { // one more message is allowed after 48 minutes
			if a := n.RequestCode(name, ""); a.Status != http.StatusNoContent {
				t.Errorf("%s, after an hour: got %d, want 204", name, a.Status)
			}
			if a := n.RequestCode(name, ""); a.Status != http.StatusTooManyRequests {
				t.Errorf("%s, once more: got %d, want 429", name, a.Status)
			}
		}
	})
}

// TestUsedUpMailboxKeepsTheCode uses up the limit of a mailbox through another login. The
// response is the same, nothing is sent, and the last code still signs in.
func TestUsedUpMailboxKeepsTheCode(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve("LATCHKEY_OTP_LIMIT_RECIPIENT=2/10m")
		w.DeliveredCode(n, "john")
		code := w.DeliveredCode(n, "johnny")
		a := n.RequestCode("", "doe@example.com")
		if nobody := n.RequestCode("", "nobody@example.com"); a.Status != http.StatusNoContent || nobody.Status != a.Status || nobody.Body != a.Body {
			t.Errorf("got the answers %d and %d", a.Status, nobody.Status)
		}
		if sent := delivered(w); total(sent) != 0 {
			t.Errorf("got the messages %v", sent)
		}
		if a := n.SignIn("johnny", code); a.Status != http.StatusOK {
			t.Errorf("sign-in by the older code: got %d %s, want 200", a.Status, a.Body)
		}
		if log := w.Log.String(); strings.Count(log, `"outcome":"mailbox_limit"`) != 2 {
			t.Error("got no event about the limit of the mailbox")
		}
	})
}

// TestLockNoticeWaitsForTheMailbox tests that a lockout notice for a mailbox at its limit is
// sent when the limit allows it.
func TestLockNoticeWaitsForTheMailbox(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		sendEverything(w)
		n := w.Serve("LATCHKEY_OTP_LIMIT_RECIPIENT=1/10m")
		w.DeliveredCode(n, "jane")
		for i := range 40 {
			n.SignIn("jane", "wrong-"+strconv.Itoa(i))
		}
		if sent := delivered(w); total(sent) != 0 {
			t.Fatalf("got the messages %v", sent)
		}
		w.Clock.Advance(10*time.Minute + time.Second)
		if m := w.Inbox.Next(t); m.MessageType != "AccountLocked" || m.Recipient.Username != "jane" {
			t.Errorf("got the message %+v", m)
		}
	})
}
