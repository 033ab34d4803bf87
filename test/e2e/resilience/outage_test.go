package resilience

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

func prepareOutage(a *kit.OneServer) *kit.Outage {
	a.T.Helper()
	b := &kit.Outage{OneServer: a, Session: a.SignIn("shop", "outage-session")}
	a.AddUsers("outage-code", "outage-password", "outage-wrong")
	for _, name := range []string{"outage-code", "outage-password", "outage-wrong"} {
		for range 9 {
			kit.MustRefuse(a.T, "wrong", a.Server.SignInThrough("codes-only", name, kit.WrongCode), kit.WrongCredentialsBody)
		}
	}
	b.Code = a.RequestCode(a.Server, "shop", "outage-code")
	var robot struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	a.Must(json.Unmarshal([]byte(a.Run("client", "create", "--name", "Robot", "--grant", "client_credentials")), &robot))
	b.ClientCredentials = func() kit.Response {
		return a.Server.Form("/oauth/token", "grant_type", "client_credentials", "client_id", robot.ID, "client_secret", robot.Secret)
	}
	kit.MustIssue(a.T, "client credentials", b.ClientCredentials())
	return b
}

// writes are the requests that cannot be answered without a write. reads are those that only
// read.
func writes(b *kit.Outage) map[string]func() kit.Response {
	return map[string]func() kit.Response{
		"right password":         func() kit.Response { return b.Server.SignIn("outage-password", kit.Password) },
		"wrong password":         func() kit.Response { return b.Server.SignIn("outage-wrong", "wrong") },
		"right code":             func() kit.Response { return b.Server.SignIn("outage-code", b.Code) },
		"wrong code":             func() kit.Response { return b.Server.SignInThrough("codes-only", "outage-wrong", kit.WrongCode) },
		"unknown user":           func() kit.Response { return b.Server.SignIn("nobody", "wrong") },
		"refresh":                func() kit.Response { return b.Server.Refresh(b.Session.Refresh) },
		"revoke a refresh token": func() kit.Response { return b.Server.RevokeThrough("shop", b.Session.Refresh) },
		"revoke an access token": func() kit.Response { return b.Server.RevokeThrough("shop", b.Session.Access) },
		"ask for a code":         func() kit.Response { return b.Server.RequestCode("outage-wrong", "") },
		"ask for nobody's code":  func() kit.Response { return b.Server.RequestCode("nobody", "") },
	}
}

func reads(b *kit.Outage) map[string]func() kit.Response {
	return map[string]func() kit.Response{
		"introspect an access token": func() kit.Response { return b.Server.Introspect(b.Session.Access) },
		"introspect a refresh token": func() kit.Response { return b.Server.Introspect(b.Session.Refresh) },
	}
}

// together sends requests of several kinds at once, each three times.
func together(b *kit.Outage, t *testing.T, requests map[string]func() kit.Response) {
	t.Helper()
	type named struct {
		name string
		send func() kit.Response
	}
	var all []named
	for name, send := range requests {
		all = append(all, named{name, send}, named{name, send}, named{name, send})
	}
	for i, got := range kit.Concurrently(len(all), func(i int) kit.Response { return all[i].send() }) {
		kit.MustBeUnavailable(t, all[i].name, got)
	}
}

