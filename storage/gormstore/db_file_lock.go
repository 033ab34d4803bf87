package gormstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// shareFile takes the shared lock of a file and returns a function that releases it. It
// creates the file if it is missing and never deletes it. alone reports whether no other
// process had the lock. The lock ends with the process that holds it. shareFile must not be
// called concurrently.
func shareFile(path string) (unlock func() error, alone bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return func() error { return nil }, false, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	alone = err == nil
	if alone || errors.Is(err, unix.EWOULDBLOCK) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	}
	if err != nil {
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	return file.Close, alone, err
}

// lockFile takes the exclusive lock of a file and returns a function that releases it. It
// creates the file if it is missing and never deletes it. The lock ends with the process
// that holds it. It polls instead of blocking, so that ctx can end the wait.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file.Close, nil // closing releases
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, ctx.Err()), file.Close())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
