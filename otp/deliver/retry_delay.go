package deliver

import (
	"encoding/binary"
	"io"
	"time"
)

const (
	firstDelay = time.Second
	// The longest delay is the 24th part of the message's lifetime, but at least
	// minLongest and at most maxLongest.
	lifetimePart = 24
	minLongest   = time.Minute
	maxLongest   = time.Hour
)

// retryDelay returns the time from a failed attempt to the next one. attempt is the
// number of the failed attempt, counted from 1. The delay is 1 s, 2 s, 4 s and so on.
// Its maximum depends on the lifetime of the message: a minute for a one-time
// password, five minutes for a lifetime of two hours, an hour for a week. A random
// jitter of 20 % either way spreads messages that failed at the same time.
func retryDelay(attempt int, lifetime time.Duration, random io.Reader) time.Duration {
	delay, longest := firstDelay, min(max(lifetime/lifetimePart, minLongest), maxLongest)
	for ; attempt > 1 && delay < longest; attempt-- {
		delay = min(2*delay, longest)
	}
	var b [2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return delay // a delay without jitter is better than no delivery
	}
	jitter := time.Duration(binary.BigEndian.Uint16(b[:])) // in 65535ths
	return delay*4/5 + delay*2/5*jitter/0xFFFF
}
