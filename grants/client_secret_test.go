package grants

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// countingDigester returns digests without a key and counts them.
type countingDigester struct{ work int }

func (d *countingDigester) Digest(purpose string, parts ...string) storage.Digest {
	d.work++
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", purpose, parts))
	return storage.Digest{PepperID: "p", Sum: sum[:]}
}

func (d *countingDigester) Matches(own storage.Digest, purpose string, parts ...string) bool {
	return cmp.Equal(own, d.Digest(purpose, parts...))
}

func TestMatchClientSecret(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kept := func(id, secret string, expires time.Time) storage.ClientSecret {
		return storage.ClientSecret{Digest: DigestClientSecret(new(countingDigester), id, secret), ExpiresAt: expires}
	}
	client := func(secrets ...storage.ClientSecret) *storage.Client {
		return &storage.Client{ID: "Shop", Secrets: secrets}
	}
	tests := []struct {
		name   string
		client *storage.Client
		want   bool
		work   int
	}{
		{"right", client(kept("Shop", "s1", time.Time{})), true, 1},
		{"digest of another spelling of the id", client(kept("sHOP", "s1", time.Time{})), true, 1},
		{"wrong", client(kept("Shop", "s2", time.Time{})), false, 1},
		{"the same secret of another client", client(kept("Shop2", "s1", time.Time{})), false, 1},
		{"not yet expired", client(kept("Shop", "s1", now.Add(1))), true, 1},
		{"expired at this moment", client(kept("Shop", "s1", now)), false, 1},
		{"second of two", client(kept("Shop", "s2", time.Time{}), kept("Shop", "s1", time.Time{})), true, 2},
		{"first of two", client(kept("Shop", "s1", time.Time{}), kept("Shop", "s2", time.Time{})), true, 2},
		{"the right one expired, a wrong one left", client(kept("Shop", "s1", now), kept("Shop", "s2", time.Time{})), false, 1},
		{"none", client(), false, 1},
		{"unknown client", nil, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := new(countingDigester)
			if got := MatchClientSecret(d, tt.client, "s1", now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if d.work != tt.work {
				t.Errorf("got %d digests, want %d", d.work, tt.work)
			}
		})
	}
}
