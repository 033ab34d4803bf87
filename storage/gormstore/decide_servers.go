package gormstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/storage"
)

const (
	// beatInterval is how often a server shows that it runs.
	beatInterval = 2 * time.Second
	// silence is how long a server may show nothing until another one takes its
	// row for left behind.
	silence = 10 * time.Second
	// silencePoll is how often a new server looks meanwhile.
	silencePoll = 200 * time.Millisecond
	// tidyEvery is the number of beats after which a server looks for rows that
	// were left behind. They must not have moved since the last look.
	tidyEvery = 30
	// beatTimeout bounds one beat, so that a connection that froze does not end
	// them.
	beatTimeout = 5 * time.Second
)

// IssuerConflict says that a server with another issuer runs on the database.
type IssuerConflict struct{ Issuer string }

func (e IssuerConflict) Error() string {
	return fmt.Sprintf("a server with the issuer %s runs on this database", e.Issuer)
}

// Registration is a server in the list of those that run on the database.
type Registration struct {
	store  *Store
	id     string
	issuer string
	seen   map[string]serverRow // the other servers when they were last looked at
}

// serverRow is a row of the table servers.
type serverRow struct {
	ID     string `gorm:"column:id"`
	Issuer string `gorm:"column:issuer"`
	Beats  int64  `gorm:"column:beats"`
}

// RegisterServer adds a server with the issuer to those that run on the database.
// The error is an IssuerConflict if a server with another issuer runs: tokens of
// one would be worth nothing to the other. A server that was killed leaves its
// row behind. So if only rows that may be such are in the way, RegisterServer
// calls waiting with the other issuer, waits up to ten seconds for a sign of life,
// and removes them if there is none.
func (s *Store) RegisterServer(ctx context.Context, issuer string, waiting func(issuer string)) (*Registration, error) {
	id, err := storage.NewID(s.rand, "srv_")
	if err != nil {
		return nil, err
	}
	r := &Registration{store: s, id: id, issuer: issuer}
	first, err := r.insert(ctx, nil)
	conflict, ok := errors.AsType[IssuerConflict](err)
	if !ok {
		return r, err
	}
	waiting(conflict.Issuer)
	if err := s.awaitSilence(ctx, first, issuer); err != nil {
		return nil, err
	}
	_, err = r.insert(ctx, first)
	return r, err
}

// insert adds the row of the registration. If there are rows with another issuer
// it adds none and returns an IssuerConflict and those rows, by id. Rows that
// stand as they are in dead are removed first. Of servers that start at once one
// is first.
func (r *Registration) insert(ctx context.Context, dead map[string]serverRow) (others map[string]serverRow, err error) {
	s := r.store
	err = s.InTx(ctx, func(ctx context.Context) error {
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

// awaitSilence returns an IssuerConflict as soon as one of the servers, or a new
// one, shows that it runs with an issuer that is not the given one, and nil if
// none does in time.
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

// Keep shows that the server runs, until ctx ends or another server has removed
// its row, because it showed nothing for long, and runs with another issuer: then
// it returns an IssuerConflict. A database that does not answer is no reason to
// end.
func (r *Registration) Keep(ctx context.Context) error {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := r.beat(ctx)
		if conflict, ok := errors.AsType[IssuerConflict](err); ok {
			return conflict
		}
		if err == nil && n%tidyEvery == 0 {
			err = r.tidy(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.store.log.Debug().Err(err).Msg("a sign of life failed")
		}
	}
}

// beat counts the server's beats up, and adds its row again if it is gone. It
// goes to the pool itself, because it is not on behalf of a caller: see
// Config.OnStatement.
func (r *Registration) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	done, err := r.store.pools.write.ExecContext(ctx, r.store.dialect.bind("UPDATE servers SET beats = beats + 1 WHERE id = ?"), r.id)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = r.insert(ctx, nil)
	return err
}

// tidy removes the rows of other servers that have not moved since the last look.
func (r *Registration) tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	rows, err := query[serverRow](ctx, r.store, "servers", "SELECT id, issuer, beats FROM servers WHERE id <> ?", r.id)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if r.seen[row.ID] != row {
			continue
		}
		if _, err := r.store.exec(ctx, "remove server", "DELETE FROM servers WHERE id = ? AND beats = ?", row.ID, row.Beats); err != nil {
			return err
		}
	}
	r.seen = serversByID(rows)
	return nil
}

// End removes the server from the list, which a stopped server must do so that
// servers with another issuer can start at once.
func (r *Registration) End(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	_, err := r.store.exec(ctx, "remove server", "DELETE FROM servers WHERE id = ?", r.id)
	return err
}
