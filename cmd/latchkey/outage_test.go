package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// besieged is an arena before the outage of its database: logins with nine
// failures, one short of the lock. One of them has a code, one a session. Each
// is for requests of one kind, since those of one login wait for each other.
type besieged struct {
	*arena
	code    string
	session pair
	robot   func() answer // asks for a token of a client's own
}

func besiege(a *arena) *besieged {
	a.t.Helper()
	b := &besieged{arena: a, session: a.session("shop", "siege-session")}
	a.enrol("siege-code", "siege-password", "siege-wrong")
	for _, name := range []string{"siege-code", "siege-password", "siege-wrong"} {
		for range 9 {
			refused(a.t, "wrong", a.n.signInTo("codes-only", name, wrongCode), refusedSignIn)
		}
	}
	b.code = a.codeThrough(a.n, "shop", "siege-code")
	var robot struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	a.must(json.Unmarshal([]byte(a.run("client", "create", "--name", "Robot", "--grant", "client_credentials")), &robot))
	b.robot = func() answer {
		return a.n.form("/oauth/token", "grant_type", "client_credentials", "client_id", robot.ID, "client_secret", robot.Secret)
	}
	granted(a.t, "client credentials", b.robot())
	return b
}

func (n *node) revokeFor(clientID, token string) answer {
	return n.form("/oauth/revoke", append(clientFields(clientID), "token", token)...)
}

// writes are the requests that cannot be answered without a write, reads those
// that need only look.
func (b *besieged) writes() map[string]func() answer {
	return map[string]func() answer{
		"right password":         func() answer { return b.n.signIn("siege-password", janesPassword) },
		"wrong password":         func() answer { return b.n.signIn("siege-wrong", "wrong") },
		"right code":             func() answer { return b.n.signIn("siege-code", b.code) },
		"wrong code":             func() answer { return b.n.signInTo("codes-only", "siege-wrong", wrongCode) },
		"unknown user":           func() answer { return b.n.signIn("nobody", "wrong") },
		"refresh":                func() answer { return b.n.refresh(b.session.refresh) },
		"revoke a refresh token": func() answer { return b.n.revokeFor("shop", b.session.refresh) },
		"revoke an access token": func() answer { return b.n.revokeFor("shop", b.session.access) },
		"ask for a code":         func() answer { return b.n.askForCode("siege-wrong", "") },
		"ask for nobody's code":  func() answer { return b.n.askForCode("nobody", "") },
	}
}

func (b *besieged) reads() map[string]func() answer {
	return map[string]func() answer{
		"introspect an access token": func() answer { return b.n.introspect(b.session.access) },
		"introspect a refresh token": func() answer { return b.n.introspect(b.session.refresh) },
	}
}

