package otp_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/storage"
)

// TestLockNotice tests that the user of a locked login is notified, even if the lock has ended,
// unless the user may not sign in for another reason.
func TestLockNotice(t *testing.T) {
	t.Parallel()
	const passwords, codes = 4 * time.Minute, 9 * time.Minute
	tests := []struct {
		name    string
		arrange func(m *memoryStore, ann *storage.Principal, now time.Time)
		until   time.Duration // end of the lock in the message; 0 means none
		event   string
	}{
		{"locked", func(_ *memoryStore, ann *storage.Principal, now time.Time) {
			ann.Lockout.LockedUntil = now.Add(passwords)
		}, passwords, "notice.issued success ann"},
		{"codes locked for longer", func(_ *memoryStore, ann *storage.Principal, now time.Time) {
			ann.Lockout.LockedUntil, ann.Lockout.Codes.LockedUntil = now.Add(passwords), now.Add(codes)
		}, codes, "notice.issued success ann"},
		{"open again", func(_ *memoryStore, ann *storage.Principal, now time.Time) {
			ann.Lockout.LockedUntil = now
		}, 0, "notice.issued success ann"},
		{"disabled", func(_ *memoryStore, ann *storage.Principal, _ time.Time) { ann.User.Active = false }, 0, "notice.not_sent user_inactive ann"},
		{"gone", func(m *memoryStore, _ *storage.Principal, _ time.Time) { m.logins = m.logins[:2] }, 0, "notice.not_sent no_such_login"},
		{"nobody sends such", func(m *memoryStore, _ *storage.Principal, _ time.Time) {
			m.senders[0].Types = []storage.MessageType{storage.MessageOneTimePassword}
		}, 0, "notice.not_sent no_sender ann"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, now := newFixture(t), time.Now().UTC()
				r, err := otp.LockNotice(rand.Reader, storage.LoginKey{ProfileID: "default", UsernameKey: "ann", Source: "192.0.2.1"}, now)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.AddCodeRequest(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				w.change(func(m *memoryStore) { test.arrange(m, m.logins[2], now) })
				w.resolved(t)
				if lines := w.recorded.lines(); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, test.event) }) {
					t.Errorf("got the events %q, want %q", lines, test.event)
				}
				if !strings.Contains(test.event, "issued") {
					if diff := cmp.Diff(issued{}, w.issued()); diff != "" {
						t.Error(diff)
					}
					return
				}
				if diff := cmp.Diff(issued{Messages: []string{"ann"}}, w.issued()); diff != "" {
					t.Fatal(diff)
				}
				until := time.Time{}
				if test.until > 0 {
					until = now.Add(test.until)
				}
				m := w.messages[0]
				if p := w.opened(t, m); p.Code != "" || p.Username != "ann" || !p.LockedUntil.Equal(until) {
					t.Errorf("got the payload %+v, want a lock until %v", p, until)
				}
				if m.Type != storage.MessageAccountLocked || !m.ExpiresAt.Equal(now.Add(24*time.Hour)) {
					t.Errorf("got the message %+v", m)
				}
			})
		})
	}
}

// TestLockNoticeCannotBeRequested tests that Request refuses lock notices.
func TestLockNoticeCannotBeRequested(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	err := w.service.Request(t.Context(), w.client, otp.Request{Type: storage.MessageAccountLocked, Username: "ann"})
	if err == nil || !strings.Contains(err.Error(), otp.ErrType.Error()) {
		t.Errorf("request for a lock notice: got %v, want ErrType", err)
	}
}
