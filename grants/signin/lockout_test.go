package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// Addresses of Bob at home, of Bob abroad, and of the attacker.
const (
	home     = "192.0.2.1"
	abroad   = "198.51.100.7"
	attacker = "203.0.113.66"
)

func from(at Attempt, address string) Attempt {
	at.Source = netip.MustParseAddr(address)
	return at
}

// mustSignIn signs Bob in from an address and returns the sign-in.
func (store *testStore) mustSignIn(t *testing.T, a *Authenticator, c *storage.Client, secret, address string) *SignIn {
	t.Helper()
	s, err := a.Verify(t.Context(), c, from(attempt(secret), address))
	if err == nil {
		err = a.Settle(t.Context(), s, nil)
	}
	if err != nil {
		t.Fatalf("%s from %s: %v", secret, address, err)
	}
	return s
}

// lockFrom makes ten wrong attempts from an address. They lock the source if it is known, and
// otherwise the login for all unknown sources.
func lockFrom(t *testing.T, a *Authenticator, c *storage.Client, address string) {
	t.Helper()
	for range 10 {
		if _, err := a.Verify(t.Context(), c, from(attempt("wrong"), address)); !errors.Is(err, ErrCredentials) {
			t.Fatalf("a wrong password from %s: got %v, want ErrCredentials", address, err)
		}
	}
}

// TestLockDoesNotExcludeTheUser tests that an attacker who locks a login does not lock out its
// user, who signs in from a known source or with a mailed code. The attacker stays locked out,
// even with the right password.
func TestLockDoesNotExcludeTheUser(t *testing.T) {
	t.Parallel()
	store, client := newStore(t)
	a := store.authenticator(t)
	store.mustSignIn(t, a, client, rightPassword, home)
	store.Bob().Login.Code.UsedAt = store.Now // no code is live while passwords are guessed
	lockFrom(t, a, client, attacker)
	hashes := store.Hashes
	for _, address := range []string{attacker, abroad} {
		if _, err := a.Verify(t.Context(), client, from(attempt(rightPassword), address)); !errors.Is(err, ErrCredentials) {
			t.Errorf("right password from %s: got %v, want ErrCredentials", address, err)
		}
	}
	if store.Hashes != hashes || store.Decoys != 2 {
		t.Errorf("got %d hashes and %d decoys for locked attempts, want 0 and 2", store.Hashes-hashes, store.Decoys)
	}
	store.mustSignIn(t, a, client, rightPassword, home)
	store.NewCode("otc_2")
	store.mustSignIn(t, a, client, rightCode, abroad)
	store.mustSignIn(t, a, client, rightPassword, abroad) // it is a known source now
	if !store.Bob().Lockout.Locked(store.Now) {
		t.Error("the sign-in of the user ended the lock for the attacker")
	}
	if _, err := a.Verify(t.Context(), client, from(attempt(rightPassword), attacker)); !errors.Is(err, ErrCredentials) {
		t.Errorf("right password from the attacker: got %v, want ErrCredentials", err)
	}

	// A known source has its own lock, which also applies to codes.
	lockFrom(t, a, client, home)
	store.NewCode("otc_3")
	for _, secret := range []string{rightPassword, rightCode} {
		if _, err := a.Verify(t.Context(), client, from(attempt(secret), home)); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s from a locked source: got %v, want ErrCredentials", secret, err)
		}
	}
	store.mustSignIn(t, a, client, rightCode, abroad)
}

// TestLockOfCodes tests that guesses at a code lock codes, and that a new code does not give
// new guesses.
func TestLockOfCodes(t *testing.T) {
	t.Parallel()
	store, client := newStore(t)
	client.Credentials.Password = false
	a := store.authenticator(t)
	for i := range 10 {
		store.NewCode(fmt.Sprint("otc", i))
		if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), fmt.Sprint("203.0.113.", i))); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
	}
	store.NewCode("another")
	if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), abroad)); !errors.Is(err, ErrCredentials) {
		t.Errorf("the right code after ten wrong ones: got %v, want ErrCredentials", err)
	}
	before := store.Bob().Lockout
	if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), abroad)); !errors.Is(err, ErrCredentials) {
		t.Fatal(err)
	}
	before.Version++
	if diff := cmp.Diff(before, store.Bob().Lockout); diff != "" {
		t.Errorf("an attempt under the lock changed the counters:\n%s", diff)
	}
}

