package gormstore

import (
	"context"
	"sync"

	"latchkey/storage"
)

// maxCachedClients bounds the clients kept in memory.
const maxCachedClients = 10_000

// cache keeps configuration records while somebody listens for their changes.
// Each change drops all of it: changes are rare and a record is cheap to read
// again.
type cache struct {
	mu    sync.RWMutex
	live  bool
	epoch uint64 // rises with each drop: what was read before is not kept after

	clients  shelf[storage.Client]
	profiles shelf[storage.PasswordProfile]
	security shelf[map[string]storage.SecurityProfile]
	senders  shelf[[]storage.Sender]
	delivery shelf[storage.DeliveryConfig]

	dropped chan struct{} // wakes the watcher
}

// shelf holds the records of one kind; the cache's lock guards it.
type shelf[V any] struct {
	max   int
	items map[string]V
}

func newCache() *cache {
	c := &cache{dropped: make(chan struct{}, 1)}
	c.clients.max = maxCachedClients
	c.profiles.max = maxCachedClients
	c.delivery.max = maxCachedClients
	c.security.max, c.senders.max = 1, 1
	c.clear()
	return c
}

func (c *cache) clear() {
	c.epoch++
	c.clients.items = make(map[string]storage.Client)
	c.profiles.items = make(map[string]storage.PasswordProfile)
	c.security.items = make(map[string]map[string]storage.SecurityProfile)
	c.senders.items = make(map[string][]storage.Sender)
	c.delivery.items = make(map[string]storage.DeliveryConfig)
}

// drop forgets everything, because this process changed something.
func (c *cache) drop() {
	c.mu.Lock()
	c.clear()
	c.mu.Unlock()
	select {
	case c.dropped <- struct{}{}:
	default:
	}
}

// listen forgets everything and keeps what is read from now on; deafen stops
// keeping.
func (c *cache) listen() { c.turn(true) }
func (c *cache) deafen() { c.turn(false) }

func (c *cache) turn(live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = live
	c.clear()
}

// cached reads through a shelf. Within a transaction it only loads: what is
// read there may never be committed.
func cached[V any](ctx context.Context, s *Store, of *shelf[V], key string, load func() (V, error)) (V, error) {
	if s.tx(ctx) != nil {
		return load()
	}
	c := s.cache
	c.mu.RLock()
	v, ok := of.items[key]
	epoch, live := c.epoch, c.live
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load()
	if err != nil || !live {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live && c.epoch == epoch {
		of.keep(key, v)
	}
	return v, nil
}

// keep makes room by forgetting any one record: a full shelf means more
// clients than fit, and none of them is known to be better than another.
func (sh *shelf[V]) keep(key string, v V) {
	if len(sh.items) >= sh.max {
		for other := range sh.items {
			delete(sh.items, other)
			break
		}
	}
	sh.items[key] = v
}

// changed makes a change of configuration felt in this process, at once or
// when its transaction ends. Others hear of it from the database.
func (s *Store) changed(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if tx := s.tx(ctx); tx != nil {
		tx.changed = true
		return nil
	}
	s.cache.drop()
	return nil
}
