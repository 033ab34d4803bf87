package lockout_test

import (
	"fmt"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// A store keeps the state of a login as one value, and writes the result of Apply by
// compare-and-swap.
func ExampleApply() {
	policy := storage.LockoutPolicy{Threshold: 2, Duration: time.Minute, MaxDuration: time.Hour, ForgetsAfter: 24 * time.Hour}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var state lockout.State
	wrong := lockout.Outcome{Kind: lockout.Failed, Guess: lockout.Guess{Password: true}}
	right := lockout.Outcome{Kind: lockout.Succeeded}
	for _, step := range []struct {
		outcome lockout.Outcome
		after   time.Duration
	}{{wrong, 0}, {wrong, 0}, {right, 0}, {right, 2 * time.Minute}} {
		var accepted bool
		state, accepted = lockout.Apply(policy, state, step.outcome, now.Add(step.after))
		fmt.Println(accepted, state.Lockout.Failures, state.Lockout.Locked(now.Add(step.after)))
	}
	// Output:
	// true 1 false
	// true 2 true
	// false 2 true
	// true 0 false
}
