package token

import (
	"testing"
	"time"

	"latchkey/storage"
)

// TestAccountSession tests when the tokens of a sign-in expire, for which accounts they can be
// renewed, and when renewal ends.
func TestAccountSession(t *testing.T) {
	t.Parallel()
	const day, half = 24 * time.Hour, 500 * time.Millisecond
	signedIn := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ttl, refresh, after time.Duration // of the realm, of the client, and from the sign-in to the renewal
		life                time.Duration // from the sign-in to the expiry of the new token
		oneAccount, ended   bool
	}{
		"at once":                             {life: day},
		"within the hour":                     {after: time.Hour - time.Second, life: day + time.Hour - time.Second},
		"after an hour":                       {after: time.Hour, life: day + time.Hour, oneAccount: true},
		"the realm's lifetime":                {ttl: time.Minute, after: 30 * time.Second, life: 90 * time.Second},
		"fractions are cut off":               {after: half, life: day},
		"until a refresh token would end":     {refresh: 3 * day, after: 3*day - time.Minute, life: 3 * day, oneAccount: true},
		"a refresh token would have ended":    {refresh: 3 * day, after: 3 * day, life: 3 * day, oneAccount: true, ended: true},
		"30 days without refresh tokens":      {after: 30*day - time.Second, life: 30 * day, oneAccount: true},
		"after 30 days":                       {after: 30 * day, life: 30 * day, oneAccount: true, ended: true},
		"a first token lives to its own end":  {ttl: 2 * time.Hour, refresh: time.Hour, after: 90 * time.Minute, life: 2 * time.Hour, oneAccount: true},
		"a first token that has reached that": {ttl: 2 * time.Hour, refresh: time.Hour, after: 2 * time.Hour, life: 2 * time.Hour, oneAccount: true, ended: true},
	} {
		own := &storage.Member{}
		holder := &AccountHolder{
			Client: &storage.Client{RefreshTokenTTL: test.refresh}, Member: own, AuthTime: signedIn, SessionID: "ses", Origin: "first",
			AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, SourceID: "src",
		}
		realm := storage.Realm{AccountTokenTTL: test.ttl}
		s, ok := holder.Renew(realm, signedIn.Add(test.after))
		if ok == test.ended || (s.Account == own) != test.oneAccount || s.Account != nil && s.Account != own {
			t.Errorf("%s: got ok %v, one account %v", name, ok, s.Account == own)
		}
		if got := s.TokenExpiry(realm).Sub(signedIn); got != test.life {
			t.Errorf("%s: got an expiry %v after the sign-in, want %v", name, got, test.life)
		}
		if s.SessionID != "ses" || s.Origin != "first" || s.AMR[0] != "otp" || s.Purpose != storage.PurposeResetPassword || s.SourceID != "src" || !s.AuthTime.Equal(signedIn) {
			t.Errorf("%s: got another sign-in: %+v", name, s)
		}
	}
}
