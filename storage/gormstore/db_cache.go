package gormstore

import (
	"context"
	"sync"
	"time"

	"latchkey/storage"
)

const (
	// maxCachedRecords bounds the records of a kind that are kept in memory.
	maxCachedRecords = 10_000
	// freshFor is how long cached records are used after the database was last asked for
	// changes. It limits how long a process answers from its cache after it lost the
	// database, or after it was suspended and resumed.
	freshFor = 10 * time.Second
)

// configChange is a change of the configuration: a row of the table config_changes. An
// empty kind means that any record may have changed. The key is empty if all records of the
// kind are cached as one.
type configChange struct{ kind, key string }

// The kinds of changes that concern cached records; see the triggers of 0019. Secrets of
// clients count as their clients.
const (
	clientChanged          = "clients"
	passwordProfileChanged = "password_profiles"
	securityProfileChanged = "security_profiles"
	senderChanged          = "senders"
	deliveryConfigChanged  = "delivery_configs"
)

// cache keeps configuration records while a watch asks the database for changes. A change
// removes the record that it concerns.
type cache struct {
	mu         sync.RWMutex
	watched    bool
	freshUntil time.Time

	clients  cachedRecords[storage.Client]
	profiles cachedRecords[storage.PasswordProfile]
	security cachedRecords[map[string]storage.SecurityProfile]
	senders  cachedRecords[[]storage.Sender]
	delivery cachedRecords[storage.DeliveryConfig]
	kinds    map[string]removable

	dropped chan struct{} // wakes the watcher
}

// removable is implemented by cachedRecords of every type.
type removable interface {
	remove(key string)
	clear()
}

// cachedRecords holds the records of one kind. The cache's lock guards it.
type cachedRecords[V any] struct {
	items map[string]V
	loads map[string]*load
}

// load counts the callers that are reading a record from the database now.
type load struct {
	readers  int
	outdated bool // the record changed since the load began, so the result is not cached
}

func newCache() *cache {
	c := &cache{dropped: make(chan struct{}, 1)}
	c.kinds = map[string]removable{
		clientChanged: &c.clients, passwordProfileChanged: &c.profiles, securityProfileChanged: &c.security,
		senderChanged: &c.senders, deliveryConfigChanged: &c.delivery,
	}
	c.clear()
	return c
}

func (c *cache) clear() {
	for _, records := range c.kinds {
		records.clear()
	}
}

// drop removes the records that were changed by this process, and wakes the watcher.
func (c *cache) drop(changes ...configChange) {
	c.forget(changes...)
	select {
	case c.dropped <- struct{}{}:
	default:
	}
}

// forget removes the changed records.
func (c *cache) forget(changes ...configChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range changes {
		if x.kind == "" {
			c.clear()
		} else if records, ok := c.kinds[x.kind]; ok {
			records.remove(x.key)
		}
	}
}

// watch empties the cache and starts caching. unwatch empties it and stops caching.
func (c *cache) watch()   { c.setWatched(true) }
func (c *cache) unwatch() { c.setWatched(false) }

func (c *cache) setWatched(watched bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = watched
	c.clear()
}

// confirm records that the cache reflects all changes up to the time at. at must come from
// time.Now, because its monotonic clock also advances while the process is suspended.
func (c *cache) confirm(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freshUntil = at.Add(freshFor)
}

// cached returns a record from the cache, or reads it with read and caches it. Within a
// transaction it always calls read and caches nothing, because the transaction may be
// rolled back.
func cached[V any](ctx context.Context, s *Store, of *cachedRecords[V], key string, read func() (V, error)) (V, error) {
	if s.tx(ctx) != nil {
		return read()
	}
	c := s.cache
	c.mu.RLock()
	v, ok := of.items[key]
	ok = ok && time.Now().Before(c.freshUntil)
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	c.mu.Lock()
	mine := of.begin(key)
	c.mu.Unlock()
	v, err := read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if of.end(key, mine); err == nil && c.watched && !mine.outdated {
		of.keep(key, v)
	}
	return v, err
}

// begin registers a caller that reads the record.
func (r *cachedRecords[V]) begin(key string) *load {
	l := r.loads[key]
	if l == nil {
		l = &load{}
		r.loads[key] = l
	}
	l.readers++
	return l
}

func (r *cachedRecords[V]) end(key string, l *load) {
	if l.readers--; l.readers == 0 && r.loads[key] == l {
		delete(r.loads, key)
	}
}

// keep caches a record. If the cache is full, it removes an arbitrary one.
func (r *cachedRecords[V]) keep(key string, v V) {
	if len(r.items) >= maxCachedRecords {
		for other := range r.items {
			delete(r.items, other)
			break
		}
	}
	r.items[key] = v
}

func (r *cachedRecords[V]) remove(key string) {
	delete(r.items, key)
	if l := r.loads[key]; l != nil {
		l.outdated = true
		delete(r.loads, key)
	}
}

func (r *cachedRecords[V]) clear() {
	r.items = make(map[string]V)
	for _, l := range r.loads {
		l.outdated = true
	}
	r.loads = make(map[string]*load)
}

// changed removes changed records from the cache of this process, at once or when the
// transaction of ctx ends. It does nothing if err is not nil. It returns err. Other
// processes read the changes from the database.
func (s *Store) changed(ctx context.Context, err error, changes ...configChange) error {
	if err != nil {
		return err
	}
	if tx := s.tx(ctx); tx != nil {
		tx.changes = append(tx.changes, changes...)
		return nil
	}
	s.cache.drop(changes...)
	return nil
}
