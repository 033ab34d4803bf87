package main

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// call runs the program in this process, with an empty environment.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	c := &cli{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, now: time.Now, random: rand.Reader}
	code = c.run(t.Context(), args)
	return code, out.String(), errs.String()
}

func TestUserUnlock(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), gormtest.SQLite(t)
	store, err := gormstore.Open(ctx, gormstore.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	user := storage.User{UID: "usr_1", RealmID: storage.DefaultRealmID, Kind: storage.Admin, ID: "bob", Active: true}
	if _, err := store.PutUser(ctx, user); err != nil {
		t.Fatal(err)
	}
	locked := storage.Lockout{Failures: 10, LastFailureAt: time.Now(), LockedUntil: time.Now().Add(time.Hour), Version: 10}
	login := storage.Login{
		ID: "log_1", ProfileID: storage.DefaultProfileID, Username: "Bob", UsernameKey: "bob", UserUID: "usr_1",
		Active: true, Lockout: locked,
	}
	if _, err := store.PutLogin(ctx, login); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t, "user", "show", "bob", "--database-url", url)
	if code != 0 || !strings.Contains(out, "\npasswords from addresses that are not known are locked until "+showTime(locked.LockedUntil, "")+"\n") {
		t.Fatalf("got %d %q %q", code, out, errs)
	}
	code, out, errs = call(t, "user", "unlock", " BOB ", "--database-url", url)
	if code != 0 || out != "login \"Bob\" is unlocked\n" || errs != "" {
		t.Fatalf("got %d %q %q", code, out, errs)
	}
	got, err := store.Login(ctx, storage.DefaultProfileID, "bob")
	if err != nil || got.Lockout.Failures != 0 || got.Lockout.Locked(time.Now()) || got.Lockout.Version <= locked.Version {
		t.Errorf("got the lockout %+v, error %v; want no failures and a newer version", got.Lockout, err)
	}
	for _, args := range [][]string{{"alice"}, {"bob", "--profile", "other"}} {
		code, out, errs := call(t, append([]string{"user", "unlock", "--database-url", url}, args...)...)
		if code != 1 || out != "" || !strings.HasPrefix(errs, "latchkey: no login ") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: got %d %q %q", args, code, out, errs)
		}
	}
}
