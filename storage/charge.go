package storage

import (
	"fmt"
	"math"
	"time"
)

// Charge counts one request against one budget, with the generic cell rate
// algorithm: Burst requests at once, and one more after each Gap. A budget may
// have a second limit over a longer time, LongBurst and LongGap; then a request
// needs room in both. A budget is identified by its key alone. It exists for each
// name that is presented, whether or not a user has the name.
type Charge struct {
	Budget    string        // name of the budget in logs and audit events; not stored
	Key       string        // a digest, so that the table contains no names
	Gap       time.Duration // time until one more request is allowed
	Burst     int           // at least 1
	LongGap   time.Duration
	LongBurst int // 0: no second limit

	// Slack is how much too early a request may be. Requests that are charged after
	// they were accepted may be charged in another order than they were made in.
	Slack time.Duration
}

// noLongDepth is the depth of a second limit that does not exist. No request
// reaches it.
const noLongDepth = time.Duration(math.MaxInt64 / 2)

// Depth returns how far ahead of the clock the time of a used-up budget may be.
func (c Charge) Depth() time.Duration { return time.Duration(c.Burst)*c.Gap + c.Slack }

// LongDepth returns the Depth of the second limit.
func (c Charge) LongDepth() time.Duration {
	if c.LongBurst == 0 {
		return noLongDepth
	}
	return time.Duration(c.LongBurst)*c.LongGap + c.Slack
}

// LimitError says that a request was refused because a budget is used up. Nothing
// was written, and no budget was charged.
type LimitError struct {
	Budget string    // Charge.Budget of the budget that has room last
	Until  time.Time // when the budget has room again
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the %s limit is used up until %s", e.Budget, e.Until.UTC().Format(time.RFC3339))
}
