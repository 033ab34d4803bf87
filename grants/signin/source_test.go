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

// Where bob signs in, and where he does not.
const (
	home   = "192.0.2.1"
	abroad = "198.51.100.7"
	lair   = "203.0.113.66"
)

func from(at Attempt, address string) Attempt {
	at.Source = netip.MustParseAddr(address)
	return at
}

// mustSignIn signs bob in from an address and returns the sign-in.
func (w *store) mustSignIn(t *testing.T, a *Authenticator, c *storage.Client, secret, address string) *SignIn {
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

// lockFrom fails as often as it takes to lock the source that it comes from, and
// fails the test if it does not take ten.
func lockFrom(t *testing.T, a *Authenticator, c *storage.Client, address string) {
	t.Helper()
	for range 10 {
		if _, err := a.Verify(t.Context(), c, from(attempt("wrong"), address)); !errors.Is(err, ErrCredentials) {
			t.Fatalf("wrong from %s: %v", address, err)
		}
	}
}

func TestSourceOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "127.0.0.1": "127.0.0.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		if got := sourceOf(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is known as %q, want %q", address, got, want)
		}
	}
	if got := sourceOf(netip.Addr{}); got != "" {
		t.Errorf("no address is known as %q", got)
	}
}

// TestLockIsNoWeapon: whoever locks a login from elsewhere keeps out neither its
// user where that has been before, nor one who has a code from the mailbox; and
// is out himself, even with the right secrets.
func TestLockIsNoWeapon(t *testing.T) {
	t.Parallel()
	w, client := newStore(t)
	a := w.authenticator(t)
	w.mustSignIn(t, a, client, rightPassword, home)
	w.Bob().Login.Code.UsedAt = w.Now // no code is outstanding while passwords are guessed
	lockFrom(t, a, client, lair)
	hashes := w.Hashes
	for _, address := range []string{lair, abroad} {
		if _, err := a.Verify(t.Context(), client, from(attempt(rightPassword), address)); !errors.Is(err, ErrCredentials) {
			t.Errorf("right password from %s: %v", address, err)
		}
	}
	if w.Hashes != hashes || w.Decoys != 2 {
		t.Errorf("%d hashes and %d stand-ins for attempts that were locked out", w.Hashes-hashes, w.Decoys)
	}
	w.mustSignIn(t, a, client, rightPassword, home)
	w.NewCode("otc_2")
	w.mustSignIn(t, a, client, rightCode, abroad)
	w.mustSignIn(t, a, client, rightPassword, abroad) // which is known now
	if !w.Bob().Lockout.Locked(w.Now) {
		t.Error("a success elsewhere opened the lock for those who made it")
	}
	if _, err := a.Verify(t.Context(), client, from(attempt(rightPassword), lair)); !errors.Is(err, ErrCredentials) {
		t.Errorf("right password from the lair: %v", err)
	}

	// A known source has a lock of its own, for codes as well.
	lockFrom(t, a, client, home)
	w.NewCode("otc_3")
	for _, secret := range []string{rightPassword, rightCode} {
		if _, err := a.Verify(t.Context(), client, from(attempt(secret), home)); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s where it was locked: %v", secret, err)
		}
	}
	w.mustSignIn(t, a, client, rightCode, abroad)
}

// TestLockOfCodes: guesses at a code lock codes, and a new code is no new budget.
func TestLockOfCodes(t *testing.T) {
	t.Parallel()
	w, client := newStore(t)
	client.Credentials.Password = false
	a := w.authenticator(t)
	for i := range 10 {
		w.NewCode(fmt.Sprint("otc", i))
		if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), fmt.Sprint("203.0.113.", i))); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
	}
	w.NewCode("another")
	if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), abroad)); !errors.Is(err, ErrCredentials) {
		t.Errorf("the right code after ten wrong ones: %v", err)
	}
	before := w.Bob().Lockout
	if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), abroad)); !errors.Is(err, ErrCredentials) {
		t.Fatal(err)
	}
	before.Version++
	if diff := cmp.Diff(before, w.Bob().Lockout); diff != "" {
		t.Errorf("an attempt while locked moved something:\n%s", diff)
	}
}

// TestDayOfGuessingCodes: with fifty addresses, a new code for each guess and
// all the patience there is, no more than twenty codes are compared in the first
// day.
func TestDayOfGuessingCodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, dayOfGuessingCodes) // refusals take their time
}

