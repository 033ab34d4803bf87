package gormstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

const (
	// beatInterval is how often a server shows that it runs, and looks at the others.
	beatInterval = time.Second
	// leaseSilence is the time without a sign of life after which the others end the leases
	// of a server. So a server that was killed is noticed within five seconds.
	leaseSilence = 3500 * time.Millisecond
	// longestLookPause is the longest time between two looks in a row.
	longestLookPause = 5 * beatInterval / 2
	// silence is the time without a sign of life after which another server removes a row.
	silence = 10 * time.Second
	// silencePoll is how often a new server looks meanwhile.
	silencePoll = 200 * time.Millisecond
	// beatTimeout limits one beat, so that a connection that hangs does not block the next
	// beats.
	beatTimeout = 5 * time.Second
)

// IssuerConflict says that a server with another issuer runs on the database.
type IssuerConflict struct{ Issuer string }

func (e IssuerConflict) Error() string {
	return fmt.Sprintf("a server with the issuer %s runs on this database", e.Issuer)
}

// Registration is a server in the list of the servers that run on the database.
type Registration struct {
	store  *Store
	id     string
	issuer string
	unlock func() error // of the dialect's lock for servers
	seen   map[string]sighting
	looked time.Time
}

// serverRow is a row of the table servers.
type serverRow struct {
	ID     string `gorm:"column:id"`
	Issuer string `gorm:"column:issuer"`
	Beats  int64  `gorm:"column:beats"`
}

