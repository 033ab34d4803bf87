package gormstore_test

import (
	"context"
	"testing"

	"latchkey/storage/gormstore"
)

// TestWorkIsTold has a store hear of the work of others, and not of its own.
func TestWorkIsTold(t *testing.T) {
	t.Parallel()
	url := postgres(t).Database(t)
	here, there := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
	heard := make(chan string, 10)
	here.OnWork(func() { heard <- "here" })
	there.OnWork(func() { heard <- "there" })
	listening(t, here)
	listening(t, there)
	for _, tell := range []struct {
		from *gormstore.Store
		want string
	}{{here, "there"}, {there, "here"}, {here, "there"}, {there, "here"}} {
		if err := tell.from.TellOthers(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != tell.want {
			t.Fatalf("%s heard, want %s", got, tell.want)
		}
	}
	// A store that does not run has no connection of its own to be known by.
	if err := open(t, gormstore.Config{URL: url}).TellOthers(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{<-heard: true, <-heard: true}
	if !got["here"] || !got["there"] || len(heard) != 0 {
		t.Errorf("heard %v and %d more", got, len(heard))
	}
}

// TestWorkOnSQLite sees that telling does no harm.
func TestWorkOnSQLite(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: sqliteFile(t)})
	if err := s.TellOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
}