func dayOfGuessingCodes(t *testing.T) {
	w, client := newStore(t)
	a := w.authenticator(t)
	w.mustSignIn(t, a, client, rightPassword, home)
	accepted, tries := 0, 0
	for end := start.Add(24 * time.Hour); w.Now.Before(end); tries++ {
		w.NewCode(fmt.Sprint("otc", tries))
		address := fmt.Sprint("203.0.113.", tries%50)
		p, err := w.Principal(t.Context(), keyOf("main", "bob", netip.MustParseAddr(address)))
		if err != nil {
			t.Fatal(err)
		}
		if !p.CodesLocked(w.Now) {
			accepted++
		}
		if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), address)); !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
		if tries%50 == 49 {
			w.Now = w.Now.Add(time.Minute)
		}
	}
	if accepted < 10 || accepted > 20 {
		t.Errorf("%d of %d guesses at codes were accepted in a day, want 10 to 20", accepted, tries)
	}
	w.mustSignIn(t, a, client, rightPassword, home)
	w.NewCode("last")
	w.mustSignIn(t, a, client, rightCode, home)
}

// TestWhatIsRemembered: a success writes its source down when that is news, and
// not each time.
func TestWhatIsRemembered(t *testing.T) {
	t.Parallel()
	w, client := newStore(t)
	a := w.authenticator(t)
	remembered := func(address string) bool {
		t.Helper()
		s, err := a.Verify(t.Context(), client, from(attempt(rightPassword), address))
		if err != nil {
			t.Fatal(err)
		}
		x := a.settlement(s, nil)
		if x.SourceID != s.Principal.Source.ID {
			t.Errorf("settles as %q, was read as %q", x.SourceID, s.Principal.Source.ID)
		}
		if err := a.Settle(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
		if x.Remember != nil {
			want := storage.Source{ID: s.SourceID(), Address: address, SeenAt: w.Now}
			if *x.Remember != want || s.SourceID() == "" {
				t.Errorf("remembers %+v, want %+v", *x.Remember, want)
			}
		}
		return x.Remember != nil
	}
	if !remembered(home) || remembered(home) {
		t.Error("a new source is remembered, once")
	}
	first := w.mustSignIn(t, a, client, rightPassword, home).SourceID()
	w.Now = w.Now.Add(24 * time.Hour)
	if remembered(home) {
		t.Error("written down again within a day")
	}
	w.Now = w.Now.Add(1)
	if !remembered(home) || remembered(home) {
		t.Error("seen again after more than a day")
	}
	if _, err := a.Verify(t.Context(), client, from(attempt("wrong"), home)); !errors.Is(err, ErrCredentials) {
		t.Fatal(err)
	}
	if !remembered(home) || remembered(home) {
		t.Error("its failures are cleared, once")
	}
	if again := w.mustSignIn(t, a, client, rightPassword, home).SourceID(); again != first {
		t.Errorf("the source was %q and is %q", first, again)
	}
	s, err := a.Verify(t.Context(), client, attempt(rightPassword))
	if err != nil || a.settlement(s, nil).Remember != nil || s.SourceID() != "" {
		t.Errorf("an attempt from nowhere: %+v, %v", s, err)
	}
}

// TestNoticeOfLock: a lock is told, once an hour, and for names that nobody has
// as well.
func TestNoticeOfLock(t *testing.T) {
	t.Parallel()
	for _, nobody := range []bool{false, true} {
		w, client := newStore(t)
		a := w.authenticator(t)
		if nobody {
			delete(w.Logins, w.Bob().Key)
		}
		told := func(want int, when string) {
			t.Helper()
			if len(w.Notices) != want {
				t.Errorf("nobody %v, %s: %d notices, want %d", nobody, when, len(w.Notices), want)
			}
		}
		fail := func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), lair)) }
		for range 9 {
			fail()
		}
		told(0, "before the lock")
		fail()
		told(1, "locked")
		for range 4 { // for 4, 8, 16 and 32 minutes, the last after half an hour
			w.Now = w.Now.Add(15 * time.Minute)
			fail()
		}
		told(1, "locked again within the hour")
		w.Now = start.Add(time.Hour + 30*time.Minute)
		fail()
		told(2, "locked again later")
		r := w.Notices[0]
		want := storage.CodeRequest{
			ID: r.ID, Type: storage.MessageAccountLocked, ProfileID: "main", Username: "bob", Source: lair,
			CreatedAt: start, ExpiresAt: start.Add(24 * time.Hour),
		}
		if diff := cmp.Diff(want, r); diff != "" || r.ID == "" || r.ID == w.Notices[1].ID {
			t.Errorf("notice %s", diff)
		}
		locks := 0
		for _, e := range w.Events {
			if e.Action == "login.locked" {
				locks++
			}
			if e.Source != lair {
				t.Errorf("event %+v does not say from where", e)
			}
		}
		if locks != 4 && locks != 5 {
			t.Errorf("%d events of locks, want one for each", locks)
		}
	}
}

