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
func (b *bench) verifies(password string) bool {
	b.t.Helper()
	ok, _, err := b.hasher.Verify(b.t.Context(), b.principal("u").Login.PasswordHash, password)
	fatal(b.t, err)
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
			b := newBench(t)
			b.apply(user("PasswordHash: " + tt.hash))
			if !b.verifies(tt.password) || b.verifies("another") {
				t.Error("the imported hash does not tell passwords apart")
			}
			if b.principal("u").Login.PasswordSetAt.IsZero() {
				t.Error("no time of the password")
			}
		})
	}
}

// Sign-in upgrades hashes and users change passwords: a later run must not
// bring the imported hash back, unless that is asked for.
func TestImportedHashDoesNotReturn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.apply(user("PasswordHash: " + hashOfHorse))
	b.apply(user("Password: changed since"))
	if got := b.apply(user("PasswordHash: " + hashOfHorse)); got != nil || !b.verifies("changed since") {
		t.Errorf("changes %q; the password given since: %v", got, b.verifies("changed since"))
	}
	b.cfg.ForcePasswords = true
	want := []string{"update AdminUser u: Password"}
	if got := b.apply(user("PasswordHash: " + hashOfHorse)); !slices.Equal(got, want) || !b.verifies("correct horse") {
		t.Errorf("forced: changes %q, want %q", got, want)
	}
	if got := b.apply(user("PasswordHash: " + hashOfHorse)); got != nil {
		t.Errorf("forced once more: changes %q", got)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.apply(user("Password: first-password"))
	old := b.principal("u").Login
	if got := b.apply(user("Password: first-password")); got != nil || b.principal("u").Login.PasswordHash != old.PasswordHash {
		t.Errorf("the same password changes %q", got)
	}
	if got := b.apply(user("Email: u@x.org")); !slices.Equal(got, []string{"update AdminUser u: Email"}) || !b.verifies("first-password") {
		t.Errorf("without a password: changes %q", got)
	}
	if got := b.apply(user("Email: u@x.org, Password: second-password")); !slices.Equal(got, []string{"update AdminUser u: Password"}) || !b.verifies("second-password") {
		t.Errorf("another password: changes %q", got)
	}
	if !b.principal("u").Login.SessionsValidFrom.After(old.SessionsValidFrom) {
		t.Error("a new password leaves the old sessions alive")
	}
}

// A password replaces a hash that no longer passes the checks.
func TestPasswordOverUnusableHash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.apply(user("Password: first-password"))
	fatal(t, b.store.SetPassword(t.Context(), b.principal("u").Login.ID, "$md5$x$y", time.Now(), false))
	if got := b.apply(user("Password: first-password")); len(got) != 1 || !b.verifies("first-password") {
		t.Errorf("changes %q", got)
	}
}

func TestClientSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	client := func(secret string) string {
		return "ApiClients: [{ID: Shop, AppName: Shop, AllowSeller: true, " + secret + "}]"
	}
	matches := func(secret string) bool {
		c, err := b.store.Client(t.Context(), "shop")
		fatal(t, err)
		return grants.MatchClientSecret(b.cfg.Peppers, &c, secret, time.Now())
	}
	b.apply(client("Active: true"))
	if c, err := b.store.Client(t.Context(), "shop"); err != nil || !c.Public {
		t.Errorf("without a secret: public %v, error %v", c.Public, err)
	}
	want := []string{"update ApiClient Shop: ClientSecret"}
	if got := b.apply(client("ClientSecret: one")); !slices.Equal(got, want) || !matches("one") || matches("two") {
		t.Errorf("a secret: changes %q", got)
	}
	c, err := b.store.Client(t.Context(), "shop")
	if err != nil || c.Public || len(c.Secrets) != 1 || c.Secrets[0].Name != "ClientSecret" {
		t.Errorf("client %+v, error %v", c, err)
	}
	fatal(t, b.store.AddClientSecret(t.Context(), "Shop", storage.ClientSecret{
		ID: "other", Name: "other", Digest: grants.DigestClientSecret(b.cfg.Peppers, "Shop", "three"), CreatedAt: time.Now(),
	}, 0))
	if got := b.apply(client("ClientSecret: three")); got != nil {
		t.Errorf("a secret of another name: changes %q", got)
	}
	if got := b.apply(client("ClientSecret: two")); !slices.Equal(got, want) || matches("one") || !matches("two") || !matches("three") {
		t.Errorf("another secret: changes %q", got)
	}
	if got := b.apply(client("Active: true")); got != nil || !matches("two") {
		t.Errorf("no secret given: changes %q", got)
	}
}

func TestTooManyClientSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.apply("ApiClients: [{ID: c, AppName: C}]")
	for i := range 10 {
		fatal(t, b.store.AddClientSecret(t.Context(), "c", storage.ClientSecret{ID: fmt.Sprint(i), Name: fmt.Sprint(i), CreatedAt: time.Now()}, 0))
	}
	_, err := b.try("ApiClients: [{ID: c, AppName: C, ClientSecret: one-more}]", false)
	wantFaults(t, err, []string{"ApiClients[0].ClientSecret: the client has 10 secrets"})
}

// A change of the master key makes the stored key unreadable; giving it again
// seals it anew.
func TestSharedKeyAfterLossOfMasterKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const doc = "MessageSenders: [{ID: m, Name: M, MessageTypes: [OneTimePassword], URL: 'https://x.org', SharedKey: k, AllowAllBuyers: true}]"
	b.apply(doc)
	m, err := b.store.Sender(t.Context(), "m")
	fatal(t, err)
	m.SharedKey.KeyID = "lost"
	_, err = b.store.PutSender(t.Context(), m)
	fatal(t, err)
	if got := b.apply(doc); !slices.Equal(got, []string{"update MessageSender m: SharedKey"}) {
		t.Errorf("changes %q", got)
	}
}
