package audit

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"latchkey/otp/limit"
	"latchkey/storage"
)

const (
	// SeparateEvents is how many equal events of a window are recorded one by one.
	// One further event counts all others of the window.
	SeparateEvents = 5

	repeatWindow = time.Minute
	// maxKinds bounds the kinds of events that are counted separately. Events of
	// further kinds are counted without their source.
	maxKinds      = 10_000
	flushInterval = time.Second
)

// repeats replaces many equal events by one event that counts them. Without it,
// requests for the codes of thousands of unknown names would write thousands of
// events that say nothing new. It only combines events about requests that concern
// no known user: requested, limited and not sent.
type repeats struct {
	now  func() time.Time
	emit func(storage.AuditEvent)

	mu     sync.Mutex
	byKind map[eventKind]*window
}

// eventKind has the fields in which equal events agree.
type eventKind struct{ action, outcome, clientID, source string }

// window counts the equal events of one minute.
type window struct {
	ends     time.Time
	separate int                // events that were recorded one by one
	last     storage.AuditEvent // the last event that was held back
	held     int64              // how many events were held back
}

func newRepeats(now func() time.Time, emit func(storage.AuditEvent)) *repeats {
	return &repeats{now: now, emit: emit, byKind: map[eventKind]*window{}}
}

// combinable reports whether an event may be counted instead of recorded.
func combinable(e *storage.AuditEvent) bool {
	if e.UserUID != "" || e.Object != "" {
		return false
	}
	_, step, _ := strings.Cut(e.Action, ".")
	return step == "requested" || step == "not_sent" || step == "limited"
}

// hold reports whether it holds back the event. It counts the event if it does.
func (r *repeats) hold(e storage.AuditEvent) bool {
	if !combinable(&e) {
		return false
	}
	kind := eventKind{e.Action, e.Outcome, e.ClientID, e.Source}
	if a, err := netip.ParseAddr(e.Source); err == nil {
		kind.source = limit.Source(a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.byKind[kind]
	if current == nil && len(r.byKind) >= maxKinds {
		kind.source = ""
		current = r.byKind[kind]
	}
	now := r.now()
	if current != nil && !now.Before(current.ends) {
		r.flush(kind, current)
		current = nil
	}
	if current == nil {
		current = &window{ends: now.Add(repeatWindow)}
		r.byKind[kind] = current
	}
	if current.separate < SeparateEvents {
		current.separate++
		return false
	}
	current.held++
	current.last = e
	current.last.Source, current.last.TraceID = kind.source, ""
	return true
}

// flush ends a window: the events that it held back become one event.
func (r *repeats) flush(kind eventKind, w *window) {
	delete(r.byKind, kind)
	if w.held > 0 {
		e := w.last
		e.Count = w.held
		r.emit(e)
	}
}

// run ends each window when its time is over, and all windows when ctx ends.
func (r *repeats) run(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
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

// flushAll ends the windows that are over at the given time. The zero time ends
// all windows.
func (r *repeats) flushAll(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, w := range r.byKind {
		if now.IsZero() || !now.Before(w.ends) {
			r.flush(kind, w)
		}
	}
}
