package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"latchkey/storage"
)

// ledger is an auditStore whose database is away for its first calls.
type ledger struct {
	mu     sync.Mutex
	away   int
	kept   []storage.AuditEvent
	filled chan struct{} // closed when want events are kept
	want   int
}

func (l *ledger) AddAuditEvents(_ context.Context, events []storage.AuditEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away > 0 {
		l.away--
		return errors.New("away")
	}
	l.kept = append(l.kept, events...)
	if len(l.kept) == l.want {
		close(l.filled)
	}
	return nil
}

func newTestAuditor(t *testing.T, away, want int) (*auditor, *ledger) {
	t.Helper()
	l := &ledger{away: away, want: want, filled: make(chan struct{})}
	a, err := newAuditor(l, zerolog.Nop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return a, l
}

func (l *ledger) inOrder(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.kept {
		if e.Object != strconv.Itoa(i) {
			t.Fatalf("event %d is %s", i, e.Object)
		}
	}
}

// TestAuditorOutlastsTheDatabase keeps what was recorded while the database was
// away.
func TestAuditorOutlastsTheDatabase(t *testing.T) {
	t.Parallel()
	const events = 3*auditBatch + 7
	a, l := newTestAuditor(t, 1, events)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.run(ctx) }()
	for i := range events {
		a.add(storage.AuditEvent{Object: strconv.Itoa(i)})
	}
	select {
	case <-l.filled:
	case <-time.After(time.Minute):
		t.Error("the events were not stored")
	}
	stop()
	<-done
	l.inOrder(t)
}

// TestAuditorFinishes stores at a stop what was recorded before it.
func TestAuditorFinishes(t *testing.T) {
	t.Parallel()
	const events = 2*auditBatch + 3
	a, l := newTestAuditor(t, 0, events)
	for i := range events {
		a.add(storage.AuditEvent{Object: strconv.Itoa(i)})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a.run(ctx)
	if len(l.kept) != events {
		t.Errorf("%d of %d events are stored", len(l.kept), events)
	}
	l.inOrder(t)
}
