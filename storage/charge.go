package storage

import (
	"fmt"
	"math"
	"time"
)

// Charge is what one request takes from one budget, by the generic cell rate
// algorithm: Burst requests at once, and another one after each Gap. A budget
// may have a second pair of them, LongBurst and LongGap, for a longer time; then
// a request needs a place in both. A budget is known by its key alone; it exists
// for each name that was asked for, whether or not a user has the name.
type Charge struct {
	Budget    string        // which one, in the words of who reads the log; not stored
	Key       string        // a digest, so that the table holds no names
	Gap       time.Duration // until a used place is free again
	Burst     int           // at least 1
	LongGap   time.Duration
	LongBurst int // 0: no second limit

	// Slack is how much too early a request may come. Requests that are charged
	// after they were accepted come in another order than they were made in.
	Slack time.Duration
}

// noLongDepth is the depth of a second limit that does not exist: longer than
// any clock will run.
const noLongDepth = time.Duration(math.MaxInt64 / 2)

// Depth is how far ahead of the clock a budget may be used up.
func (c Charge) Depth() time.Duration { return time.Duration(c.Burst)*c.Gap + c.Slack }

// LongDepth is Depth of the second limit.
func (c Charge) LongDepth() time.Duration {
	if c.LongBurst == 0 {
		return noLongDepth
	}
	return time.Duration(c.LongBurst)*c.LongGap + c.Slack
}

// LimitError says that a request was not taken because a budget is used up.
// Nothing was written, and no budget was charged.
type LimitError struct {
	Budget string    // Charge.Budget of the one that recovers last
	Until  time.Time // when it has room again
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the %s limit is used up until %s", e.Budget, e.Until.UTC().Format(time.RFC3339))
}
