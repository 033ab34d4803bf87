package storage_test

import (
	"testing"
	"time"

	"latchkey/storage"
)

// advanced returns the family after the step to its next generation.
func advanced(f storage.TokenFamily, now time.Time, grace time.Duration) storage.TokenFamily {
	next := f.Advance(now, time.Time{}, grace)
	f.Generation, f.RotatedAt, f.Rotations = next.From+1, next.Now, next.Rotations
	return f
}

// TestReplacedAt tests that a family with few rotations in a grace period knows exactly when
// each token was replaced, while that time is within the grace period.
func TestReplacedAt(t *testing.T) {
	t.Parallel()
	const grace = time.Minute
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := storage.TokenFamily{Generation: 1, RotatedAt: start}
	if !f.ReplacedAt(1).IsZero() {
		t.Error("the first token counts as replaced")
	}
	replaced := map[int64]time.Time{}
	now := start
	for _, pause := range []int{100, 20, 20, 15, 1, 90, 30, 31} {
		now = now.Add(time.Duration(pause) * time.Second)
		replaced[f.Generation] = now
		f = advanced(f, now, grace)
		for generation, at := range replaced {
			got, inGrace := f.ReplacedAt(generation), now.Before(at.Add(grace))
			if inGrace && !got.Equal(at) || !inGrace && now.Before(got.Add(grace)) {
				t.Errorf("at %v, token %d got replaced at %v, want %v", now.Sub(start), generation, got.Sub(start), at.Sub(start))
			}
		}
	}
	if !f.ReplacedAt(f.Generation).IsZero() {
		t.Error("the current token counts as replaced")
	}
}

// TestRotationsAreBounded tests that a family that is refreshed all the time keeps few
// rotations. Each token has its whole grace period, and at most half a period more.
func TestRotationsAreBounded(t *testing.T) {
	t.Parallel()
	const grace = time.Minute
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := storage.TokenFamily{Generation: 1, RotatedAt: now}
	replaced := []time.Time{{}} // times of replacement by generation
	for range 1000 {
		now = now.Add(time.Second)
		replaced = append(replaced, now)
		f = advanced(f, now, grace)
		if len(f.Rotations) > 8 {
			t.Fatalf("got %d rotations, want at most 8", len(f.Rotations))
		}
		for generation := int64(1); generation < f.Generation; generation++ {
			at, got := replaced[generation], f.ReplacedAt(generation)
			if got.Before(at) || now.Before(got.Add(grace)) && !now.Before(at.Add(grace+grace/2)) {
				t.Fatalf("token %d, replaced %v ago, counts as replaced %v ago", generation, now.Sub(at), now.Sub(got))
			}
		}
	}
}
