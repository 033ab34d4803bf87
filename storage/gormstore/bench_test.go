package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
)

// syncedPostgres is a PostgreSQL server that waits for the disk at each commit, as one in
// production does. The server of the tests does not wait.
var syncedPostgres = pgtest.Shared(pgtest.Config{Migrate: gormtest.Migrate})

// onEach runs a benchmark on both databases with the settings of production.
func onEach(b *testing.B, bench func(b *testing.B, s *gormstore.Store, key storage.LoginKey)) {
	for dialect, url := range map[string]func() string{
		"sqlite":   func() string { return gormtest.SQLite(b) },
		"postgres": func() string { return syncedPostgres(b).Database(b) },
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

// BenchmarkSettleLogin signs in different users. So it measures the statement, and not the
// queue for one row.
func BenchmarkSettleLogin(b *testing.B) { benchSettleLogin(b, nil) }

// BenchmarkSettleFromSource signs in different users from an address that is known.
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

// BenchmarkRecords reads and writes configuration records without the cache.
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
				// Transactions do not read from the cache.
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

// BenchmarkRedeemCode redeems the codes of different logins, in one statement and in two steps.
func BenchmarkRedeemCode(b *testing.B) {
	for name, steps := range map[string]int{"one": 1, "two": 2} {
		b.Run(name, func(b *testing.B) {
			onEach(b, func(b *testing.B, s *gormstore.Store, _ storage.LoginKey) { benchRedeemCode(b, s, steps) })
		})
	}
}

func benchRedeemCode(b *testing.B, s *gormstore.Store, steps int) {
	b.StopTimer()
	ctx := context.Background()
	err := s.InTx(ctx, func(ctx context.Context) error {
		for i := range b.N {
			name := fmt.Sprint(b.Name(), b.N, "-", i)
			_, err := s.PutLogin(ctx, storage.Login{
				ID: name, ProfileID: "default", UsernameKey: name, UserUID: "usr", Active: true,
				Code: storage.Code{
					ID: "code", Purpose: storage.PurposeSignIn, IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
					Digest: storage.Digest{PepperID: "p1"}, NameDigest: []byte("by name"),
				},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.StartTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := fmt.Sprint(b.Name(), b.N, "-", n.Add(1)-1)
			if err := redeemIn(ctx, s, name, steps); err != nil {
				b.Error(err)
			}
		}
	})
}

// redeemIn redeems the code of the login with that name and ID, in one or two steps.
func redeemIn(ctx context.Context, s *gormstore.Store, name string, steps int) error {
	key := storage.LoginKey{ProfileID: "default", UsernameKey: name}
	family := &storage.TokenFamily{
		ID: "fam" + name, UserUID: "usr", LoginID: name, Scope: []string{"Shopper"},
		SeedDigest: make([]byte, 32), ExpiresAt: noon.Add(time.Hour), CreatedAt: noon,
	}
	if steps == 2 {
		if _, err := s.Principal(ctx, key); err != nil {
			return err
		}
		return s.SettleLogin(ctx, storage.Settlement{LoginID: name, CodeID: "code", BeginFamily: family, Now: noon})
	}
	_, ok, err := s.RedeemCode(ctx, storage.Redemption{
		Key: key, NameDigest: storage.Digest{PepperID: "p1", Sum: []byte("by name")}, Purpose: storage.PurposeSignIn,
		Admission: storage.Admission{Kinds: []storage.UserKind{storage.Buyer}}, Grants: []storage.RoleGrant{{RoleSource: "\nsp"}}, Family: family, Now: noon,
	})
	if err == nil && !ok && s.Dialect() == "postgres" {
		err = errors.New("the code was not redeemed")
	}
	return err
}
