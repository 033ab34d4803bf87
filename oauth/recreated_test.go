package oauth

import (
	"errors"
	"testing"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// A client that is deleted takes with it what it was granted, also when another
// one gets its ID.
func TestTokensOfAnEarlierClientOfTheID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.login.User.TokensValidFrom = start.Add(-time.Hour)
	for name, r := range readers() {
		token := r.issue(w, t)
		for created, want := range map[time.Duration]error{
			-time.Hour: nil, 30 * time.Second: nil, // by another replica, whose clock is ahead
			2 * time.Minute: ErrTokenRevoked,
		} {
			w.clients["shop"].CreatedAt = start.Add(created)
			err := r.read(w, t, token)
			if name == "Selection" && want != nil {
				want = grants.ErrHeldToken
			}
			if !errors.Is(err, want) {
				t.Errorf("%s, client made %v later: %v, want %v", name, created, err, want)
			}
		}
	}
	family := storage.TokenFamily{CreatedAt: start, ExpiresAt: start.Add(time.Hour)}
	state := storage.FamilyState{Family: family, Principal: w.login}
	state.Principal.Login.SessionsValidFrom = time.Time{}
	for created, want := range map[time.Duration]bool{-time.Hour: true, 30 * time.Second: true, 2 * time.Minute: false} {
		w.clients["shop"].CreatedAt = start.Add(created)
		if got := grants.Stands(w.clients["shop"], &state, start); got != want {
			t.Errorf("refresh family, client made %v later: %v", created, got)
		}
	}
}
