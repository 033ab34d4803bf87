package storage

import (
	"testing"
	"time"
)

// TestPermittedSince replays changes of a client, one each minute. It checks the time since
// which a user of the buyer "acme" has been admitted without interruption.
func TestPermittedSince(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type change struct {
		any, assigned bool
	}
	both, kind, account, nobody := change{true, true}, change{true, false}, change{false, true}, change{}
	for name, test := range map[string]struct {
		changes []change
		minute  int // minute of the change that admitted the user last; 0 means since the client was created
	}{
		"never changed":                    {[]change{kind}, 0},
		"withdrawn and given back":         {[]change{kind, nobody, kind}, 2},
		"assignment, the same":             {[]change{account, nobody, account}, 2},
		"from all buyers to one, and back": {[]change{kind, both, account, both, kind}, 3},
		"an assignment on top":             {[]change{kind, both}, 0},
		"an assignment goes":               {[]change{both, kind}, 0},
		"assigned while all buyers go":     {[]change{both, account, both}, 0},
		"given back in the other way":      {[]change{kind, nobody, account}, 2},
		"given back, then assigned":        {[]change{kind, nobody, kind, both}, 2},
		"withdrawn one after the other":    {[]change{both, account, nobody, kind}, 3},
		"unrelated changes":                {[]change{kind, nobody, kind, kind, kind}, 2},
	} {
		var c Client
		for i, of := range test.changes {
			next := Client{AllowAnyBuyer: of.any}
			if of.assigned {
				next.AccountUIDs = []string{"acc_other", "acc_acme"}
			}
			if i > 0 {
				next.PermittedSince = PermittedSinceAfter(&c, &next, start.Add(time.Duration(i)*time.Minute))
			}
			c = next
		}
		var want time.Time
		if test.minute > 0 {
			want = start.Add(time.Duration(test.minute) * time.Minute)
		}
		if got := c.admitsSince(User{Kind: Buyer, AccountUID: "acc_acme"}); !got.Equal(want) {
			t.Errorf("%s: got admitted since %v, want %v", name, got, want)
		}
	}
}