// unavailable fails the test unless the answer is 503, says when to come back
// and blames nobody.
func unavailable(t *testing.T, what string, got answer) {
	t.Helper()
	oauth := strings.HasPrefix(got.body, `{"error":"temporarily_unavailable",`)
	vendor := strings.HasPrefix(got.body, `{"Errors":[{"ErrorCode":`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !oauth && !vendor {
		t.Errorf("%s: %d, Retry-After %q: %s; want 503", what, got.status, got.header.Get("Retry-After"), got.body)
	}
	for _, hint := range []string{"invalid_grant", "postgres", "sql", "SQL", "dial", "connect", ".db", "database"} {
		if strings.Contains(got.body, hint) {
			t.Errorf("%s: the answer tells of %q: %s", what, hint, got.body)
		}
	}
}

// together sends requests of several kinds at once, each three times.
func (b *besieged) together(t *testing.T, requests map[string]func() answer) {
	t.Helper()
	type named struct {
		name string
		send func() answer
	}
	var all []named
	for name, send := range requests {
		all = append(all, named{name, send}, named{name, send}, named{name, send})
	}
	for i, got := range atOnce(len(all), func(i int) answer { return all[i].send() }) {
		unavailable(t, all[i].name, got)
	}
}

// nothingHappened is asked when the database is back: no failure was counted,
// no code burnt, no token rotated or revoked, and no code request taken on.
func (b *besieged) nothingHappened(t *testing.T) {
	t.Helper()
	awaitThat(t, "the server is ready again", func() bool {
		got, err := client.Get(b.n.ops + "/readyz")
		if err != nil {
			return false
		}
		_ = got.Body.Close()
		return got.StatusCode == http.StatusOK
	})
	for _, name := range []string{"siege-code", "siege-password", "siege-wrong"} {
		if l := b.login(name); l.Lockout.Failures != 9 || !l.Code.UsedAt.IsZero() {
			t.Errorf("%s: %d failures, code used at %v; want 9 and no used code", name, l.Lockout.Failures, l.Code.UsedAt)
		}
	}
	isActive(t, "access token", b.n.introspect(b.session.access))
	isActive(t, "refresh token", b.n.introspect(b.session.refresh))
	if mails := b.settled(); len(mails) != 0 {
		t.Errorf("%d messages of requests that were refused", len(mails))
	}
	for name, want := range map[string]string{"siege-code": "0", "siege-password": "0", "siege-session": "1"} {
		if got := b.one("SELECT count(*) FROM families WHERE login_id = '" + b.login(name).ID + "'"); got != want {
			t.Errorf("%s has %s refresh families, want %s", name, got, want)
		}
	}
	granted(t, "the code", b.n.signIn("siege-code", b.code))
	refused(t, "the code again", b.n.signIn("siege-code", b.code), refusedSignIn)
	next := pairOf(t, "refresh", b.n.refresh(b.session.refresh))
	if got := b.n.revokeFor("shop", next.refresh); got.status != http.StatusOK {
		t.Errorf("revocation: %d %s", got.status, got.body)
	}
	isInactive(t, "access token after the revocation", b.n.introspect(b.session.access))
	granted(t, "the password", b.n.signIn("siege-password", janesPassword))
	granted(t, "the other password", b.n.signIn("siege-wrong", janesPassword))
	granted(t, "client credentials", b.robot())
}

// TestPostgresStopped crashes the database under a server of its own.
func TestPostgresStopped(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(pgtest.Config{Migrate: func(url string) error {
		store, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
		if err != nil {
			return err
		}
		return errors.Join(store.Migrate(context.Background()), store.Close())
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	b := besiege(enterArena(newWorld(t, server.Database(t))))
	for range 2 {
		// A code is asked for in time, but its message does not get through
		// before the outage.
		b.inbox.answer.Store(http.StatusServiceUnavailable)
		b.enrolWithout("patient")
		if got := b.n.askForCodeThrough("kiosk", "patient", ""); got.status != http.StatusNoContent {
			t.Fatalf("%d %s", got.status, got.body)
		}
		awaitThat(t, "it was tried", func() bool {
			return b.one("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0") == "1"
		})
		b.must(server.Stop())
		b.together(t, b.writes())
		b.together(t, b.reads())
		// A token of a client's own needs no database as long as the server
		// can trust what it knows, and it notices soon that it cannot.
		awaitThat(t, "client credentials are refused", func() bool {
			got := b.robot()
			if got.status != http.StatusOK {
				unavailable(t, "client credentials", got)
			}
			return got.status == http.StatusServiceUnavailable
		})
		b.inbox.answer.Store(http.StatusOK)
		b.must(server.Start())
		b.clock.advance(time.Minute)
		got := b.inbox.next(t)
		if got.EventBody.Username != "patient" {
			t.Errorf("message for %q", got.EventBody.Username)
		}
		granted(t, "the code that waited", b.n.signInTo("kiosk", "patient", got.EventBody.OneTimePassword))
	}
	b.nothingHappened(t)
}

// TestWritesRefused has a database that can be read and not written, so that
// an attempt fails in the middle: verified, and not settled.
func TestWritesRefused(t *testing.T) {
	t.Parallel()
	t.Run("postgres standby", func(t *testing.T) {
		t.Parallel()
		b := besiege(enterArena(newWorld(t, postgres(t).Database(t))))
		name := b.one("SELECT current_database()")
		b.turnReadOnly(t, name, "on")
		b.together(t, b.writes())
		for what, ask := range b.reads() {
			isActive(t, what, ask())
		}
		b.turnReadOnly(t, name, "off")
		b.nothingHappened(t)
	})
	t.Run("postgres locked", func(t *testing.T) {
		t.Parallel()
		b := besiege(enterArena(newWorld(t, postgres(t).Database(t)), "LATCHKEY_REQUEST_TIMEOUT=2s"))
		b.whileHeld(t, "BEGIN", "LOCK TABLE logins, phantoms, families, revoked_tokens, code_requests IN EXCLUSIVE MODE")
	})
	t.Run("sqlite locked", func(t *testing.T) {
		t.Parallel()
		b := besiege(enterArena(newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))))
		b.whileHeld(t, "BEGIN IMMEDIATE")
	})
}

// turnReadOnly lets every new connection write or not, and ends the old ones.
func (b *besieged) turnReadOnly(t *testing.T, name, state string) {
	t.Helper()
	conn, err := b.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over or goes on without it
	for _, statement := range []string{
		"SET default_transaction_read_only = off",
		"ALTER DATABASE " + name + " SET default_transaction_read_only = " + state,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND pid <> pg_backend_pid()",
	} {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := conn.Raw(func(any) error { return sql.ErrConnDone }); err == nil {
		t.Fatal("the connection was not given up")
	}
}

// whileHeld sends everything that writes while another connection holds what
// has to be written.
func (b *besieged) whileHeld(t *testing.T, statements ...string) {
	t.Helper()
	conn, err := b.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	b.together(t, b.writes())
	for what, ask := range b.reads() {
		isActive(t, what, ask())
	}
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	b.nothingHappened(t)
}