// nothingHappened checks after the outage that no failure was counted, no code used, no token
// rotated or revoked, and no code request stored.
func nothingHappened(b *kit.Outage, t *testing.T) {
	t.Helper()
	kit.Eventually(t, "the server is ready again", func() bool {
		got, err := kit.HTTPClient.Get(b.Server.OpsURL + "/readyz")
		if err != nil {
			return false
		}
		_ = got.Body.Close()
		return got.StatusCode == http.StatusOK
	})
	for _, name := range []string{"outage-code", "outage-password", "outage-wrong"} {
		if l := b.Login(name); l.Lockout.Failures != 9 || !l.Code.UsedAt.IsZero() {
			t.Errorf("%s: got %d failures, code used at %v; want 9 and no used code", name, l.Lockout.Failures, l.Code.UsedAt)
		}
	}
	kit.MustBeActive(t, "access token", b.Server.Introspect(b.Session.Access))
	kit.MustBeActive(t, "refresh token", b.Server.Introspect(b.Session.Refresh))
	if mails := b.AwaitMessages(); len(mails) != 0 {
		t.Errorf("got %d messages of refused requests, want none", len(mails))
	}
	for name, want := range map[string]string{"outage-code": "0", "outage-password": "0", "outage-session": "1"} {
		if got := b.QueryOne("SELECT count(*) FROM families WHERE login_id = '" + b.Login(name).ID + "'"); got != want {
			t.Errorf("%s: got %s refresh families, want %s", name, got, want)
		}
	}
	kit.MustIssue(t, "the code", b.Server.SignIn("outage-code", b.Code))
	kit.MustRefuse(t, "the code again", b.Server.SignIn("outage-code", b.Code), kit.WrongCredentialsBody)
	next := kit.TokenPairOf(t, "refresh", b.Server.Refresh(b.Session.Refresh))
	if got := b.Server.RevokeThrough("shop", next.Refresh); got.Status != http.StatusOK {
		t.Errorf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	kit.MustBeInactive(t, "access token after the revocation", b.Server.Introspect(b.Session.Access))
	kit.MustIssue(t, "the password", b.Server.SignIn("outage-password", kit.Password))
	kit.MustIssue(t, "the other password", b.Server.SignIn("outage-wrong", kit.Password))
	kit.MustIssue(t, "client credentials", b.ClientCredentials())
}

// TestPostgresStopped lets PostgreSQL crash under a running server.
func TestPostgresStopped(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(pgtest.Config{Migrate: gormtest.Migrate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	b := prepareOutage(kit.NewOneServer(kit.NewFixture(t, server.Database(t))))
	b.DB.SetMaxIdleConns(0) // the test must not use a connection from before the outage
	for range 2 {
		// A code is requested in time, but its message is not delivered before the outage.
		b.Inbox.Status.Store(http.StatusServiceUnavailable)
		b.AddUsersWithoutPassword("patient")
		if got := b.Server.RequestCodeThrough("kiosk", "patient", ""); got.Status != http.StatusNoContent {
			t.Fatalf("got %d %s, want 204", got.Status, got.Body)
		}
		kit.Eventually(t, "it was tried", func() bool {
			return b.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0") == "1"
		})
		b.Must(server.Stop())
		together(b, t, writes(b))
		together(b, t, reads(b))
		// A client's own token needs no database while the server can trust its cache. The
		// server notices soon that it cannot.
		kit.Eventually(t, "client credentials are refused", func() bool {
			got := b.ClientCredentials()
			if got.Status != http.StatusOK {
				kit.MustBeUnavailable(t, "client credentials", got)
			}
			return got.Status == http.StatusServiceUnavailable
		})
		b.Inbox.Status.Store(http.StatusOK)
		b.Must(server.Start())
		b.Clock.Advance(time.Minute)
		got := b.Inbox.Next(t)
		if got.EventBody.Username != "patient" {
			t.Errorf("got a message for %q, want patient", got.EventBody.Username)
		}
		kit.MustIssue(t, "the code that waited", b.Server.SignInThrough("kiosk", "patient", got.EventBody.OneTimePassword))
	}
	nothingHappened(b, t)
}

// TestReadOnlyDatabase tests that with a database that can only be read, each attempt fails
// after its verification and before it is settled.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	t.Run("postgres standby", func(t *testing.T) {
		t.Parallel()
		b := prepareOutage(kit.NewOneServer(kit.NewFixture(t, gormtest.Postgres(t).Database(t))))
		name := b.QueryOne("SELECT current_database()")
		b.TurnReadOnly(t, name, "on")
		together(b, t, writes(b))
		for what, ask := range reads(b) {
			kit.MustBeActive(t, what, ask())
		}
		b.TurnReadOnly(t, name, "off")
		nothingHappened(b, t)
	})
	t.Run("postgres locked", func(t *testing.T) {
		t.Parallel()
		b := prepareOutage(kit.NewOneServer(kit.NewFixture(t, gormtest.Postgres(t).Database(t)), "LATCHKEY_REQUEST_TIMEOUT=5s"))
		whileHeld(b, t, "BEGIN", "LOCK TABLE logins, phantoms, families, revoked_tokens, code_requests IN EXCLUSIVE MODE")
	})
	t.Run("sqlite locked", func(t *testing.T) {
		t.Parallel()
		b := prepareOutage(kit.NewOneServer(kit.NewFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))))
		whileHeld(b, t, "BEGIN IMMEDIATE")
	})
}

// whileHeld sends all writing requests while another connection locks the rows that they write.
func whileHeld(b *kit.Outage, t *testing.T, statements ...string) {
	t.Helper()
	conn, err := b.DB.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	together(b, t, writes(b))
	for what, ask := range reads(b) {
		kit.MustBeActive(t, what, ask())
	}
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	nothingHappened(b, t)
}
