package resilience

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// hold makes the inbox delay its answers, which then have the status.
func hold(inbox *kit.Inbox, status int) *kit.Hold {
	h := &kit.Hold{Arrived: make(chan struct{}, 100), Release: make(chan struct{}), Status: status}
	inbox.Hold.Store(h)
	return h
}

// mustRequest requests a code through the client "kiosk".
func mustRequest(t *testing.T, n *kit.Server, name string) {
	t.Helper()
	if got := n.RequestCodeThrough("kiosk", name, ""); got.Status != http.StatusNoContent {
		t.Fatalf("request for %s: got %d %s, want 204", name, got.Status, got.Body)
	}
}

// TestRestartAfterKillIsInTime kills a server while it delivers a message, and starts it again.
// The message must arrive long before the lease of 30 seconds would have ended.
func TestRestartAfterKillIsInTime(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Server.Stop()
		a.AddUsersWithoutPassword("hurried")
		h := hold(w.Inbox, http.StatusServiceUnavailable) // so that the message of the killed server is not kept
		killed := a.StartProcess()
		mustRequest(t, killed.Server, "hurried")
		<-h.Arrived
		requested := time.Now()
		killed.Kill()
		w.Inbox.Hold.Store(nil)
		close(h.Release)
		restarted := a.StartProcess()
		m := w.Inbox.Next(t)
		if took := time.Since(requested); took > 25*time.Second {
			t.Errorf("got the message %v after the kill, want at most 25s", took)
		}
		kit.MustIssue(t, "the code", restarted.SignInThrough("kiosk", "hurried", m.EventBody.OneTimePassword))
	})
}

// TestStoppingServerKeepsItsWork stops a server whose receiver is slow. The server continues
// its heartbeat until it is done, so the other server does not send a second copy.
func TestStoppingServerKeepsItsWork(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, gormtest.Postgres(t).Database(t))
	a := kit.NewOneServer(w)
	a.Server.Stop()
	a.AddUsersWithoutPassword("patient")
	h := hold(w.Inbox, http.StatusOK)
	stopping := a.StartProcess()
	mustRequest(t, stopping.Server, "patient")
	<-h.Arrived
	a.StartProcess()
	stopping.Terminate()
	beats := func() (n int) {
		_, err := fmt.Sscan(a.QueryOne("SELECT sum(beats) FROM servers"), &n)
		a.Must(err)
		return n
	}
	for began := beats(); beats() < began+12; { // takes six seconds with two servers
		time.Sleep(50 * time.Millisecond)
	}
	w.Inbox.Hold.Store(nil)
	close(h.Release)
	stopping.Stop()
	w.Inbox.Next(t)
	if len(w.Inbox.Messages)+len(h.Arrived) > 0 {
		t.Error("got a second copy of the message")
	}
	if got := a.QueryOne("SELECT state || ' ' || attempts FROM messages"); got != "delivered 1" {
		t.Errorf("got the message in state %s, want delivered 1", got)
	}
}

// TestNewestRequestWinsOverFrozenServer freezes the server that has claimed a request. The user
// requests a code at another server and gets it. When the old request is taken over, it sends
// nothing and does not replace the newer code.
func TestNewestRequestWinsOverFrozenServer(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, gormtest.Postgres(t).Database(t))
	a := kit.NewOneServer(w)
	a.Server.Stop()
	a.AddUsersWithoutPassword("twice")
	frozen := a.StartProcess()
	owner := a.QueryOne("SELECT id FROM servers")
	other := a.StartProcess()
	now := time.Now().UnixMicro()
	_, err := a.DB.Exec(fmt.Sprintf(`INSERT INTO code_requests (id, type, client_id, profile_id, username, email, phone, user_uid,
		purpose, url, trace_id, source, created_at, expires_at, lease_until, lease_owner, ended_at)
		VALUES ('otr_older', 'OneTimePassword', 'kiosk', 'default', 'twice', '', '', '', 'sign_in', '', '', '', %d, %d, %d, '%s', 0)`,
		now, now+600e6, now+30e6, owner))
	a.Must(err)
	a.Must(frozen.Cmd.Process.Signal(syscall.SIGSTOP))
	mustRequest(t, other.Server, "twice")
	m := w.Inbox.Next(t)
	kit.Eventually(t, "the older request is taken over", func() bool {
		return a.QueryOne("SELECT count(*) FROM code_requests WHERE ended_at = 0") == "0"
	})
	a.Must(frozen.Cmd.Process.Signal(syscall.SIGCONT))
	if got := a.QueryOne("SELECT superseded FROM code_requests WHERE id = 'otr_older'"); got != "true" {
		t.Errorf("superseded: got %s, want true", got)
	}
	if got := a.QueryOne("SELECT count(*) FROM messages"); got != "1" {
		t.Errorf("got %s messages, want that of the newer request", got)
	}
	kit.MustIssue(t, "the newer code", other.SignInThrough("kiosk", "twice", m.EventBody.OneTimePassword))
}

// TestRollingRestartsLoseNothing restarts the server while requests arrive. Each request leads
// to one message, and no lease remains.
func TestRollingRestartsLoseNothing(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Server.Stop()
		const restarts, users = 3, 10
		names := kit.Numbered("rolling-", restarts*users)
		a.AddUsersWithoutPassword(names...)
		for round := range restarts {
			p := a.StartProcess()
			kit.Concurrently(users, func(i int) kit.Response {
				got := p.RequestCodeThrough("kiosk", names[round*users+i], "")
				if got.Status != http.StatusNoContent {
					t.Errorf("got %d %s, want 204", got.Status, got.Body)
				}
				return got
			})
			p.Stop()
			if got := a.QueryOne("SELECT (SELECT count(*) FROM code_requests WHERE ended_at = 0 AND lease_until > 0) + " +
				"(SELECT count(*) FROM messages WHERE state = 'queued' AND lease_until > 0)"); got != "0" {
				t.Errorf("got %s leases after a stop, want 0", got)
			}
		}
		a.StartProcess()
		received := map[string]int{}
		for range names {
			received[w.Inbox.Next(t).EventBody.Username]++
		}
		if len(received) != len(names) || len(w.Inbox.Messages) > 0 {
			t.Errorf("got messages by user: %v, and %d more", received, len(w.Inbox.Messages))
		}
	})
}
