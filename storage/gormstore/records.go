package gormstore

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"latchkey/storage"
)

// stamps are the columns that every configuration record ends with. GORM would
// set fields named CreatedAt and UpdatedAt itself, so these have other names.
type stamps struct {
	Version int64 `gorm:"column:version" list:"Version"`
	Created int64 `gorm:"column:created_at;<-:create" list:"CreatedAt,time"`
	Updated int64 `gorm:"column:updated_at" list:"UpdatedAt,time"`
}

// record is a pointer to the row of a configuration record. The tags of the row
// name each column once. The primary key identifies the record, and an update
// leaves the columns with "<-:create" as they are.
type record[R any] interface {
	*R
	TableName() string
	stamp() *stamps
}

// first reads the row that the condition selects or returns storage.ErrNotFound.
func first[R any](ctx context.Context, s *Store, what, where string, args ...any) (R, error) {
	return take(ctx, s, what, s.reading(ctx).Where(where, args...), new(R))
}

// locked is first for a row that nobody else may change before the transaction
// ends.
func locked[R any](ctx context.Context, s *Store, what, where string, args ...any) (R, error) {
	return take(ctx, s, what, s.locking(ctx).Where(where, args...), new(R))
}

// take reads the row of a unique key into row. It does not use GORM's Take, which passes
// LIMIT as a parameter: SQLite would then plan the statement at each call.
func take[R any](ctx context.Context, s *Store, what string, db *gorm.DB, row *R) (R, error) {
	began := s.now()
	done := db.Find(row)
	s.observed(ctx, what, began, done.Error)
	return *row, s.wrap(ctx, what, affected(done.RowsAffected, done.Error, storage.ErrNotFound))
}

// find reads the rows that the condition selects, all of them if it is empty.
func find[R any](ctx context.Context, s *Store, what, order, where string, args ...any) ([]R, error) {
	var rows []R
	began := s.now()
	err := s.reading(ctx).Where(where, args...).Order(order).Find(&rows).Error
	s.observed(ctx, what, began, err)
	return rows, s.wrap(ctx, what, err)
}

// pluck reads one column of text of the rows that the condition selects, in its
// order.
func pluck[R any](db *gorm.DB, column, where string, args ...any) ([]string, error) {
	var values []string
	err := db.Model(new(R)).Where(where, args...).Order(column).Pluck(column, &values).Error
	return values, err
}

// recordsOf converts rows into records.
func recordsOf[W, R any](rows []W, record func(*W) R) []R {
	records := make([]R, len(rows))
	for i := range rows {
		records[i] = record(&rows[i])
	}
	return records
}

// locking reads rows that nobody else may change before the transaction ends.
func (s *Store) locking(ctx context.Context) *gorm.DB { return s.dialect.lockRows(s.writing(ctx)) }

// put inserts the row or overwrites the one with its primary key, in one statement, and
// reads back what is stored. With a version above 0 it overwrites only that version, and
// returns storage.ErrStale for another one. With storage.MustBeNew it never overwrites, and
// returns storage.ErrConflict if the row exists.
func put[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	if err := s.checkKey(ctx, what, row); err != nil {
		return err
	}
	if _, ok := any(row).(switchable); !ok {
		return write(ctx, s, what, row)
	}
	given := *row
	return s.InTx(ctx, func(ctx context.Context) error {
		*row = given // an earlier attempt may have written to it
		if err := endIssued(ctx, s, what, row); err != nil {
			return err
		}
		return write(ctx, s, what, row)
	})
}

// write is put without endIssued.
func write[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	stamp := row.stamp()
	if stamp.Version > 0 {
		return overwrite(ctx, s, what, row)
	}
	stamp.Updated = micros(s.now())
	if stamp.Created == 0 {
		stamp.Created = stamp.Updated
	}
	mustBeNew := stamp.Version == storage.MustBeNew
	stamp.Version = 1
	db := s.writing(ctx)
	if !mustBeNew {
		described, err := s.describe(row)
		if err != nil {
			return err
		}
		db = db.Clauses(onConflictOverwrite(described), clause.Returning{})
	}
	began := s.now()
	err := db.Create(row).Error
	s.observed(ctx, what, began, err)
	return s.wrapRow(ctx, what, row, err)
}

