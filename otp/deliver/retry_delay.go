package deliver

import (
	"encoding/binary"
	"io"
	"time"
)

const (
	firstPause = time.Second
	// A pause is at most the 24th part of the message's life, within bounds.
	longestPart  = 24
	shortCeiling = time.Minute
	longCeiling  = time.Hour
)

// pauseAfter returns the time from the failed attempt of that number, counted
// from 1, to the next: 1 s, 2 s, 4 s and so on up to a minute for one-time
// passwords, five for what lives two hours, an hour for what lives a week; give
// or take a fifth, so that what failed together does not come back together.
func pauseAfter(attempt int, life time.Duration, random io.Reader) time.Duration {
	pause, longest := firstPause, min(max(life/longestPart, shortCeiling), longCeiling)
	for ; attempt > 1 && pause < longest; attempt-- {
		pause = min(2*pause, longest)
	}
	var b [2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return pause // no jitter is better than no delivery
	}
	share := time.Duration(binary.BigEndian.Uint16(b[:])) // of 65535
	return pause*4/5 + pause*2/5*share/0xFFFF
}
