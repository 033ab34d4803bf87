package oauth

import (
	"errors"
	"testing"
	"time"

	"latchkey/grants"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// marks are the fields that end tokens that were issued earlier. selection says whether
// selection tokens, which are for no account, end too.
func marks() map[string]struct {
	set       func(w *fixture, at time.Time)
	selection bool
} {
	type mark = struct {
		set       func(w *fixture, at time.Time)
		selection bool
	}
	return map[string]mark{
		"client":     {func(w *fixture, at time.Time) { w.clients["shop"].ValidFrom = at }, true},
		"user":       {func(w *fixture, at time.Time) { w.login.User.ValidFrom = at }, true},
		"account":    {func(w *fixture, at time.Time) { w.login.Account.ValidFrom = at }, true},
		"revocation": {func(w *fixture, at time.Time) { w.login.User.TokensValidFrom = at }, true},
		"membership": {func(w *fixture, at time.Time) { w.members[0].Membership.CreatedAt = at }, false},
		"its account": {func(w *fixture, at time.Time) {
			w.members[0].Account.ValidFrom = at
		}, false},
	}
}

func TestTokensFromBeforeAMark(t *testing.T) {
	t.Parallel()
	for name, mark := range marks() {
		w := newFixture(t)
		w.login.User.TokensValidFrom, w.login.Login.SessionsValidFrom = time.Time{}, time.Time{}
		for kind, r := range readers() {
			mark.set(w, start.Add(-time.Hour))
			issued := r.issue(w, t)
			for after, want := range map[time.Duration]error{0: nil, time.Microsecond: token.ErrTokenRevoked, time.Hour: token.ErrTokenRevoked} {
				mark.set(w, start.Add(after))
				err := r.read(w, t, issued)
				if kind == "Selection" && want != nil {
					want = grants.ErrSubjectToken
					if !mark.selection {
						want = nil
					}
				}
				if !errors.Is(err, want) {
					t.Errorf("%s, %s marked %v later: got %v, want %v", kind, name, after, err, want)
				}
			}
			// The clock of the server that set the mark may be ahead.
			mark.set(w, start.Add(time.Minute))
			if err := r.read(w, t, r.issue(w, t)); err != nil {
				t.Errorf("%s, issued after the mark of %s: got %v, want no error", kind, name, err)
			}
		}
	}
}

func TestFamiliesFromBeforeAMark(t *testing.T) {
	t.Parallel()
	for name, mark := range marks() {
		w := newFixture(t)
		w.login.User.TokensValidFrom, w.login.Login.SessionsValidFrom = time.Time{}, time.Time{}
		for after, want := range map[time.Duration]bool{-time.Hour: true, 0: true, time.Microsecond: false} {
			mark.set(w, start.Add(after))
			state := storage.FamilyState{
				Family:    storage.TokenFamily{CreatedAt: start, ExpiresAt: start.Add(time.Hour), AccountUID: w.members[0].Account.UID},
				Principal: w.login, Member: &w.members[0],
			}
			if got := grants.IsFamilyLive(w.clients["shop"], &state, start); got != want {
				t.Errorf("%s marked %v later: got live family: %v, want %v", name, after, got, want)
			}
		}
	}
}