// describe returns GORM's schema of a row, which comes from its tags.
func (s *Store) describe(row any) (*schema.Schema, error) {
	described := gorm.Statement{DB: s.writer}
	err := described.Parse(row)
	return described.Schema, err
}

// onConflictOverwrite overwrites the row with the same primary key by the one to
// insert, as overwrite does.
func onConflictOverwrite(row *schema.Schema) clause.OnConflict {
	var conflict clause.OnConflict
	var overwritten []string
	for _, name := range row.DBNames {
		switch field := row.FieldsByDBName[name]; {
		case field.PrimaryKey:
			conflict.Columns = append(conflict.Columns, clause.Column{Name: name})
		case field.Updatable && name != "version":
			overwritten = append(overwritten, name)
		}
	}
	conflict.DoUpdates = append(clause.AssignmentColumns(overwritten), clause.Assignment{
		Column: clause.Column{Name: "version"},
		Value:  gorm.Expr(row.Table + ".version + 1"),
	})
	return conflict
}

// add inserts a row that must be new.
func add[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	row.stamp().Version = storage.MustBeNew
	return put(ctx, s, what, row)
}

// addMissing inserts a row unless the table has one that conflicts with it.
func addMissing[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	stamp := row.stamp()
	stamp.Version, stamp.Updated = 1, micros(s.now())
	if stamp.Created == 0 {
		stamp.Created = stamp.Updated
	}
	return s.wrapRow(ctx, what, row, s.writing(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(row).Error)
}

// update overwrites the row with the primary key of row, within a transaction. With version
// 0 it overwrites any version, and returns storage.ErrNotFound if there is no such row.
// With any other version it returns storage.ErrStale unless the row has that version.
func update[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	if row.stamp().Version == 0 {
		key := *row // GORM selects by its primary key
		stored, err := take(ctx, s, what, s.locking(ctx), &key)
		if err != nil {
			return err
		}
		row.stamp().Version = P(&stored).stamp().Version
	}
	if err := endIssued(ctx, s, what, row); err != nil {
		return err
	}
	return overwrite(ctx, s, what, row)
}

// overwrite writes the row over the one with its primary key and version, or
// returns storage.ErrStale.
func overwrite[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	stamp := row.stamp()
	seen := stamp.Version
	stamp.Version, stamp.Updated = seen+1, micros(s.now())
	began := s.now()
	done := s.writing(ctx).Model(row).Clauses(clause.Returning{}).Where("version = ?", seen).Select("*").Updates(row)
	s.observed(ctx, what, began, done.Error)
	return s.wrapRow(ctx, what, row, affected(done.RowsAffected, done.Error, storage.ErrStale))
}

// switchable is a row that can be deactivated and activated. Tokens and codes that were
// issued for it before the time in the column mark are not valid. also has further SQL
// assignments for the statement that sets mark.
type switchable interface {
	switched() (id string, on bool, mark, also string)
}

// endIssued sets the mark of a row that is about to be deactivated or activated to the next
// microsecond, within the transaction that writes the row. So the tokens and codes issued
// before stay invalid when the row is activated again. It does nothing for rows that are
// not switchable.
func endIssued[R any, P record[R]](ctx context.Context, s *Store, what string, row P) error {
	of, ok := any(row).(switchable)
	if !ok {
		return nil
	}
	described, err := s.describe(row)
	if err != nil {
		return err
	}
	id, on, mark, also := of.switched()
	now := micros(s.now()) + 1
	_, err = s.exec(ctx, what, "UPDATE "+described.Table+" SET "+mark+" = ?"+also+
		" WHERE "+described.PrimaryFieldDBNames[0]+" = ? AND active <> ? AND "+mark+" < ?", now, id, on, now)
	return err
}
