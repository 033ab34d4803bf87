package signin

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestLockoutNotice tests that the user of a locked login is notified at most once an hour. The
// notice is durable, and an unknown username costs the same work.
func TestLockoutNotice(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.BehindProxy)
		m := a.StartServer(kit.BehindProxy)
		a.Apply(`MessageSenders: [{ID: locks, Name: Locks, MessageTypes: [AccountLocked], URL: "` + a.Inbox.URL +
			`/{messagetype}", SharedKey: ` + kit.SharedKey + `, AllowAllBuyers: true}]`)
		a.AddUsers("n1")
		for i := range 10 {
			kit.MustRefuse(t, "wrong", signInFrom([]*kit.Server{a.Server, m}[i%2], fmt.Sprint("203.0.113.", i), "n1", kit.WrongCode), kit.WrongCredentialsBody)
		}
		mails := a.AwaitMessages() // the delivery is stored: otherwise it could be repeated when the clock advances
		if len(mails) != 1 {
			t.Fatalf("got %d notices, want 1", len(mails))
		}
		notice, state := mails[0], a.Login("n1").Lockout
		if notice.MessageType != "AccountLocked" || notice.Path != "/accountlocked" || notice.EventBody.Username != "n1" ||
			notice.Recipient.Email != "n1@people.example" || notice.UserToken != "" || notice.EventBody.LockedUntil == nil ||
			!notice.EventBody.LockedUntil.Equal(state.LockedUntil.Truncate(time.Second)) {
			t.Errorf("got the notice %+v, locked until %v", notice, state.LockedUntil)
		}
		// Further locks within the hour, from any source, cause no notice.
		for i := range 4 {
			a.Clock.Advance(a.Login("n1").Lockout.LockedUntil.Sub(a.Clock.Now()))
			kit.MustRefuse(t, "wrong", signInFrom([]*kit.Server{a.Server, m}[i%2], inLair, "n1", kit.WrongCode), kit.WrongCredentialsBody)
		}
		if mails := a.AwaitMessages(); len(mails) != 0 {
			t.Errorf("got %d further notices within the hour, want none", len(mails))
		}
		a.Clock.Advance(time.Hour)
		kit.MustRefuse(t, "wrong", signInFrom(m, inLair, "n1", kit.WrongCode), kit.WrongCredentialsBody)
		if mails := a.AwaitMessages(); len(mails) != 1 || mails[0].MessageType != "AccountLocked" {
			t.Errorf("got %d notices after an hour, want 1", len(mails))
		}

		// A known source that locks itself out causes a notice too.
		a.AddUsers("n2")
		kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "n2", kit.Password))
		for range 10 {
			kit.MustRefuse(t, "wrong", signInFrom(a.Server, atHome, "n2", kit.WrongCode), kit.WrongCredentialsBody)
		}
		if mails := a.AwaitMessages(); len(mails) != 1 || mails[0].EventBody.Username != "n2" {
			t.Errorf("got %d notices of the lock of a source, want 1", len(mails))
		}

		// No notice is sent for an unknown name, and the cost is the same.
		requests := a.QueryOne("SELECT count(*) FROM code_requests WHERE type = '" + string(storage.MessageAccountLocked) + "'")
		for range 10 {
			kit.MustRefuse(t, "wrong", signInFrom(a.Server, inLair, "n-nobody", kit.WrongCode), kit.WrongCredentialsBody)
		}
		if mails := a.AwaitMessages(); len(mails) != 0 {
			t.Errorf("got %d notices for an unknown name, want none", len(mails))
		}
		after := a.QueryOne("SELECT count(*) FROM code_requests WHERE type = '" + string(storage.MessageAccountLocked) + "'")
		if before, now := number(t, requests), number(t, after); now != before+1 {
			t.Errorf("got %[2]d requests, want %[1]d", before, now)
		}
		if n := eventsOf(a.Fixture, "login.locked", "n1"); n != 6 {
			t.Errorf("got %d events of locks, want one for each of six", n)
		}
	})
}

// number parses a number.
func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
