package gormstore

import (
	"context"
	"time"
)

const (
	// maxAttempts bounds how often a statement or a transaction is executed.
	maxAttempts = 6
	// firstRepeatPause is the pause before the second attempt. Each further one is twice
	// as long.
	firstRepeatPause = 5 * time.Millisecond
)

// repeat executes a statement or a transaction again if the database rolled it back for a
// temporary reason, such as a deadlock. It stops when ctx ends, and returns the last error.
func repeat(ctx context.Context, repeatable func(error) bool, do func() error) error {
	pause := firstRepeatPause
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || attempt == maxAttempts || !repeatable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 2
		}
	}
}
