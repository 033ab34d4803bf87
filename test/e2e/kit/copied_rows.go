package kit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CopyRow inserts n copies of a row of a table: of any row for which the SQL condition
// where is true. of has the SQL of the columns that differ, where n.i counts the copies
// from 1, and t is the row.
func CopyRow(ctx context.Context, db *sql.DB, table, where string, of map[string]string, n int) error {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		return err
	}
	columns, err := rows.Columns()
	if err := rows.Close(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	values := slices.Clone(columns)
	for i, column := range columns {
		if values[i] = of[column]; values[i] == "" {
			values[i] = "t." + column
		}
	}
	result, err := db.ExecContext(ctx, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s WHERE %s LIMIT 1) t, n`,
		n, table, strings.Join(columns, ", "), strings.Join(values, ", "), table, where))
	if err != nil {
		return fmt.Errorf("copy a row of %s: %w", table, err)
	}
	if copied, err := result.RowsAffected(); err != nil || copied != int64(n) {
		return errors.Join(fmt.Errorf("copy a row of %s: got %d copies, want %d", table, copied, n), err)
	}
	return nil
}
