package listen

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"latchkey/oauth/surface"
	"latchkey/otp/limit"
)

const (
	shieldNetworks = 1 << 16 // that a shield remembers, some 10 MiB
	shieldPattern  = "shield"
)

// shield refuses the requests of an address that has failed too often. It refuses
// them before anything is read, looked up or hashed. Only failures count, so that a
// storefront can sign in all its users from one address. The counts are those of one
// process, and they decide about no login: those counters are in the database (see
// signin.Authenticator). Addresses that many callers may share are not counted; see
// limit.CountedNetwork.
type shield struct {
	paths    []surface.GuessablePath
	failures *limit.Memory[netip.Prefix]
	now      func() time.Time
	limited  func(limiter string)
}

// newShield returns nil, which refuses nothing, if there is no limit.
func newShield(l limit.Limit, surfaces []surface.HTTPRules, now func() time.Time, limited func(limiter string)) *shield {
	if l.None() {
		return nil
	}
	s := &shield{failures: limit.NewMemory[netip.Prefix](l, shieldNetworks, now), now: now, limited: limited}
	for i := range surfaces {
		s.paths = append(s.paths, surfaces[i].Guessable...)
	}
	return s
}

// guard refuses requests from addresses that have failed too often, and counts
// the failures of the others.
func (s *shield) guard(next http.Handler) http.Handler {
	if s == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, counted := limit.CountedNetwork(ClientAddr(r.Context()), nil)
		path := s.pathOf(r)
		if path == nil || !counted {
			next.ServeHTTP(w, r)
			return
		}
		if wait := s.wait(from); wait > 0 {
			r.Pattern = shieldPattern // for the log: no mux sees the request
			s.limited(shieldPattern)
			refuseUntil(w, r, path, wait)
			return
		}
		rec, ok := w.(*recorder)
		if !ok {
			rec = &recorder{ResponseWriter: w, stopping: new(atomic.Bool)}
		}
		next.ServeHTTP(rec, r)
		if rec.failed {
			s.failures.Count(from)
			return
		}
		switch rec.status {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
			s.failures.Count(from)
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

func refuseUntil(w http.ResponseWriter, r *http.Request, path *surface.GuessablePath, wait time.Duration) {
	h := w.Header()
	h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	h.Set("Connection", "close") // otherwise the server would read the whole body
	if path.Page != nil {
		path.Page(w, r)
		return
	}
	h.Set("Content-Type", path.Type)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, path.Body)
}

// wait returns how long the network must wait before its next request; 0: not at all.
func (s *shield) wait(from netip.Prefix) time.Duration {
	until := s.failures.Until(from)
	if until.IsZero() {
		return 0
	}
	return until.Sub(s.now())
}
