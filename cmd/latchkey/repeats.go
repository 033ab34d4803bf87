package main

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

const (
	repeatWindow = time.Minute
	// repeatsApart is how many equal events of a window are recorded each by
	// itself.
	repeatsApart = 5
	// maxRepeats bounds the sources that are told apart. Further ones share
	// events without a source.
	maxRepeats  = 10_000
	repeatFlush = time.Second
)

// repeats replaces many events of one kind by one that counts them: somebody who
// asks for codes of thousands of names would otherwise write thousands of events,
// each of which says nothing new. It holds back only events about requests that
// concern no known user: requested, limited and not sent.
type repeats struct {
	now  func() time.Time
	emit func(storage.AuditEvent)

	mu     sync.Mutex
	byKind map[repeatKind]*repeated
}

// repeatKind is what equal events have in common.
type repeatKind struct{ action, outcome, clientID, source string }

// repeated are the equal events of one window.
type repeated struct {
	ends   time.Time
	apart  int                // recorded each by itself
	held   storage.AuditEvent // the last one that was held back
	counts int64              // how many were held back
}

func newRepeats(now func() time.Time, emit func(storage.AuditEvent)) *repeats {
	return &repeats{now: now, emit: emit, byKind: map[repeatKind]*repeated{}}
}

// repeatable reports whether an event may be counted instead of recorded.
func repeatable(e *storage.AuditEvent) bool {
	if e.UserUID != "" || e.Object != "" {
		return false
	}
	_, step, _ := strings.Cut(e.Action, ".")
	return step == "requested" || step == "not_sent" || step == "limited"
}

// hold reports whether the event is held back, and counts it if so.
func (r *repeats) hold(e storage.AuditEvent) bool {
	if !repeatable(&e) {
		return false
	}
	kind := repeatKind{e.Action, e.Outcome, e.ClientID, e.Source}
	if a, err := netip.ParseAddr(e.Source); err == nil {
		kind.source = otp.Source(a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	same := r.byKind[kind]
	if same == nil && len(r.byKind) >= maxRepeats {
		kind.source = ""
		same = r.byKind[kind]
	}
	now := r.now()
	if same != nil && !now.Before(same.ends) {
		r.flush(kind, same)
		same = nil
	}
	if same == nil {
		same = &repeated{ends: now.Add(repeatWindow)}
		r.byKind[kind] = same
	}
	if same.apart < repeatsApart {
		same.apart++
		return false
	}
	same.counts++
	same.held = e
	same.held.Source, same.held.TraceID = kind.source, ""
	return true
}

// flush ends a window: what was held back becomes one event.
func (r *repeats) flush(kind repeatKind, same *repeated) {
	delete(r.byKind, kind)
	if same.counts > 0 {
		e := same.held
		e.Count = same.counts
		r.emit(e)
	}
}

// run ends windows when they are over, and all of them when ctx ends.
func (r *repeats) run(ctx context.Context) {
	ticker := time.NewTicker(repeatFlush)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			r.flushAll(time.Time{})
			return
		case <-ticker.C:
			r.flushAll(r.now())
		}
	}
}

// flushAll ends the windows that are over at a time; the zero time ends all.
func (r *repeats) flushAll(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, same := range r.byKind {
		if now.IsZero() || !now.Before(same.ends) {
			r.flush(kind, same)
		}
	}
}
