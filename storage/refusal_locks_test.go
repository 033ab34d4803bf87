package storage_test

import (
	"testing"
	"time"

	"latchkey/storage"
)

// TestWhichLockCounts checks that only the lock of the source applies to a known source.
// For unknown sources, the lock of the login applies to passwords, and the lock for
// codes to codes.
func TestWhichLockCounts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for bits := range 1 << 4 {
		known, passwords, codes, source := bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
		until := func(locked bool) time.Time {
			if locked {
				return now.Add(time.Microsecond)
			}
			return now
		}
		p := storage.Principal{
			Known: true, Login: storage.Login{Active: true}, User: storage.User{Active: true, Kind: storage.Admin},
			Lockout: storage.Lockout{
				LockedUntil: until(passwords), Codes: storage.Counter{LockedUntil: until(codes)},
				Source: storage.Counter{LockedUntil: until(source)},
			},
		}
		if known {
			p.Source.ID = "src_1"
		}
		wantPasswords, wantCodes := passwords, codes
		if known {
			wantPasswords, wantCodes = source, source
		}
		c := storage.Client{Active: true, AllowSeller: true}
		for what, got := range map[string][2]bool{
			"Locked":             {p.Locked(now), wantPasswords},
			"Refusal":            {p.Refusal(now) == storage.RefusedLocked, wantPasswords},
			"client Refusal":     {c.Refusal(&p, now) == storage.RefusedLocked, wantPasswords},
			"CodesLocked":        {p.CodesLocked(now), wantCodes},
			"CodeRefusal":        {p.CodeRefusal(now) == storage.RefusedLocked, wantCodes},
			"client CodeRefusal": {c.CodeRefusal(&p, now) == storage.RefusedLocked, wantCodes},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: got %v; known %v, locked %v, codes %v, source %v", what, got[0], known, passwords, codes, source)
			}
		}
	}
}
