package storage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

func TestTightened(t *testing.T) {
	t.Parallel()
	with := func(attempts int, d time.Duration) storage.PasswordPolicy {
		return storage.PasswordPolicy{AllowedFailedAttempts: &attempts, LockoutDuration: &d}
	}
	profile := storage.LockoutPolicy{Threshold: 10, Duration: 2 * time.Minute, MaxDuration: time.Hour, ForgetsAfter: time.Hour}
	tests := []struct {
		name      string
		policies  []storage.PasswordPolicy
		threshold int
		duration  time.Duration
	}{
		{"none", nil, 10, 2 * time.Minute},
		{"says nothing", []storage.PasswordPolicy{{}}, 10, 2 * time.Minute},
		{"stricter", []storage.PasswordPolicy{with(5, time.Hour)}, 5, time.Hour},
		{"laxer", []storage.PasswordPolicy{with(50, time.Second)}, 10, 2 * time.Minute},
		{"strictest of each field", []storage.PasswordPolicy{with(3, time.Minute), with(7, 24*time.Hour)}, 3, 24 * time.Hour},
		{"0 is the longest", []storage.PasswordPolicy{with(5, 0), with(5, time.Hour)}, 5, 0},
		{"no attempts is no limit", []storage.PasswordPolicy{with(0, time.Hour)}, 10, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := profile
			want.Threshold, want.Duration = test.threshold, test.duration
			got := profile
			for _, p := range test.policies {
				got = got.Tightened(p)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Tightened (-want +got):\n%s", diff)
			}
		})
	}
}