// slowHasher verifies when it is told to.
type slowHasher struct {
	PasswordVerifier
	proceed chan struct{}
}

func (h slowHasher) Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error) {
	<-h.proceed
	return h.PasswordVerifier.Verify(ctx, encoded, password)
}

// TestParallelGuessesAreWorthTheBudget: hundreds of guesses at once, from
// everywhere and from a known source, are worth ten each.
func TestParallelGuessesAreWorthTheBudget(t *testing.T) {
	t.Parallel()
	w, client := newStore(t)
	a := w.authenticator(t)
	w.mustSignIn(t, a, client, rightPassword, home)
	w.Bob().Login.Code.UsedAt = w.Now
	before := w.Hashes
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
	// What comes from home counts to the login as well, so that is locked after
	// ten guesses from wherever.
	if n := w.Hashes - before; n < 10 || n > 20 {
		t.Errorf("%d guesses were compared, want 10 to 20", n)
	}
}

// TestVictimPassesTheCrowd: while a thousand attempts wait for the login's turn,
// its user at a known source is let in at once, after one read more at most.
func TestVictimPassesTheCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, client := newStore(t)
		w.mustSignIn(t, w.authenticator(t), client, rightPassword, home)
		w.Bob().Login.Code.UsedAt = w.Now
		slow := slowHasher{w, make(chan struct{})}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: slow, Now: w.Clock})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range maxWaiting {
			group.Go(func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), fmt.Sprint("203.0.113.", i%250))) })
		}
		synctest.Wait()
		reads, start := w.Reads, time.Now()
		w.NewCode("otc_2")
		if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), home)); err != nil {
			t.Errorf("the user at home: %v", err)
		}
		if n := w.Reads - reads; n > 2 || time.Since(start) != 0 {
			t.Errorf("after %d reads and %v", n, time.Since(start))
		}
		close(slow.proceed)
		group.Wait()
	})
}

// TestParallelGuessesAfterAQuietDay: the first guess after the others were
// forgotten leaves as many as there were, one, and those made beside it count
// all the same.
func TestParallelGuessesAfterAQuietDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, client := newStore(t)
		long := start.Add(-25 * time.Hour)
		w.Bob().Lockout = storage.Lockout{Failures: 1, LastFailureAt: long, Codes: storage.Counter{Failures: 1, LastFailureAt: long}}
		slow := slowHasher{w, make(chan struct{})}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: slow, Now: w.Clock})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 9 {
			group.Go(func() { _, _ = a.Verify(t.Context(), client, from(attempt("wrong"), lair)) })
		}
		synctest.Wait()
		close(slow.proceed)
		group.Wait()
		if l := w.Bob().Lockout; l.Failures != 9 || l.Codes.Failures != 9 {
			t.Errorf("of 9 guesses %d counted, and %d at the code", l.Failures, l.Codes.Failures)
		}
	})
}

// TestLockThatEndsMeanwhile: attempts that saw the lock are refused by it, though
// it ends before they get to what they present: of any number of them nobody
// waits for a turn.
func TestLockThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	const crowd = 50
	synctest.Test(t, func(t *testing.T) {
		w, client := newStore(t)
		until := start.Add(time.Minute)
		shut := storage.Counter{Failures: 10, LastFailureAt: start, LockedUntil: until}
		w.Bob().Lockout = storage.Lockout{Failures: 10, LastFailureAt: start, LockedUntil: until, Codes: shut}
		looked, ended := make(chan struct{}, crowd), make(chan struct{})
		clock := func() time.Time {
			select {
			case looked <- struct{}{}:
				<-ended
				return until.Add(-time.Microsecond)
			default:
				return until.Add(time.Microsecond)
			}
		}
		a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: w, Now: clock})
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
				if _, err := a.Verify(t.Context(), client, from(attempt(secret), lair)); !errors.Is(err, ErrCredentials) {
					t.Errorf("%s: %v", secret, err)
				}
			})
		}
		synctest.Wait()
		close(ended)
		group.Wait()
		if l := w.Bob().Lockout; w.Hashes != 0 || l.Failures != 10 || !l.LockedUntil.Equal(until) {
			t.Errorf("%d passwords were compared, and the lock is %+v", w.Hashes, l)
		}
		if _, err := a.Verify(t.Context(), client, from(attempt(rightCode), lair)); err != nil {
			t.Errorf("after the lock: %v", err)
		}
	})
}
