package surface

import (
	"errors"

	"latchkey/storage"
)

// Rewrite calls change, which reads a record, checks it against wanted and writes
// it. If somebody else changed the record in between, change returns
// storage.ErrStale and is called again, at most attempts times in all, so that no
// change is lost. With a wanted version (If-Match) it is called once.
func Rewrite(attempts int, wanted int64, change func() error) error {
	if wanted != 0 {
		return change()
	}
	for range attempts {
		if err := change(); !errors.Is(err, storage.ErrStale) {
			return err
		}
	}
	return storage.ErrStale
}