// TestRepeatedRedemptionIsNoFailure presents a used code again, as a client does that lost the
// answer. The attempt is refused at the usual cost, and not counted. Other secrets and other
// clients are counted, and so is the code after a minute.
func TestRepeatedRedemptionIsNoFailure(t *testing.T) {
	t.Parallel()
	store, client := newStore(t)
	store.Bob().Login.Code.ClientID = client.ID
	a := store.authenticator(t)
	store.mustSignIn(t, a, client, rightCode, home)
	store.Bob().Login.Code.UsedAt = store.Now
	failures := func() int {
		n := store.Bob().Lockout.Failures + store.Bob().Lockout.Codes.Failures
		for _, s := range store.Sources {
			n += s.Counter.Failures
		}
		return n
	}
	refused := func(c *storage.Client, secret, address string, counted bool) {
		t.Helper()
		before, version, hashes := failures(), store.Bob().Lockout.Version, store.Hashes
		if _, err := a.Verify(t.Context(), c, from(attempt(secret), address)); !errors.Is(err, ErrCredentials) {
			t.Fatalf("%s: got %v, want ErrCredentials", secret, err)
		}
		if got := failures() > before; got != counted || store.Bob().Lockout.Version == version || store.Hashes != hashes+1 {
			t.Errorf("%s from %s: got counted %t, want %t; version %d, %d hashes", secret, address, got, counted, store.Bob().Lockout.Version-version, store.Hashes-hashes)
		}
	}
	other := *client
	other.ID = "other"
	refused(client, rightCode, home, false)
	refused(client, rightCode, abroad, false)
	refused(client, "wrong", home, true)
	refused(&other, rightCode, home, true)
	store.Now = store.Now.Add(repeatWindow - 1)
	refused(client, rightCode, home, false)
	store.Now = store.Now.Add(1)
	refused(client, rightCode, home, true)
	store.NewCode("otc_2") // after a new code, the old one is a guess
	store.Bob().Login.Code.Digest.Sum = []byte("another")
	refused(client, rightCode, home, true)
}

// TestDayOfGuessingCodes tests that an attacker with fifty addresses and a new code for each
// guess has at most twenty codes compared on the first day.
func TestDayOfGuessingCodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, dayOfGuessingCodes) // refusals are delayed
}

func dayOfGuessingCodes(t *testing.T) {
	store, client := newStore(t)
	a := store.authenticator(t)
	store.mustSignIn(t, a, client, rightPassword, home)
	accepted, tries := 0, 0
	for end := start.Add(24 * time.Hour); store.Now.Before(end); tries++ {
		store.NewCode(fmt.Sprint("otc", tries))
		address := fmt.Sprint("203.0.113.", tries%50)
		p, err := store.Principal(t.Context(), LoginKey("main", "bob", netip.MustParseAddr(address)))
		if err != nil {
			t.Fatal(err)
		}
		if !p.CodesLocked(store.Now) {
			accepted++
		}
		if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), address)); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
		if tries%50 == 49 {
			store.Now = store.Now.Add(time.Minute)
		}
	}
	if accepted < 10 || accepted > 20 {
		t.Errorf("got %d of %d guesses compared in a day, want 10 to 20", accepted, tries)
	}
	store.mustSignIn(t, a, client, rightPassword, home)
	store.NewCode("last")
	store.mustSignIn(t, a, client, rightCode, home)
}

// TestNoticeOfLock tests that a message about a lock is requested once an hour, also for
// unknown names.
func TestNoticeOfLock(t *testing.T) {
	t.Parallel()
	for _, unknown := range []bool{false, true} {
		store, client := newStore(t)
		a := store.authenticator(t)
		if unknown {
			delete(store.Logins, store.Bob().Key)
		}
		wantNotices := func(want int, when string) {
			t.Helper()
			if len(store.Notices) != want {
				t.Errorf("unknown %v, %s: got %d notices, want %d", unknown, when, len(store.Notices), want)
			}
		}
		fail := func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), attacker)) }
		for range 9 {
			fail()
		}
		wantNotices(0, "before the lock")
		fail()
		wantNotices(1, "locked")
		for range 4 { // locks of 4, 8, 16 and 32 minutes, the last after half an hour
			store.Now = store.Now.Add(15 * time.Minute)
			fail()
		}
		wantNotices(1, "locked again within the hour")
		store.Now = start.Add(time.Hour + 30*time.Minute)
		fail()
		wantNotices(2, "locked again later")
		r := store.Notices[0]
		want := storage.CodeRequest{
			ID: r.ID, Type: storage.MessageAccountLocked, ProfileID: "main", Username: "bob", Source: attacker,
			CreatedAt: start, ExpiresAt: start.Add(24 * time.Hour),
		}
		if diff := cmp.Diff(want, r); diff != "" || r.ID == "" || r.ID == store.Notices[1].ID {
			t.Errorf("notice (-want +got):\n%s", diff)
		}
		locks := 0
		for _, e := range store.Events {
			if e.Action == "login.locked" {
				locks++
			}
			if e.Source != attacker {
				t.Errorf("got the event %+v without the source of the attacker", e)
			}
		}
		if locks != 4 && locks != 5 {
			t.Errorf("got %d events of locks, want one for each", locks)
		}
	}
}

// slowHasher starts to verify when proceed is closed.
type slowHasher struct {
	PasswordVerifier
	proceed chan struct{}
}

