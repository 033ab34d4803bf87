package main

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

// TestLockIsTold: the user of a login is told of locks, once an hour; that is
// durable, and costs a name that nobody has as much.
func TestLockIsTold(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, behindProxy)
		m := a.another(behindProxy)
		a.apply(`MessageSenders: [{ID: locks, Name: Locks, MessageTypes: [AccountLocked], URL: "` + a.inbox.url +
			`/{messagetype}", SharedKey: ` + sharedKey + `, AllowAllBuyers: true}]`)
		a.enrol("n1")
		for i := range 10 {
			refused(t, "wrong", []*node{a.n, m}[i%2].signInFrom(fmt.Sprint("203.0.113.", i), "n1", wrongCode), refusedSignIn)
		}
		told := a.inbox.next(t)
		state := a.login("n1").Lockout
		if told.MessageType != "AccountLocked" || told.path != "/accountlocked" || told.EventBody.Username != "n1" ||
			told.Recipient.Email != "n1@people.example" || told.UserToken != "" || told.EventBody.LockedUntil == nil ||
			!told.EventBody.LockedUntil.Equal(state.LockedUntil.Truncate(time.Second)) {
			t.Errorf("told %+v, locked until %v", told, state.LockedUntil)
		}
		// What locks again within the hour, here or there, is not told.
		for i := range 4 {
			a.clock.advance(a.login("n1").Lockout.LockedUntil.Sub(a.clock.now()))
			refused(t, "wrong", []*node{a.n, m}[i%2].signInFrom(inLair, "n1", wrongCode), refusedSignIn)
		}
		if mails := a.settled(); len(mails) != 0 {
			t.Errorf("told %d times more within the hour", len(mails))
		}
		a.clock.advance(time.Hour)
		refused(t, "wrong", m.signInFrom(inLair, "n1", wrongCode), refusedSignIn)
		if mails := a.settled(); len(mails) != 1 || mails[0].MessageType != "AccountLocked" {
			t.Errorf("told %d times after an hour", len(mails))
		}

		// A known source that locks itself out is told as well.
		a.enrol("n2")
		granted(t, "at home", a.n.signInFrom(atHome, "n2", janesPassword))
		for range 10 {
			refused(t, "wrong", a.n.signInFrom(atHome, "n2", wrongCode), refusedSignIn)
		}
		if mails := a.settled(); len(mails) != 1 || mails[0].EventBody.Username != "n2" {
			t.Errorf("told %d times of a source's lock", len(mails))
		}

		// Nobody is told of a name that nobody has, at the same price.
		requests := a.one("SELECT count(*) FROM code_requests WHERE type = '" + string(storage.MessageAccountLocked) + "'")
		for range 10 {
			refused(t, "wrong", a.n.signInFrom(inLair, "n-nobody", wrongCode), refusedSignIn)
		}
		if mails := a.settled(); len(mails) != 0 {
			t.Errorf("told %d times of a name that nobody has", len(mails))
		}
		after := a.one("SELECT count(*) FROM code_requests WHERE type = '" + string(storage.MessageAccountLocked) + "'")
		if before, now := number(t, requests), number(t, after); now != before+1 {
			t.Errorf("%d requests became %d", before, now)
		}
		if n := a.eventsOf("login.locked", "n1"); n != 6 {
			t.Errorf("%d events of locks, want one for each of six", n)
		}
	})
}

// number reads a number.
func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
