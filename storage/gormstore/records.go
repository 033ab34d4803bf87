package gormstore

import (
	"context"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"latchkey/storage"
)

// stamps are the columns every configuration record ends with. (Named
// otherwise than GORM's own, which it would fill by itself.)
type stamps struct {
	Version int64 `gorm:"column:version"`
	Created int64 `gorm:"column:created_at"`
	Updated int64 `gorm:"column:updated_at"`
}

// record is a pointer to the row of a configuration record.
type record[R any] interface {
	*R
	TableName() string
	stamp() *stamps
	identity() (column, value string)
	// settable are the columns that an update sets.
	settable() columns
}

// put inserts the row or overwrites the settable columns of the one with its
// identity, in one statement, and reads back what is stored. With a version
// other than 0 it overwrites that version only, or answers storage.ErrStale;
// with storage.MustBeNew it overwrites nothing, or answers storage.ErrConflict.
func put[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	if _, ok := any(row).(switchable); !ok {
		return write(ctx, s, what, row)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := endIssued(ctx, s, what, row); err != nil {
			return err
		}
		return write(ctx, s, what, row)
	})
}

// write is put without the effect of a switch.
func write[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	row.stamp().Updated = micros(s.now())
	if row.stamp().Version > 0 {
		return overwrite(ctx, s, what, row)
	}
	if row.stamp().Created == 0 {
		row.stamp().Created = row.stamp().Updated
	}
	mustBeNew := row.stamp().Version == storage.MustBeNew
	row.stamp().Version = 1
	if mustBeNew {
		return s.create(ctx, what, row, false)
	}
	id, _ := row.identity()
	set := append(clause.AssignmentColumns(strings.Fields(string(row.settable()))),
		clause.AssignmentColumns([]string{"updated_at"})...)
	set = append(set, clause.Assignment{
		Column: clause.Column{Name: "version"},
		Value:  gorm.Expr(row.TableName() + ".version + 1"),
	})
	err := s.writing(ctx).Clauses(
		clause.OnConflict{Columns: []clause.Column{{Name: id}}, DoUpdates: set},
		clause.Returning{},
	).Create(row).Error
	return s.wrap(ctx, what, err)
}

// add inserts a row that must be new.
func add[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	row.stamp().Version = storage.MustBeNew
	return put(ctx, s, what, row)
}

// update overwrites the settable columns of the row with its identity within a
// transaction: with version 0 whatever its version, or it answers
// storage.ErrNotFound.
func update[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	if row.stamp().Version == 0 {
		column, id := row.identity()
		version, err := get[int64](ctx, s, what,
			"SELECT version FROM "+row.TableName()+" WHERE "+column+" = ?"+s.dialect.locks(), id)
		if err != nil {
			return err
		}
		row.stamp().Version = version
	}
	row.stamp().Updated = micros(s.now())
	if err := endIssued(ctx, s, what, row); err != nil {
		return err
	}
	return overwrite(ctx, s, what, row)
}

// switchable is a row that can be switched off and on. The column mark says
// since when what is issued for it is valid; also are further assignments that
// go with a new mark.
type switchable interface {
	switched() (on bool, mark, also string)
}

// endIssued moves the mark of a row that is about to be switched off or on to
// the next microsecond, within the transaction that writes the row: what was
// issued before stays ended when the row is switched on again. It does nothing
// for rows that cannot be switched.
func endIssued[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	of, ok := any(row).(switchable)
	if !ok {
		return nil
	}
	on, mark, also := of.switched()
	column, id := row.identity()
	now := micros(s.now()) + 1
	_, err := s.exec(ctx, what, "UPDATE "+row.TableName()+" SET "+mark+" = ?"+also+" WHERE "+column+" = ? AND active <> ? AND "+mark+" < ?",
		now, id, on, now)
	return err
}

func overwrite[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	column, id := row.identity()
	seen := row.stamp().Version
	row.stamp().Version++
	cols := append(strings.Fields(string(row.settable())), "version", "updated_at")
	stored := new(R)
	res := s.writing(ctx).Model(stored).Clauses(clause.Returning{}).
		Where(column+" = ? AND version = ?", id, seen).
		Select(cols).Updates(*row)
	if err := affected(res.RowsAffected, res.Error, storage.ErrStale); err != nil {
		return s.wrap(ctx, what, err)
	}
	*row = *stored
	return nil
}

// create inserts a row that must be new, or that may exist already.
func (s *Store) create(ctx context.Context, what string, row any, mayExist bool) error {
	db := s.writing(ctx)
	if mayExist {
		db = db.Clauses(clause.OnConflict{DoNothing: true})
	}
	return s.wrap(ctx, what, db.Create(row).Error)
}

// every is all columns of a configuration record.
func every[R any, P record[R]]() string {
	row := P(new(R))
	id, _ := row.identity()
	all := columns(id) + " " + row.settable()
	if of, ok := any(row).(switchable); ok {
		_, mark, _ := of.switched()
		all += columns(" " + mark)
	}
	return (all + " version created_at updated_at").list()
}

// selecting reads them.
func selecting[R any, P record[R]]() string {
	return "SELECT " + every[R, P]() + " FROM " + P(new(R)).TableName()
}

// find reads the configuration record of that identity or answers
// storage.ErrNotFound.
func find[R any, P record[R]](ctx context.Context, s *Store, what, id string) (R, error) {
	column, _ := P(new(R)).identity()
	return get[R](ctx, s, what, selecting[R, P]()+" WHERE "+column+" = ?", id)
}
