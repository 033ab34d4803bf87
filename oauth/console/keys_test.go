package console

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// TestTimeLine tests that the states of a key follow each other on the time line in order, do not
// extend beyond it, and end with a revocation.
func TestTimeLine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *time.Time { at := now.Add(d); return &at }
	const day = 24 * time.Hour
	keys := []wire.SigningKey{
		{ID: "next", State: keyAnnounced, CreatedAt: now, ActivatesAt: now.Add(time.Hour)},
		{ID: "now", State: keyActive, CreatedAt: now.Add(-80 * day), ActivatesAt: now.Add(-79 * day), RetiresAt: in(time.Hour), GoneAt: in(31 * day)},
		{ID: "leaked", State: keyRevoked, CreatedAt: now.Add(-90 * day), ActivatesAt: now.Add(-89 * day), RevokedAt: in(-85 * day), RetiresAt: in(-80 * day), GoneAt: in(-49 * day)},
	}
	want := map[string]string{"next": "announced active", "now": "announced active retired", "leaked": "announced active"}
	line := timeLine(keys, now)
	number := func(text string) float64 {
		x, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, k := range line.Keys {
		var states []string
		end := 0.0
		for _, s := range k.Spans {
			states = append(states, s.State)
			x, width := number(s.X), number(s.Width)
			if x < end-0.01 || width <= 0 || x+width > 100.5 {
				t.Errorf("%s: got the spans %+v, want them in order and within the time line", k.ID, k.Spans)
			}
			end = x + width
		}
		if got := strings.Join(states, " "); got != want[k.ID] {
			t.Errorf("%s: got the states %q, want %q", k.ID, got, want[k.ID])
		}
	}
	if x := number(line.Keys[0].Spans[0].X); x != 50 {
		t.Errorf("got the present at %v%%, want 50%%", x)
	}
	for _, tick := range line.Ticks {
		if x := number(tick.X); x < 5 || x > 95 {
			t.Errorf("got the tick %+v, want it between 5%% and 95%%", tick)
		}
	}
}
