package listen

import (
	"container/list"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/oauth/surface"
)

// Limit allows Burst events at once, and on average Burst events in each Per. The
// zero value is no limit.
type Limit struct {
	Burst int
	Per   time.Duration
}

const (
	shieldEntries = 1 << 16 // addresses that a shield remembers, some 10 MiB
	shieldPattern = "shield"
)

// shield refuses the requests of an address that has failed too often. It refuses
// them before anything is read, looked up or hashed. Only failures count, so that a
// storefront can sign in all its users from one address. The counts are those of one
// process, and they decide about no login: those counters are in the database (see signin.Authenticator).
//
// Loopback and private addresses are not counted; see countedNetwork.
//
// The state of a bucket is the time at which it is full again (GCRA). Full buckets
// are equal to missing ones. If there are too many, the shield drops the bucket whose
// last failure is the longest ago.
type shield struct {
	gap, depth time.Duration
	paths      []surface.GuessablePath
	now        func() time.Time
	most       int

	mu     sync.Mutex
	byAddr map[netip.Prefix]*list.Element
	recent *list.List // of *bucket, the latest failure first
}

type bucket struct {
	network netip.Prefix
	full    time.Time // when it is full again
}

// newShield returns nil, which refuses nothing, if there is no limit.
func newShield(l Limit, surfaces []surface.HTTPRules, now func() time.Time) *shield {
	if l.Burst <= 0 || l.Per <= 0 {
		return nil
	}
	var paths []surface.GuessablePath
	for i := range surfaces {
		paths = append(paths, surfaces[i].Guessable...)
	}
	gap := max(l.Per/time.Duration(l.Burst), 1)
	return &shield{
		gap: gap, depth: gap * time.Duration(l.Burst), paths: paths, now: now, most: shieldEntries,
		byAddr: map[netip.Prefix]*list.Element{}, recent: list.New(),
	}
}

// guard refuses requests from addresses that have failed too often, and counts
// the failures of the others.
func (s *shield) guard(next http.Handler) http.Handler {
	if s == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, counted := countedNetwork(ClientAddr(r.Context()), nil)
		path := s.pathOf(r)
		if path == nil || !counted {
			next.ServeHTTP(w, r)
			return
		}
		if wait := s.wait(from); wait > 0 {
			r.Pattern = shieldPattern // for the log: no mux sees the request
			refuseUntil(w, path, wait)
			return
		}
		rec, ok := w.(*recorder)
		if !ok {
			rec = &recorder{ResponseWriter: w, stopping: new(atomic.Bool)}
		}
		next.ServeHTTP(rec, r)
		switch rec.status {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
			s.fail(from)
		}
	})
}

// pathOf returns the guessable path that a request is for, or nil. Requests that
// only read, such as those for our keys, are not limited.
func (s *shield) pathOf(r *http.Request) *surface.GuessablePath {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil
	}
	for i := range s.paths {
		if strings.HasPrefix(r.URL.Path, s.paths[i].Prefix) {
			return &s.paths[i]
		}
	}
	return nil
}

func refuseUntil(w http.ResponseWriter, path *surface.GuessablePath, wait time.Duration) {
	h := w.Header()
	h.Set("Content-Type", path.Type)
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	h.Set("Connection", "close") // otherwise the server would read the whole body
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, path.Body)
}

// wait returns how long the network must wait before its next request; 0: not at all.
func (s *shield) wait(from netip.Prefix) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byAddr[from]
	if e == nil {
		return 0
	}
	b, _ := e.Value.(*bucket)
	return max(b.full.Add(s.gap-s.depth).Sub(s.now()), 0)
}

// fail counts a failure. Concurrent requests may fail more often than the limit
// allows; the network then waits longer.
func (s *shield) fail(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	e := s.byAddr[from]
	if e == nil {
		e = s.recent.PushFront(&bucket{network: from, full: now})
		s.byAddr[from] = e
	} else {
		s.recent.MoveToFront(e)
	}
	b, _ := e.Value.(*bucket)
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(s.gap)
	if s.recent.Len() > s.most {
		oldest, _ := s.recent.Remove(s.recent.Back()).(*bucket)
		delete(s.byAddr, oldest.network)
	}
}