// RegisterServer adds a server with the issuer to the list of running servers. The error
// is an IssuerConflict if a server with another issuer runs, because neither would accept
// the tokens of the other. A server that was killed leaves its row behind. So if there are
// rows with another issuer, RegisterServer calls waiting with that issuer and waits up to
// ten seconds for a sign of life. It removes the rows if there is none. With SQLite a file
// lock shows whether another server runs. If none does, the rows are removed at once.
//
// From then on the store claims requests and messages for the server: their leases end
// with it.
func (s *Store) RegisterServer(ctx context.Context, issuer string, waiting func(issuer string)) (*Registration, error) {
	id, err := storage.NewID(s.rand, "srv_")
	if err != nil {
		return nil, err
	}
	r := &Registration{store: s, id: id, issuer: issuer}
	r.unlock, err = s.dialect.lockServing(ctx, func() error {
		_, err := s.exec(ctx, "remove servers", "DELETE FROM servers")
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.enter(ctx, waiting); err != nil {
		return nil, errors.Join(err, r.unlock())
	}
	if _, err := s.releaseLeases(ctx); err != nil {
		return nil, errors.Join(err, r.End(ctx))
	}
	s.server.Store(r)
	return r, nil
}

// enter is RegisterServer without the leases.
func (r *Registration) enter(ctx context.Context, waiting func(issuer string)) error {
	first, err := r.insert(ctx, nil)
	conflict, ok := errors.AsType[IssuerConflict](err)
	if !ok {
		return err
	}
	waiting(conflict.Issuer)
	if err := r.store.awaitSilence(ctx, first, r.issuer); err != nil {
		return err
	}
	_, err = r.insert(ctx, first)
	return err
}

// insert adds the row of the registration. If there are rows with another issuer it adds
// none and returns an IssuerConflict and those rows, by id. Rows that have not changed
// since they were read into dead are removed first. If several servers start at the same
// time, their calls run one after the other.
func (r *Registration) insert(ctx context.Context, dead map[string]serverRow) (others map[string]serverRow, err error) {
	s := r.store
	err = s.inTxOf(ctx, s.signs, func(ctx context.Context) error {
		if lock := s.dialect.locksTable("servers"); lock != "" {
			if _, err := s.exec(ctx, "lock servers", lock); err != nil {
				return err
			}
		}
		for _, row := range dead {
			if _, err := s.exec(ctx, "remove server", "DELETE FROM servers WHERE id = ? AND beats = ?", row.ID, row.Beats); err != nil {
				return err
			}
		}
		rows, err := returning[serverRow](ctx, s, "servers", "SELECT id, issuer, beats FROM servers WHERE issuer <> ?", r.issuer)
		if err != nil || len(rows) > 0 {
			others = serversByID(rows)
			return err
		}
		_, err = s.exec(ctx, "add server", "INSERT INTO servers (id, issuer, beats) VALUES (?, ?, 0)", r.id, r.issuer)
		return err
	})
	for _, other := range others {
		return others, IssuerConflict{other.Issuer}
	}
	return nil, err
}

func serversByID(rows []serverRow) map[string]serverRow {
	all := make(map[string]serverRow, len(rows))
	for _, row := range rows {
		all[row.ID] = row
	}
	return all
}

// awaitSilence waits up to the time silence. It returns an IssuerConflict as soon as a
// server with another issuer gives a sign of life or is added. It returns nil if none does.
// seen has the rows as they were read before.
func (s *Store) awaitSilence(ctx context.Context, seen map[string]serverRow, issuer string) error {
	tick := time.NewTicker(silencePoll)
	defer tick.Stop()
	for end := time.Now().Add(silence); time.Now().Before(end); {
		rows, err := query[serverRow](ctx, s, "servers", "SELECT id, issuer, beats FROM servers WHERE issuer <> ?", issuer)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if seen[row.ID] != row {
				return IssuerConflict{row.Issuer}
			}
		}
		if len(rows) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Keep gives a sign of life every second, and ends the leases of servers that give none any
// more. It returns nil when ctx ends. It returns an IssuerConflict if another server
// removed the row of this one after a long silence and runs with another issuer. It goes on
// if the database does not answer.
func (r *Registration) Keep(ctx context.Context) error {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for failed := false; ; {
		err := r.beat(ctx)
		if conflict, ok := errors.AsType[IssuerConflict](err); ok {
			return conflict
		}
		if err == nil {
			err = r.look(ctx, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			r.store.log.Debug().Err(err).Msg("sign of life or check of the other servers failed")
		}
		if failed && err == nil {
			r.store.call(&r.store.onRecovery)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// beat increments the server's number of beats, and adds its row again if it was removed.
// Signs of life use a separate connection and are not reported to Config.OnStatement.
func (r *Registration) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	done, err := r.store.pools.signs.ExecContext(ctx, r.store.dialect.bind("UPDATE servers SET beats = beats + 1, hears = ? WHERE id = ?"), string(r.store.HearsBy()), r.id)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = r.insert(ctx, nil)
	return err
}

// sighting is a number of beats of another server, and when it was first seen.
type sighting struct {
	beats int64
	since time.Time
}

// look removes the other servers whose beats have not changed for leaseSilence, and ends
// their leases. It measures the time with the clock of this process only. After a long
// pause between two looks, it forgets the earlier observations: this process was frozen or
// had no database, and the other servers may have had none either.
func (r *Registration) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	beats, err := r.store.beatsOfServers(ctx)
	if err != nil {
		return err
	}
	delete(beats, r.id)
	if now.Sub(r.looked) > longestLookPause {
		r.seen = nil
	}
	seen := make(map[string]sighting, len(beats))
	for id, n := range beats {
		if seen[id] = (sighting{n, now}); r.seen[id].beats != n || r.seen[id].since.IsZero() {
			continue
		}
		if seen[id] = r.seen[id]; now.Sub(seen[id].since) < leaseSilence {
			continue
		}
		if err := r.remove(ctx, id, n); err != nil {
			return err
		}
	}
	r.seen, r.looked = seen, now
	return nil
}

// beatsOfServers returns the beats of all servers, by id, over the connection of beat.
func (s *Store) beatsOfServers(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pools.signs.QueryContext(ctx, "SELECT id, beats FROM servers")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports what matters
	all := map[string]int64{}
	for rows.Next() {
		var id string
		var beats int64
		if err := rows.Scan(&id, &beats); err != nil {
			return nil, err
		}
		all[id] = beats
	}
	return all, rows.Err()
}

// remove removes another server, unless it has shown that it runs since its beats were
// read, and ends its leases.
func (r *Registration) remove(ctx context.Context, id string, beats int64) error {
	s, released := r.store, 0
	err := s.inTxOf(ctx, s.signs, func(ctx context.Context) error {
		n, err := s.exec(ctx, "remove server", "DELETE FROM servers WHERE id = ? AND beats = ?", id, beats)
		if err != nil || n == 0 {
			return err
		}
		released, err = s.releaseLeases(ctx)
		return err
	})
	if err == nil && released > 0 {
		s.log.Warn().Str("server", id).Int("leases", released).Msg("a server shows no sign of life; others take over its requests and messages")
		s.work()
	}
	return err
}

// End removes the server from the list and ends the leases that it has left. A stopped
// server must do so, so that others can take over at once, and servers with another
// issuer can start.
func (r *Registration) End(ctx context.Context) error {
	s := r.store
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	s.server.Store(nil)
	err := s.inTxOf(ctx, s.signs, func(ctx context.Context) error {
		_, err := s.exec(ctx, "remove server", "DELETE FROM servers WHERE id = ?", r.id)
		if err == nil {
			_, err = s.releaseLeases(ctx)
		}
		return err
	})
	return errors.Join(err, r.unlock())
}

// releaseLeases ends the leases of requests and messages whose server is not in the list,
// and returns their number. If such a server is still running, it can complete only those
// that no other server has claimed meanwhile; see FinishAttempt and IssueCodes.
func (s *Store) releaseLeases(ctx context.Context) (released int, err error) {
	const orphan = " AND lease_owner <> '' AND lease_until > 0 AND NOT EXISTS (SELECT 1 FROM servers WHERE servers.id = lease_owner)"
	for _, x := range []struct{ table, open string }{{"code_requests", "ended_at = 0"}, {"messages", "state = 'queued'"}} {
		n, err := s.exec(ctx, "release leases", "UPDATE "+x.table+" SET lease_until = 0 WHERE id IN (SELECT id FROM "+x.table+
			" WHERE "+x.open+orphan+s.dialect.claims()+")")
		if err != nil {
			return released, err
		}
		released += int(n)
	}
	return released, nil
}

// leaseOwner returns the ID of the server that this store claims for, or "" without
// RegisterServer. Leases without an owner end only at their time.
func (s *Store) leaseOwner() string {
	if r := s.server.Load(); r != nil {
		return r.id
	}
	return ""
}
