// Package granttest tests that a store of another module does what signing in needs. [Run]
// is the suite, and [Memory] is a store that passes it:
//
//	func TestStore(t *testing.T) {
//		granttest.Run(t, func() statestore.States { return newStore(t) })
//	}
//
// The suite runs the grants of this module over the store, on two replicas. It checks that a
// code is used once, that no guess is lost, that authorization codes and refresh tokens end
// as they should, and that errors use nothing up. It uses the present time, takes some
// seconds, and needs Go 1.26.
package granttest

import (
	"context"
	"testing"
	"time"

	"latchkey/grants/statestore"
)

// timeout is the longest time for a property. It makes a store that accepts no change fail
// instead of hang.
const timeout = time.Minute

// Run runs the suite. Each call of newStore returns an empty store. The suite uses it
// from several goroutines.
func Run(t *testing.T, newStore func() statestore.States) {
	t.Helper()
	for _, p := range properties {
		t.Run(p.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if err := p.check(ctx, newStore()); err != nil {
				t.Error(err)
			}
		})
	}
}

// property is a guarantee of a store. check returns an error if the store breaks it.
type property struct {
	name  string
	check func(ctx context.Context, s statestore.States) error
}

var properties = []property{
	{"a value is replaced only if it is the expected one", checkCondition},
	{"changes take effect together or not at all", checkTogether},
	{"keys that differ in one byte or in case are different", checkKeys},
	{"a value is there until its time", checkUntil},
	{"a value after its time can be replaced", checkPast},
	{"concurrent changes of a value are not lost", checkConcurrent},
	{"a code is used once", checkCodeOnce},
	{"valid sign-ins all pass", checkValidSignIns},
	{"parallel guesses use up the budget", checkGuessBudget},
	{"a guess is counted before its answer", checkCountedFirst},
	{"failures of unknown names count alike", checkUnknownNames},
	{"a failed mint uses no code up", checkFailedMint},
	{"a failed write uses no code up", checkFailedWrite},
	{"an authorization code is used once", checkAuthorizationOnce},
	{"a wrong verifier uses no authorization code up", checkWrongVerifier},
	{"the second use of an authorization code ends its tokens", checkSecondUse},
	{"a sign-in and its authorization code take effect together", checkAuthorizationTogether},
	{"a refresh token rotates once", checkRotation},
	{"the reuse of a refresh token ends its family", checkReuse},
	{"a revoked family stays revoked", checkRevoked},
}
