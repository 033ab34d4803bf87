package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// testOutcomes compares the statements of a store with lockout.Apply, which defines what they
// should do.
func testOutcomes(t *testing.T, s suite) {
	tests := cases{}
	for seed := range uint64(4) {
		tests[fmt.Sprint("random outcomes ", seed)] = func(t *testing.T, w *fixture) {
			o := &outcomes{fixture: w, rand: rand.New(rand.NewPCG(seed, 1)), policy: storage.LockoutPolicy{
				Threshold: 3, Duration: 2 * time.Minute, MaxDuration: time.Hour, ForgetsAfter: 24 * time.Hour,
			}}
			for step := range 120 {
				o.step(step)
			}
			if o.refused < 5 || o.accepted < 5 {
				t.Errorf("got %d refused and %d accepted sign-ins, want at least 5 of each", o.refused, o.accepted)
			}
		}
	}
	s.runRepeating(t, tests)
}

// outcomes applies random outcomes both to a login of the store and to a state.
type outcomes struct {
	*fixture
	rand              *rand.Rand
	policy            storage.LockoutPolicy
	state             lockout.State
	refused, accepted int
}

// addresses are more addresses than a login may know.
var addresses = []string{"", home, away, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}

func (o *outcomes) step(step int) {
	o.t.Helper()
	o.now = o.now.Add(time.Duration(1+o.rand.IntN(90)) * time.Second)
	address := addresses[o.rand.IntN(len(addresses))]
	switch n := o.rand.IntN(20); {
	case n < 13:
		o.fail(address, lockout.Guess{Password: n%2 == 0, Code: n%3 > 0 || n%2 > 0, CodeLive: n%4 > 0})
	case n < 16:
		o.succeed(address, "")
	case n < 19:
		o.succeed(address, o.code(fmt.Sprint("r", step)).ID)
	default:
		check(o.t, o.store.Unlock(o.ctx, o.login.ID, o.now))
		o.state, _ = lockout.Apply(o.policy, o.state, lockout.Outcome{Kind: lockout.Cleared}, o.now)
	}
	for _, address := range addresses {
		p := o.from(address)
		source, state := o.state.From(address)
		equal(o.t, p.Source, source)
		equal(o.t, p.Lockout, state)
	}
}

func (o *outcomes) fail(address string, guess lockout.Guess) {
	o.t.Helper()
	p := o.from(address)
	p.Policy = o.policy
	check(o.t, o.store.RecordFailure(o.ctx, p, lockout.Next(&p, guess, o.now), nil))
	o.state, _ = lockout.Apply(o.policy, o.state, lockout.Outcome{Kind: lockout.Failed, SourceID: p.Source.ID, Guess: guess}, o.now)
}

func (o *outcomes) succeed(address, codeID string) {
	o.t.Helper()
	p := o.from(address)
	x := storage.Settlement{
		LoginID: o.login.ID, SourceID: p.Source.ID, CodeID: codeID, PasswordSetAt: p.Login.PasswordSetAt,
		Resumed: o.rand.IntN(8) == 0, Now: o.now,
	}
	if address != "" && !x.Resumed && o.rand.IntN(3) > 0 {
		remembered := source(address, o.now)
		x.Remember = &remembered
	}
	err := o.store.SettleLogin(o.ctx, x)
	next, accepted := lockout.Apply(o.policy, o.state, lockout.Outcome{
		Kind: lockout.Succeeded, SourceID: x.SourceID, Code: codeID != "", Resumed: x.Resumed, Remember: x.Remember,
	}, o.now)
	if accepted != (err == nil) || err != nil && !errors.Is(err, storage.ErrRefused) {
		o.t.Fatalf("settlement %+v: got error %v, want accepted: %v", x, err, accepted)
	}
	if accepted {
		o.accepted++
	} else {
		o.refused++
	}
	o.state = next
}
