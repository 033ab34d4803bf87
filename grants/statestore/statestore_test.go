package statestore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"latchkey/grants/granttest"
	"latchkey/grants/statestore"
	"latchkey/keys"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// newStore returns a store whose only user is jane. Tests can change user.
func newStore(t *testing.T, states statestore.States) (*statestore.Store, *statestore.User) {
	t.Helper()
	user := &statestore.User{ID: "usr_1", Email: "jane@example.com", PasswordHash: "hash-1", Roles: []string{"Shopper"}}
	s, err := statestore.New(statestore.Config{
		States: states, Now: func() time.Time { return now },
		User: func(_ context.Context, name string) (statestore.User, error) {
			if name != "jane" {
				return statestore.User{}, storage.ErrNotFound
			}
			return *user, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, user
}

func principal(t *testing.T, s *statestore.Store) storage.Principal {
	t.Helper()
	p, err := s.Principal(t.Context(), storage.LoginKey{UsernameKey: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSettlementSeesTheUserAsItIs tests that a sign-in is refused if the user changed after its
// password was verified.
func TestSettlementSeesTheUserAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*statestore.User)
		refused bool
	}{
		"nothing":      {func(*statestore.User) {}, false},
		"roles":        {func(u *statestore.User) { u.Roles = nil }, false},
		"inactive":     {func(u *statestore.User) { u.Inactive = true }, true},
		"new password": {func(u *statestore.User) { u.PasswordHash = "hash-2" }, true},
		"password set": {func(u *statestore.User) { u.PasswordSetAt = now }, true},
	} {
		s, user := newStore(t, new(granttest.Memory))
		p := principal(t, s)
		c.change(user)
		err := s.SettleLogin(t.Context(), storage.Settlement{LoginID: p.Login.ID, OldHash: p.Login.PasswordHash, PasswordSetAt: p.Login.PasswordSetAt, Now: now})
		if errors.Is(err, storage.ErrRefused) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: got %v, want refused: %v", name, err, c.refused)
		}
	}
}

// TestUpgradedHash tests that an upgraded hash is used until the user's own hash changes. A
// sign-in that verified the older hash must still take effect.
func TestUpgradedHash(t *testing.T) {
	t.Parallel()
	s, user := newStore(t, new(granttest.Memory))
	upgrade := storage.Settlement{LoginID: "jane", OldHash: "hash-1", NewHash: "better", Now: now}
	for range 2 {
		if err := s.SettleLogin(t.Context(), upgrade); err != nil {
			t.Fatal(err)
		}
		if got := principal(t, s).Login.PasswordHash; got != "better" {
			t.Errorf("got hash %q, want better", got)
		}
	}
	user.PasswordHash = "hash-2"
	if got := principal(t, s).Login.PasswordHash; got != "hash-2" {
		t.Errorf("after a new password: got hash %q, want hash-2", got)
	}
}

// TestTwoNames tests that two names of a user share the failures, the lock, the code and the
// refresh tokens. An unlock by either name unlocks both.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	s, err := statestore.New(statestore.Config{
		States: new(granttest.Memory), Now: func() time.Time { return now },
		User: func(_ context.Context, name string) (statestore.User, error) {
			if name != "jane" && name != "jane@example.com" {
				return statestore.User{}, storage.ErrNotFound
			}
			return statestore.User{ID: "usr_1", Name: "jane"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) storage.Principal {
		p, err := s.Principal(t.Context(), storage.LoginKey{UsernameKey: name})
		if err != nil || p.Key.UsernameKey != name {
			t.Fatalf("%s: got %+v, error %v", name, p.Key, err)
		}
		return p
	}
	names := []string{"jane", "jane@example.com"}
	for i := range lockout.DefaultPolicy().Threshold {
		p := read(names[i%2])
		if p.Lockout.Failures != i {
			t.Fatalf("got %d failures, want %d", p.Lockout.Failures, i)
		}
		if err := s.RecordFailure(t.Context(), p, lockout.Next(&p, lockout.Guess{Password: true}, now), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if p := read(name); !p.Locked(now) {
			t.Errorf("%s is not locked", name)
		}
	}
	err = s.Unlock(t.Context(), names[1])
	if p := read(names[0]); err != nil || p.Locked(now) {
		t.Errorf("unlock by the second name: the first name is locked, error %v", err)
	}
	code := storage.Code{ID: "otc_1", IssuedAt: now, ExpiresAt: now.Add(time.Minute)}
	if err := s.IssueCode(t.Context(), read(names[0]).Login.ID, code); err != nil {
		t.Fatal(err)
	}
	second := read(names[1]).Login
	if second.Code.ID != "otc_1" || second.ID != read(names[0]).Login.ID {
		t.Errorf("the login of the second name: got %+v, want that of the first", second)
	}
	family := storage.TokenFamily{ID: "f", UserUID: "usr_1", LoginID: second.ID, Generation: 1, ExpiresAt: now.Add(time.Hour)}
	if err := s.SettleLogin(t.Context(), storage.Settlement{LoginID: second.ID, CodeID: "otc_1", BeginFamily: &family, Now: now}); err != nil {
		t.Fatal(err)
	}
	if state, err := s.Family(t.Context(), "f"); err != nil || !state.Principal.Known || read(names[0]).Login.Code.UsedAt.IsZero() {
		t.Errorf("after the sign-in: got %+v, error %v", state, err)
	}
}

// TestNameOfAnotherUser tests that a sign-in is refused if its name now belongs to another
// user. A name that is not normalized is an error of the server.
func TestNameOfAnotherUser(t *testing.T) {
	t.Parallel()
	s, user := newStore(t, new(granttest.Memory))
	user.PasswordHash = "same"
	settle := func() error {
		family := storage.TokenFamily{ID: "f", UserUID: "usr_1", LoginID: "jane", Generation: 1, ExpiresAt: now.Add(time.Hour)}
		return s.SettleLogin(t.Context(), storage.Settlement{LoginID: "jane", OldHash: "same", BeginFamily: &family, Now: now})
	}
	for _, other := range []statestore.User{{ID: "usr_2", PasswordHash: "same"}, {ID: "usr_1", Name: "joan", PasswordHash: "same"}} {
		*user = other
		if err := settle(); !errors.Is(err, storage.ErrRefused) {
			t.Errorf("%+v: got %v, want storage.ErrRefused", other, err)
		}
	}
	user.Name = "Jane "
	if err := settle(); err == nil || errors.Is(err, storage.ErrRefused) || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a name that is not normalized: got %v, want another error", err)
	}
}

// TestStoreThatNeverSwaps checks that a store which accepts no change is an error.
func TestStoreThatNeverSwaps(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, stale{new(granttest.Memory)})
	if err := s.Unlock(t.Context(), "jane"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("got %v, want storage.ErrUnavailable", err)
	}
}

// stale is a store that accepts no change.
type stale struct{ *granttest.Memory }

func (stale) Swap(context.Context, ...statestore.Change) error { return storage.ErrStale }

// TestFamilyOfAnotherUser tests that a session ends when its name is given to another user.
func TestFamilyOfAnotherUser(t *testing.T) {
	t.Parallel()
	s, user := newStore(t, new(granttest.Memory))
	family := storage.TokenFamily{ID: "f", UserUID: "usr_1", LoginID: "jane", Generation: 1, ExpiresAt: now.Add(time.Hour), CreatedAt: now}
	if err := s.SettleLogin(t.Context(), storage.Settlement{LoginID: "jane", OldHash: "hash-1", BeginFamily: &family, Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, known := range []bool{true, false} {
		state, err := s.Family(t.Context(), "f")
		if err != nil || state.Principal.Known != known || state.Family.Generation != 1 {
			t.Errorf("got %+v, error %v, want known: %v", state, err, known)
		}
		user.ID = "usr_2"
	}
	if _, err := s.Family(t.Context(), "other"); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
}

// TestFamilyOfAnAccount tests that a session with an account ends with the membership, and that
// it does not begin if memberships cannot be read.
func TestFamilyOfAnAccount(t *testing.T) {
	t.Parallel()
	states, members := new(granttest.Memory), map[string]storage.Member{"acc_1": {Account: storage.Account{UID: "acc_1", Active: true}}}
	s, err := statestore.New(statestore.Config{
		States: states, Now: func() time.Time { return now },
		User: func(context.Context, string) (statestore.User, error) { return statestore.User{ID: "usr_1"}, nil },
		Member: func(_ context.Context, _, account string) (storage.Member, error) {
			if m, ok := members[account]; ok {
				return m, nil
			}
			return storage.Member{}, storage.ErrNotFound
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	family := storage.TokenFamily{ID: "f", UserUID: "usr_1", LoginID: "jane", AccountUID: "acc_1", Generation: 1, ExpiresAt: now.Add(time.Hour), CreatedAt: now}
	begin := storage.Settlement{LoginID: "jane", BeginFamily: &family, Now: now}
	if err := s.SettleLogin(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	for _, member := range []bool{true, false} {
		state, err := s.Family(t.Context(), "f")
		if err != nil || (state.Member != nil) != member {
			t.Errorf("got %+v, error %v, want a member: %v", state, err, member)
		}
		delete(members, "acc_1")
	}
	without, _ := newStore(t, states)
	family.ID, begin.OldHash = "g", "hash-1"
	if err := without.SettleLogin(t.Context(), begin); err == nil || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("without Config.Member: got %v", err)
	}
}

// TestKeys tests that two replicas agree on signing keys and peppers.
func TestKeys(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, new(granttest.Memory))
	sealer, err := keys.NewSealer(make([]byte, keys.MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	var tokens [2]string
	var rings [2]*keys.Ring
	for i := range rings {
		if rings[i], err = keys.NewRing(t.Context(), keys.RingConfig{Store: s, Sealer: sealer, Now: func() time.Time { return now }}); err != nil {
			t.Fatal(err)
		}
		if tokens[i], err = rings[i].Sign("", keys.TypeAccessToken, map[string]any{"iss": "https://id.example", "exp": now.Add(time.Hour).Unix()}); err != nil {
			t.Fatal(err)
		}
	}
	first, second := rings[0].PublicSet(), rings[1].PublicSet()
	if len(first.Keys) == 0 || len(first.Keys) != len(second.Keys) || first.Keys[0].KeyID != second.Keys[0].KeyID {
		t.Errorf("replicas have different keys: %v, %v", first, second)
	}
	one, err := keys.LoadPeppers(t.Context(), s, sealer, rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := keys.LoadPeppers(t.Context(), s, sealer, rand.Reader, now)
	if err != nil || !two.Matches(one.Digest("p", "x"), "p", "x") {
		t.Errorf("replicas have different peppers: %v", err)
	}
}

// failing is a store that cannot be reached.
type failing struct{ *granttest.Memory }

func (failing) Load(context.Context, string) ([]byte, error) { return nil, errors.New("refused") }

func TestErrors(t *testing.T) {
	t.Parallel()
	s, user := newStore(t, failing{})
	if _, err := s.Principal(t.Context(), storage.LoginKey{UsernameKey: "jane"}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a store that cannot be reached: got %v, want ErrUnavailable", err)
	}
	user.ID = ""
	if _, err := s.Principal(t.Context(), storage.LoginKey{UsernameKey: "jane"}); err == nil || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a user without an ID: got %v, want another error", err)
	}
	for name, cfg := range map[string]statestore.Config{
		"no States": {User: func(context.Context, string) (statestore.User, error) { return statestore.User{}, nil }},
		"no User":   {States: new(granttest.Memory)},
		"too many guesses": {
			States: new(granttest.Memory), Lockout: storage.LockoutPolicy{Threshold: 1000, Duration: time.Second},
			User: func(context.Context, string) (statestore.User, error) { return statestore.User{}, nil },
		},
	} {
		if _, err := statestore.New(cfg); err == nil || name == "too many guesses" != errors.Is(err, lockout.ErrTooManyGuesses) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