func (h slowHasher) Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error) {
	<-h.proceed
	return h.PasswordVerifier.Verify(ctx, encoded, password)
}

// TestParallelGuessesAreWorthTheBudget tests that of hundreds of parallel guesses ten are
// compared for unknown sources, and ten for a known one.
func TestParallelGuessesAreWorthTheBudget(t *testing.T) {
	t.Parallel()
	store, client := newStore(t)
	a := store.authenticator(t)
	store.mustSignIn(t, a, client, rightPassword, home)
	store.Bob().Login.Code.UsedAt = store.Now
	before := store.Hashes
	var group sync.WaitGroup
	for i := range 600 {
		address := home
		if i%2 == 0 {
			address = fmt.Sprint("203.0.113.", i%250)
		}
		group.Go(func() {
			if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), address)); !errors.Is(err, ErrCredentials) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	// Guesses from home also count for the login, so the login may be locked earlier.
	if n := store.Hashes - before; n < 10 || n > 20 {
		t.Errorf("got %d compared guesses, want 10 to 20", n)
	}
}

// TestVictimIsNotDelayed tests that the user signs in at once from a known source while a
// thousand attempts wait in the queue of the login. The sign-in costs at most one more read.
func TestVictimIsNotDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, client := newStore(t)
		store.mustSignIn(t, store.authenticator(t), client, rightPassword, home)
		store.Bob().Login.Code.UsedAt = store.Now
		slow := slowHasher{store, make(chan struct{})}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: store, Codes: store, Passwords: slow, Now: store.Clock})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range maxWaiting {
			group.Go(func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), fmt.Sprint("203.0.113.", i%250))) })
		}
		synctest.Wait()
		reads, start := store.Reads, time.Now()
		store.NewCode("otc_2")
		if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), home)); err != nil {
			t.Errorf("the user from home: got %v, want no error", err)
		}
		if n := store.Reads - reads; n > 2 || time.Since(start) != 0 {
			t.Errorf("the sign-in took %d reads and %v, want at most 2 at once", n, time.Since(start))
		}
		close(slow.proceed)
		group.Wait()
	})
}

// TestParallelGuessesAfterAQuietDay tests parallel failures after a day without failures. The
// old failure is forgotten, so the first new failure leaves the count at one. The other
// failures must still be counted.
func TestParallelGuessesAfterAQuietDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, client := newStore(t)
		long := start.Add(-25 * time.Hour)
		store.Bob().Lockout = storage.Lockout{Failures: 1, LastFailureAt: long, Codes: storage.Counter{Failures: 1, LastFailureAt: long}}
		slow := slowHasher{store, make(chan struct{})}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: store, Codes: store, Passwords: slow, Now: store.Clock})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 9 {
			group.Go(func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), attacker)) })
		}
		synctest.Wait()
		close(slow.proceed)
		group.Wait()
		if l := store.Bob().Lockout; l.Failures != 9 || l.Codes.Failures != 9 {
			t.Errorf("got %d counted guesses, and %d at the code; want 9 of each", l.Failures, l.Codes.Failures)
		}
	})
}

// TestLockThatEndsMeanwhile tests that attempts that started under a lock are refused, even if
// the lock ends before their secrets are checked. The budget does not limit attempts under a
// lock. So otherwise all of them could be checked at the same time.
func TestLockThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	const crowd = 10 // the threshold; more attempts would wait, and read the login after the lock
	synctest.Test(t, func(t *testing.T) {
		store, client := newStore(t)
		until := start.Add(time.Minute)
		shut := storage.Counter{Failures: 10, LastFailureAt: start, LockedUntil: until}
		store.Bob().Lockout = storage.Lockout{Failures: 10, LastFailureAt: start, LockedUntil: until, Codes: shut}
		read, ended := make(chan struct{}, crowd), make(chan struct{})
		clock := func() time.Time {
			select {
			case read <- struct{}{}:
				<-ended
				return until.Add(-time.Microsecond)
			default:
				return until.Add(time.Microsecond)
			}
		}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: store, Codes: store, Passwords: store, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range crowd {
			group.Go(func() {
				secret := "wrong"
				if i == crowd/2 {
					secret = rightCode
				}
				if _, err := a.Verify(t.Context(), client, from(attempt(secret), attacker)); !errors.Is(err, ErrCredentials) {
					t.Errorf("%s: got %v, want ErrCredentials", secret, err)
				}
			})
		}
		synctest.Wait()
		close(ended)
		group.Wait()
		if l := store.Bob().Lockout; store.Hashes != 0 || l.Failures != 10 || !l.LockedUntil.Equal(until) {
			t.Errorf("got %d compared passwords and the lock %+v; want none and no change", store.Hashes, l)
		}
		if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), attacker)); err != nil {
			t.Errorf("after the lock: got %v, want no error", err)
		}
	})
}
