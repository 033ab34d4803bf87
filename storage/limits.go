package storage

import (
	"fmt"
	"time"
)

// Charge is what one request takes from one budget, by the generic cell rate
// algorithm: Burst requests at once, and another one after each Gap. A budget
// is known by its key alone; it exists for whatever was asked, whether or not
// that belongs to anybody.
type Charge struct {
	Budget string        // which one, in the words of who reads the log; not stored
	Key    string        // a digest, so that the table holds no names
	Gap    time.Duration // until a used place is free again
	Burst  int           // at least 1
}

// Depth is how far ahead of the clock a budget may be used up.
func (c Charge) Depth() time.Duration { return time.Duration(c.Burst) * c.Gap }

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
