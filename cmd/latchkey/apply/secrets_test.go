package apply_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

func user(credential string) string {
	return "AdminUsers: [{ID: u, Username: u, " + credential + "}]"
}

// verifies reports whether the password is that of the login u.
func (db *database) verifies(password string) bool {
	db.t.Helper()
	ok, _, err := db.hasher.Verify(db.t.Context(), db.principal("u").Login.PasswordHash, password)
	must(db.t, err)
	return ok
}

const (
	hashOfPassword = "'$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44'"
	hashOfHorse    = "'$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2'"
)

func TestImportHashes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, hash, password string }{
		{"bcrypt", hashOfHorse, "correct horse"},
		{"PBKDF2", hashOfPassword, "password"},
		{"argon2id", "'$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'", "password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			db.apply(user("PasswordHash: " + tt.hash))
			if !db.verifies(tt.password) || db.verifies("another") {
				t.Error("the imported hash must match its password and no other")
			}
			if db.principal("u").Login.PasswordSetAt.IsZero() {
				t.Error("got no time of the password")
			}
		})
	}
}

// TestImportedHashDoesNotReturn tests that a later run does not restore an imported hash,
// because a sign-in may have upgraded it and a user may have replaced it. Only ForcePasswords
// restores it.
func TestImportedHashDoesNotReturn(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(user("PasswordHash: " + hashOfHorse))
	db.apply(user("Password: changed since"))
	if got := db.apply(user("PasswordHash: " + hashOfHorse)); got != nil || !db.verifies("changed since") {
		t.Errorf("got the changes %q, and the later password: %v; want none and true", got, db.verifies("changed since"))
	}
	db.cfg.ForcePasswords = true
	want := []string{"update AdminUser u: Password"}
	if got := db.apply(user("PasswordHash: " + hashOfHorse)); !slices.Equal(got, want) || !db.verifies("correct horse") {
		t.Errorf("forced: got the changes %q, want %q", got, want)
	}
	if got := db.apply(user("PasswordHash: " + hashOfHorse)); got != nil {
		t.Errorf("forced again: got the changes %q, want none", got)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(user("Password: first-password"))
	old := db.principal("u").Login
	if got := db.apply(user("Password: first-password")); got != nil || db.principal("u").Login.PasswordHash != old.PasswordHash {
		t.Errorf("the same password: got the changes %q, want none", got)
	}
	if got := db.apply(user("Email: u@x.org")); !slices.Equal(got, []string{"update AdminUser u: Email"}) || !db.verifies("first-password") {
		t.Errorf("without a password: got the changes %q", got)
	}
	if got := db.apply(user("Email: u@x.org, Password: second-password")); !slices.Equal(got, []string{"update AdminUser u: Password"}) || !db.verifies("second-password") {
		t.Errorf("another password: got the changes %q", got)
	}
	if !db.principal("u").Login.SessionsValidFrom.After(old.SessionsValidFrom) {
		t.Error("a new password did not end the old sessions")
	}
}

// TestPasswordOverUnusableHash tests that a password replaces a hash that the verifier refuses.
func TestPasswordOverUnusableHash(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(user("Password: first-password"))
	must(t, db.store.SetPassword(t.Context(), db.principal("u").Login.ID, "$md5$x$y", time.Now(), false))
	if got := db.apply(user("Password: first-password")); len(got) != 1 || !db.verifies("first-password") {
		t.Errorf("got the changes %q, want one", got)
	}
}

func TestClientSecret(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	client := func(secret string) string {
		return "ApiClients: [{ID: Shop, AppName: Shop, AllowSeller: true, " + secret + "}]"
	}
	matches := func(secret string) bool {
		c, err := db.store.Client(t.Context(), "shop")
		must(t, err)
		return grants.MatchClientSecret(db.cfg.Peppers, &c, secret, time.Now())
	}
	db.apply(client("Active: true"))
	if c, err := db.store.Client(t.Context(), "shop"); err != nil || !c.Public {
		t.Errorf("without a secret: got public %v, error %v", c.Public, err)
	}
	want := []string{"update ApiClient Shop: ClientSecret"}
	if got := db.apply(client("ClientSecret: one")); !slices.Equal(got, want) || !matches("one") || matches("two") {
		t.Errorf("a secret: got the changes %q", got)
	}
	c, err := db.store.Client(t.Context(), "shop")
	if err != nil || c.Public || len(c.Secrets) != 1 || c.Secrets[0].Name != "ClientSecret" {
		t.Errorf("got the client %+v, error %v", c, err)
	}
	must(t, db.store.AddClientSecret(t.Context(), "Shop", storage.ClientSecret{
		ID: "other", Name: "other", Digest: grants.DigestClientSecret(db.cfg.Peppers, "Shop", "three"), CreatedAt: time.Now(),
	}, 0))
	if got := db.apply(client("ClientSecret: three")); got != nil {
		t.Errorf("a secret of another name: got the changes %q, want none", got)
	}
	if got := db.apply(client("ClientSecret: two")); !slices.Equal(got, want) || matches("one") || !matches("two") || !matches("three") {
		t.Errorf("another secret: got the changes %q", got)
	}
	if got := db.apply(client("Active: true")); got != nil || !matches("two") {
		t.Errorf("no secret: got the changes %q, want none", got)
	}
}

func TestTooManyClientSecrets(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply("ApiClients: [{ID: c, AppName: C}]")
	for i := range 10 {
		must(t, db.store.AddClientSecret(t.Context(), "c", storage.ClientSecret{ID: fmt.Sprint(i), Name: fmt.Sprint(i), CreatedAt: time.Now()}, 0))
	}
	_, err := db.run("ApiClients: [{ID: c, AppName: C, ClientSecret: one-more}]", false)
	checkFaults(t, err, []string{"ApiClients[0].ClientSecret: the client has 10 secrets"})
}

// TestSharedKeyAfterLossOfMasterKey tests that a shared key in the document replaces a stored
// key that the master key cannot open.
func TestSharedKeyAfterLossOfMasterKey(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	const doc = "MessageSenders: [{ID: m, Name: M, MessageTypes: [OneTimePassword], URL: 'https://x.org', SharedKey: k, AllowAllBuyers: true}]"
	db.apply(doc)
	m, err := db.store.Sender(t.Context(), "m")
	must(t, err)
	m.SharedKey.KeyID = "lost"
	_, err = db.store.PutSender(t.Context(), m)
	must(t, err)
	if got := db.apply(doc); !slices.Equal(got, []string{"update MessageSender m: SharedKey"}) {
		t.Errorf("got the changes %q", got)
	}
}
