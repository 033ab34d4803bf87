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
	// changes. It bounds how long a process that is cut off from the database, or that
	// was stopped and goes on, answers from its cache.
	freshFor = 10 * time.Second
)

// configChange is what changed in the configuration: a row of the table config_changes. Without a
// kind it may be anything. The key is empty if all records of the kind are cached as one.
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

// removable is cachedRecords of any type.
type removable interface {
	remove(key string)
	clear()
}

// cachedRecords holds the records of one kind. The cache's lock guards it.
type cachedRecords[V any] struct {
	items map[string]V
	loads map[string]*load
}

// load is what reads a record at the moment.
type load struct {
	readers  int
	outdated bool // the record changed since it began: what it reads is not kept
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

// drop removes what the changes concern, because this process made them.
func (c *cache) drop(changes ...configChange) {
	c.forget(changes...)
	select {
	case c.dropped <- struct{}{}:
	default:
	}
}

// forget removes what the changes concern.
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

// watch removes everything, and keeps what is read from now on; unwatch stops keeping.
func (c *cache) watch()   { c.setWatched(true) }
func (c *cache) unwatch() { c.setWatched(false) }

func (c *cache) setWatched(watched bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = watched
	c.clear()
}

// confirm says that all changes were known that had been made at that time. It must be
// from time.Now, whose monotonic clock goes on while a process is stopped.
func (c *cache) confirm(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freshUntil = at.Add(freshFor)
}

// cached reads through the cache. Within a transaction it only reads: what is read there
// may never be committed.
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

// begin notes that somebody reads the record.
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

// keep makes room by removing any one record: if there are more than fit, none of them is
// known to be better than another.
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

// changed makes changes of configuration count in this process, at once or when their
// transaction ends, unless err says that there was none. Other processes read them from
// the database.
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
