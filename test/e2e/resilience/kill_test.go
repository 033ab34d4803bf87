package resilience

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestKilledServer tests that acknowledged requests survive kill -9. Their messages are
// delivered once, and not after their codes have expired.
func TestKilledServer(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Server.Stop()
		deliveredAfterKill(a, t)
		expiredAfterKill(a, t)
	})
}

// deliveredAfterKill kills the server at the last of twenty acknowledgements. A message that
// was being sent may be sent again, with the same ID.
func deliveredAfterKill(a *kit.OneServer, t *testing.T) {
	names := kit.Numbered("kill-", 20)
	a.AddUsersWithoutPassword(names...)
	p := a.StartProcess()
	for i, got := range kit.Concurrently(len(names), func(i int) kit.Response { return p.RequestCodeThrough("kiosk", names[i], "") }) {
		if got.Status != http.StatusNoContent {
			t.Fatalf("request %d: got %d %s, want 204", i, got.Status, got.Body)
		}
	}
	p.Kill()
	a.Clock.Advance(time.Minute) // the leases of the dead server have ended
	n := a.StartServer()
	ids, codes := map[string]string{}, map[string]string{}
	for _, m := range a.AwaitMessages() {
		name := m.EventBody.Username
		id := m.Header.Get("Idempotency-Key")
		if id == "" || ids[name] != "" && ids[name] != id || codes[name] != "" && codes[name] != m.EventBody.OneTimePassword {
			t.Errorf("%s: got the messages %q and %q, want one", name, ids[name], id)
		}
		ids[name], codes[name] = id, m.EventBody.OneTimePassword
	}
	for _, name := range names {
		kit.MustIssue(t, name, n.SignInThrough("kiosk", name, codes[name]))
	}
	if got := a.QueryOne("SELECT count(*) FROM messages"); got != "20" {
		t.Errorf("got %s messages, want 20", got)
	}
	n.Stop()
}

// expiredAfterKill kills the server while the receiver is down, and starts it again when the
// codes have expired.
func expiredAfterKill(a *kit.OneServer, t *testing.T) {
	names := kit.Numbered("late-", 5)
	a.AddUsersWithoutPassword(append(names, "in-time")...)
	a.Inbox.Status.Store(http.StatusServiceUnavailable)
	p := a.StartProcess()
	for _, name := range names {
		if got := p.RequestCodeThrough("kiosk", name, ""); got.Status != http.StatusNoContent {
			t.Fatalf("%s: got %d %s, want 204", name, got.Status, got.Body)
		}
	}
	kit.Eventually(t, "all were tried", func() bool {
		return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0") == "5"
	})
	p.Kill()
	a.Inbox = kit.NewInbox(t) // what the killed server has sent may still arrive at the former one
	a.ApplyObject(senderTo(a.Inbox.URL))
	a.Clock.Advance(11 * time.Minute)
	n := a.StartServer()
	if mails := a.AwaitMessages(); len(mails) != 0 {
		t.Errorf("got %d messages after the end of their codes, want none", len(mails))
	}
	if got := a.QueryOne("SELECT count(*) FROM messages WHERE state = 'expired' AND length(payload) = 0"); got != "5" {
		t.Errorf("got %s expired messages without a payload, want 5", got)
	}
	kit.MustIssue(t, "asked afterwards", n.SignInThrough("kiosk", "in-time", a.RequestCode(n, "kiosk", "in-time")))
}

// senderTo makes the fixture's message sender send to a URL.
func senderTo(url string) kit.Object {
	return kit.Object{"MessageSenders": []kit.Object{{
		"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword"}, "AllowAllBuyers": true,
		"URL": url + "/{messagetype}", "SharedKey": kit.SharedKey,
	}}}
}

// TestReceiverDown tests that a receiver that refuses connections and then answers errors gets
// each message once when it works again.
func TestReceiverDown(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		names := kit.Numbered("down-", 5)
		a.AddUsersWithoutPassword(names...)
		address, _ := kit.FreeAddresses(t)
		a.ApplyObject(senderTo("http://" + address))
		a.Server.Stop() // the server may still have the old address
		n := a.StartServer()
		for _, name := range names {
			if got := n.RequestCodeThrough("kiosk", name, ""); got.Status != http.StatusNoContent {
				t.Fatalf("%s: got %d %s, want 204", name, got.Status, got.Body)
			}
		}
		tried := func(times int) func() bool {
			return func() bool {
				a.Clock.Advance(500 * time.Millisecond) // the delays between attempts grow
				return a.QueryOne(fmt.Sprintf("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts >= %d", times)) == "5"
			}
		}
		kit.Eventually(t, "all were tried in vain", tried(1))
		received := make(chan string, 100)
		status := http.StatusInternalServerError
		var mu sync.Mutex
		listener, err := net.Listen("tcp", address)
		a.Must(err)
		receiver := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				received <- r.Header.Get("Idempotency-Key")
			}
			rw.WriteHeader(status)
		})}
		go func() { _ = receiver.Serve(listener) }()
		t.Cleanup(func() { _ = receiver.Close() })
		kit.Eventually(t, "all were answered with errors", tried(3))
		mu.Lock()
		status = http.StatusOK
		mu.Unlock()
		kit.Eventually(t, "all were delivered", func() bool {
			a.Clock.Advance(500 * time.Millisecond) // the delays between attempts grow
			return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'delivered'") == "5"
		})
		ids := map[string]bool{}
		for range len(received) {
			id := <-received
			if ids[id] {
				t.Errorf("got the message %s twice", id)
			}
			ids[id] = true
		}
		if len(ids) != 5 {
			t.Errorf("got %d messages, want 5", len(ids))
		}
	})
}
