package gormstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// durable is a server that keeps its word, for measurements.
var durable = pgtest.Shared(pgtest.Config{Migrate: migrate})

// onEach runs a benchmark on both databases, as a server uses them.
func onEach(b *testing.B, bench func(b *testing.B, s *gormstore.Store, key storage.LoginKey)) {
	for dialect, url := range map[string]func() string{
		"sqlite":   func() string { return sqliteFile(b) },
		"postgres": func() string { return durable(b).Database(b) },
	} {
		b.Run(dialect, func(b *testing.B) {
			s := open(b, gormstore.Config{URL: url()})
			key := seed(b, s)
			listening(b, s)
			b.SetParallelism(4)
			b.ResetTimer()
			bench(b, s, key)
		})
	}
}

func BenchmarkPrincipal(b *testing.B) {
	onEach(b, func(b *testing.B, s *gormstore.Store, key storage.LoginKey) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Principal(context.Background(), key); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkSettleLogin has different users sign in, so that it measures the
// statement and not the queue for one row.
func BenchmarkSettleLogin(b *testing.B) { benchSettleLogin(b, nil) }

// BenchmarkSettleFromSource does so from an address that is known.
func BenchmarkSettleFromSource(b *testing.B) {
	benchSettleLogin(b, &storage.Source{Address: "203.0.113.7", SeenAt: noon})
}

func benchSettleLogin(b *testing.B, from *storage.Source) {
	const users = 64
	onEach(b, func(b *testing.B, s *gormstore.Store, _ storage.LoginKey) {
		for i := range users {
			name := fmt.Sprint("u", i)
			_, err := s.PutLogin(context.Background(), storage.Login{
				ID: name, ProfileID: "default", UsernameKey: name, UserUID: "usr", Active: true,
			})
			if err != nil {
				b.Fatal(err)
			}
			if from == nil {
				continue
			}
			known := *from
			known.ID = name
			if err := s.SettleLogin(context.Background(), storage.Settlement{LoginID: name, Remember: &known, Now: noon}); err != nil {
				b.Fatal(err)
			}
		}
		var n atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := n.Add(1)
				login := fmt.Sprint("u", i%users)
				sourceID := ""
				if from != nil {
					sourceID = login
				}
				err := s.SettleLogin(context.Background(), storage.Settlement{
					LoginID: login, SourceID: sourceID, Now: noon,
					BeginFamily: &storage.TokenFamily{
						ID: fmt.Sprintf("%s-%d", b.Name(), i), UserUID: "usr", LoginID: login, Scope: []string{"Shopper"},
						SeedDigest: make([]byte, 32), ExpiresAt: noon.Add(time.Hour), CreatedAt: noon,
					},
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkRecords reads and writes configuration records past the memory.
func BenchmarkRecords(b *testing.B) {
	onEach(b, func(b *testing.B, s *gormstore.Store, _ storage.LoginKey) {
		ctx := context.Background()
		client, err := s.Client(ctx, "web")
		if err != nil {
			b.Fatal(err)
		}
		for name, call := range map[string]func(ctx context.Context) error{
			"User":   func(ctx context.Context) error { _, err := s.UserByUID(ctx, "usr"); return err },
			"Client": func(ctx context.Context) error { _, err := s.Client(ctx, "web"); return err },
			"ListUsers": func(ctx context.Context) error {
				_, err := s.ListUsers(ctx, storage.UserScope{RealmID: "default"}, storage.Query{Limit: 20})
				return err
			},
			"PutClient": func(ctx context.Context) error { client.Version = 0; _, err := s.PutClient(ctx, client); return err },
		} {
			b.Run(name, func(b *testing.B) {
				// Within a transaction nothing comes from the memory.
				err := s.InTx(ctx, func(ctx context.Context) error {
					for b.Loop() {
						if err := call(ctx); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		}
	})
}
