package gormstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"latchkey/storage"
)

func sentinels() []error {
	return []error{
		storage.ErrNotFound, storage.ErrConflict, storage.ErrTooMany, storage.ErrStale,
		storage.ErrRefused, storage.ErrUnavailable,
	}
}

// disconnected reports whether the error says that no database answered, or none
// in time.
func disconnected(err error) bool {
	for _, known := range []error{
		context.DeadlineExceeded, os.ErrDeadlineExceeded, driver.ErrBadConn,
		sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error
	// database/sql has no sentinel error for a closed pool.
	return errors.As(err, &network) || strings.Contains(err.Error(), "sql: database is closed")
}

// affected returns otherwise if a conditional write succeeded and changed no row.
func affected(n int64, err, otherwise error) error {
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}
