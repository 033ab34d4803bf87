package deliver

import (
	"encoding/binary"
	"io"
	"time"
)

const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// pauseAfter returns the time from the failed attempt of that number, counted
// from 1, to the next: 1 s, 2 s, 4 s and so on up to a minute, give or take a
// fifth, so that what failed together does not come back together.
func pauseAfter(attempt int, random io.Reader) time.Duration {
	pause := firstPause
	for ; attempt > 1 && pause < longestPause; attempt-- {
		pause = min(2*pause, longestPause)
	}
	var b [2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return pause // no jitter is better than no delivery
	}
	share := time.Duration(binary.BigEndian.Uint16(b[:])) // of 65535
	return pause*4/5 + pause*2/5*share/0xFFFF
}
