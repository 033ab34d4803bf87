package gormstore

import (
	"context"
	"fmt"
	"time"
)

const (
	// readyTimeout bounds the wait for the database in Ready.
	readyTimeout = 3 * time.Second
	// diskFaultFor is how long a server is not ready after the disk refused a write. The
	// write of Ready is small, so it may succeed on a full disk.
	diskFaultFor = 5 * time.Second
)

// Why a server cannot do its work.
const (
	reasonSilent    = "the database does not answer"
	reasonReadOnly  = "the database takes no writes"
	reasonFull      = "the disk of the database is full"
	reasonBroken    = "the disk of the database cannot be written to"
	reasonUnstarted = "the database is starting or shutting down"
	reasonCrowded   = "the database has too many connections"
	reasonOther     = "the database refuses writes"
)

// NotReady is the error of Ready.
type NotReady struct {
	Reason string // in words that name no host and no table
	cause  error
}

func (e NotReady) Error() string { return fmt.Sprintf("%s: %v", e.Reason, e.cause) }

// Unwrap returns the error of the database.
func (e NotReady) Unwrap() error { return e.cause }

// Ready writes to the database, as requests do. It returns a NotReady error if that fails
// or takes longer than three seconds, or if the disk refused a write of a request in the
// last five seconds. A store without RegisterServer only reads.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := s.writeBeat(ctx)
	if err != nil {
		reason := s.dialect.reason(err)
		if reason == "" {
			reason = reasonOther
			if disconnected(err) || ctx.Err() != nil {
				reason = reasonSilent
			}
		}
		return NotReady{reason, err}
	}
	if fault := s.diskFault.Load(); fault != nil && time.Since(fault.at) < diskFaultFor {
		return NotReady{fault.reason, fault.err}
	}
	return nil
}

// writeBeat goes to the pool itself, because it is not on behalf of a caller: see
// Config.OnStatement.
func (s *Store) writeBeat(ctx context.Context) error {
	r := s.server.Load()
	if r == nil {
		return s.Ping(ctx)
	}
	return repeat(ctx, s.dialect.repeatable, func() error {
		_, err := s.pools.write.ExecContext(ctx, s.dialect.bind("UPDATE servers SET beats = beats + 1 WHERE id = ?"), r.id)
		return err
	})
}

// diskFault is a write that the disk refused.
type diskFault struct {
	at     time.Time
	reason string
	err    error
}
