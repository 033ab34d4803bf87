package gormstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// counter records each statement that is sent to the database.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) add(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sql)
}

// during returns the statements of a call.
func (c *counter) during(t testing.TB, call func() error) []string {
	t.Helper()
	c.mu.Lock()
	c.seen = nil
	c.mu.Unlock()
	if err := call(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

var noon = time.Date(2031, 5, 17, 12, 0, 0, 0, time.UTC)

// seed adds the user bob with a code, and a security profile for buyers.
func seed(tb testing.TB, s *gormstore.Store) storage.LoginKey {
	tb.Helper()
	ctx := context.Background()
	fatal := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	_, err := s.PutAccount(ctx, storage.Account{UID: "acc", RealmID: "default", Kind: storage.Buyer, ID: "acc", Active: true})
	fatal(err)
	_, err = s.PutUser(ctx, storage.User{
		UID: "usr", RealmID: "default", Kind: storage.Buyer, AccountUID: "acc", ID: "bob",
		Email: "bob@example.com", EmailKey: "bob@example.com", Active: true,
	})
	fatal(err)
	_, err = s.PutLogin(ctx, storage.Login{
		ID: "lgn", ProfileID: "default", Username: "bob", UsernameKey: "bob", UserUID: "usr", Active: true,
		Code: storage.Code{
			ID: "code", Purpose: storage.PurposeSignIn, ExpiresAt: noon.Add(time.Hour), IssuedAt: noon,
			Digest: storage.Digest{PepperID: "p1"}, NameDigest: []byte("by name"),
		},
	})
	fatal(err)
	_, err = s.PutSecurityProfile(ctx, storage.SecurityProfile{ID: "sp", RealmID: "default", Roles: []string{"Shopper"}})
	fatal(err)
	fatal(s.AssignSecurityProfile(ctx, "sp", storage.KindParty(storage.Buyer)))
	_, err = s.PutClient(ctx, storage.Client{ID: "web", ProfileID: "default", Active: true})
	fatal(err)
	_, err = s.PutDeliveryConfig(ctx, storage.DeliveryConfig{ID: "dc", RealmID: "default", Enabled: true})
	fatal(err)
	return storage.LoginKey{ProfileID: "default", UsernameKey: "bob"}
}

// listening runs the store and returns when it serves from its cache. The channel gets an
// element after each change that the store learns of.
func listening(tb testing.TB, s *gormstore.Store) <-chan struct{} {
	tb.Helper()
	changes := make(chan struct{}, 1)
	s.OnChange(func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	<-changes
	return changes
}

func TestStatements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		key := seed(t, s)
		listening(t, s)
		ctx := context.Background()
		known := &storage.Source{ID: "src", Address: "203.0.113.7", SeenAt: noon}
		if err := s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", Remember: known, Now: noon}); err != nil {
			t.Fatal(err)
		}
		key.Source = known.Address
		var p storage.Principal
		principal := func() (err error) { p, err = s.Principal(ctx, key); return err }
		c.during(t, principal) // fill the cache

		settle := func(parts int) int {
			if s.Dialect() == "sqlite" {
				return parts + 2 // BEGIN and COMMIT are statements
			}
			return 1
		}
		notice := &storage.CodeRequest{ID: "notice", ExpiresAt: noon}
		elsewhere := key
		elsewhere.Source = "198.51.100.9"
		var stranger storage.Principal
		nobody := storage.Principal{Key: storage.LoginKey{ProfileID: "default", UsernameKey: "nobody"}}
		failure := storage.Lockout{Failures: 1, LastFailureAt: noon}
		family := &storage.TokenFamily{ID: "fam", AMR: []string{"otp"}, LoginID: "lgn", UserUID: "usr", AccountUID: "acc", Generation: 1, ExpiresAt: noon.Add(time.Hour)}
		next := &storage.TokenFamily{ID: "fam2", LoginID: "lgn", UserUID: "usr", Generation: 1, ExpiresAt: noon.Add(time.Hour)}
		ref := storage.TokenRef{JTI: "jti", FamilyID: "fam", UserUID: "usr", LoginID: "lgn", AccountUID: "acc", SourceID: "src"}
		for _, step := range []struct {
			name string
			want int
			call func() error
		}{
			{"Principal", 1, principal},
			{"Principal of nobody", 1, func() error { _, err := s.Principal(ctx, nobody.Key); return err }},
			{"RecordFailure from a source", settle(2), func() error { return s.RecordFailure(ctx, p, failure, nil) }},
			{"Principal from elsewhere", 1, func() (err error) { stranger, err = s.Principal(ctx, elsewhere); return err }},
			{"RecordFailure", settle(1), func() error { return s.RecordFailure(ctx, stranger, failure, nil) }},
			{"Principal once more", 1, principal},
			{"RecordFailure with a notice", settle(3), func() error { return s.RecordFailure(ctx, p, failure, notice) }},
			{"RecordFailure of nobody", settle(1), func() error { return s.RecordFailure(ctx, nobody, failure, nil) }},
			{"SettleLogin", settle(1), func() error {
				return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", Now: noon})
			}},
			{"SettleLogin with code and family", settle(2), func() error {
				return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", CodeID: "code", BeginFamily: family, Now: noon})
			}},
			{"SettleLogin from a source", settle(3), func() error {
				return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", SourceID: "src", BeginFamily: next, Now: noon})
			}},
			{"SettleLogin that remembers", settle(4), func() error {
				return s.SettleLogin(ctx, storage.Settlement{LoginID: "lgn", SourceID: "src", Remember: known, Now: noon})
			}},
			{"Family", 1, func() error { _, err := s.Family(ctx, "fam"); return err }},
			{"AdvanceFamily", settle(1), func() error {
				return s.AdvanceFamily(ctx, "fam", storage.FamilyAdvance{From: 1, Now: noon, IdleUntil: noon})
			}},
			{"TokenStatus", 1, func() error { _, err := s.TokenStatus(ctx, ref); return err }},
			{"PrincipalOf", 1, func() error { _, err := s.PrincipalOf(ctx, "lgn"); return err }},
			{"Members", 1, func() error { _, err := s.Members(ctx, "usr", 0, 25); return err }},
			{"Members of nobody", 2, func() error { _, err := s.Members(ctx, "nobody", 0, 25); return err }},
			{"Member", 1, func() error { _, err := s.Member(ctx, "usr", "acc"); return err }},
			{"AddCodeRequest", 1, func() error { return s.AddCodeRequest(ctx, storage.CodeRequest{ID: "r", ExpiresAt: noon}) }},
			{"ClaimCodeRequests", 1, func() error { _, err := s.ClaimCodeRequests(ctx, noon, noon, 200); return err }},
			{"EndUnknownRequests of hundreds", 1, func() error {
				_, err := s.EndUnknownRequests(ctx, make([]storage.RequestNames, 500))
				return err
			}},
			{"WaitingRequests", 1, func() error { _, err := s.WaitingRequests(ctx, noon, noon); return err }},
			{"SpendID", 1, func() error { return s.SpendID(ctx, []byte{1}, noon) }},
			{"RevokeUserTokens", 1, func() error { return s.RevokeUserTokens(ctx, "usr", noon) }},
			{"AddCodeRequest with limits", settle(2), func() error {
				return s.AddCodeRequest(ctx, storage.CodeRequest{ID: "r2", CreatedAt: noon, ExpiresAt: noon},
					storage.Charge{Key: "a", Gap: time.Second, Burst: 1}, storage.Charge{Key: "b", Gap: time.Second, Burst: 1})
			}},
		} {
			if got := c.during(t, step.call); len(got) != step.want {
				t.Errorf("%s took %d statements, want %d:\n%s", step.name, len(got), step.want, strings.Join(got, "\n"))
			}
		}
	})
}

// TestRedeemCodeStatements redeems a code in one statement on PostgreSQL, and in one
// transaction on SQLite.
func TestRedeemCodeStatements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		key := seed(t, s)
		listening(t, s)
		key.Source = "203.0.113.7"
		p, err := s.Principal(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		r := storage.Redemption{
			Key: key, NameDigest: storage.Digest{PepperID: "p1", Sum: []byte("by name")}, Purpose: storage.PurposeSignIn,
			Admission: storage.Admission{Kinds: []storage.UserKind{storage.Buyer}}, NewSourceID: "src",
			Grants: []storage.RoleGrant{{RoleSource: p.RoleSource}},
			Family: &storage.TokenFamily{ID: "fam", Generation: 1, ExpiresAt: noon.Add(time.Hour)}, Now: noon,
		}
		wrong := r
		wrong.NameDigest.Sum = []byte("wrong")
		for _, step := range []struct {
			r        storage.Redemption
			redeemed bool
			sqlite   int // statements, with BEGIN and COMMIT
		}{{wrong, false, 3}, {r, true, 6}, {r, false, 3}} {
			var ok bool
			want := map[string]int{"postgres": 1, "sqlite": step.sqlite}[s.Dialect()]
			got := c.during(t, func() (err error) { _, ok, err = s.RedeemCode(t.Context(), step.r); return err })
			if len(got) != want || ok != step.redeemed {
				t.Errorf("redeemed %v, want %v, with %d statements, want %d:\n%s", ok, step.redeemed, len(got), want, strings.Join(got, "\n"))
			}
		}
	})
}

// TestUseFamilyStatements uses a refresh token in one statement on PostgreSQL, and in one
// transaction on SQLite.
func TestUseFamilyStatements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		seed(t, s)
		listening(t, s)
		family := &storage.TokenFamily{ID: "fam", AMR: []string{"otp"}, LoginID: "lgn", UserUID: "usr", Generation: 1, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		if err := s.SettleLogin(t.Context(), storage.Settlement{LoginID: "lgn", BeginFamily: family, Now: noon}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Family(t.Context(), "fam"); err != nil { // fill the cache
			t.Fatal(err)
		}
		use := storage.FamilyUse{FamilyID: "fam", Generation: 1, Methods: []string{"otp"}, Admission: storage.Admission{Kinds: []storage.UserKind{storage.Buyer}}, Now: noon}
		for _, step := range []struct {
			used   bool
			sqlite int // statements, with BEGIN and COMMIT
		}{{true, 4}, {false, 3}} {
			var ok bool
			want := map[string]int{"postgres": 1, "sqlite": step.sqlite}[s.Dialect()]
			got := c.during(t, func() (err error) { _, ok, err = s.UseFamily(t.Context(), use); return err })
			if len(got) != want || ok != step.used {
				t.Errorf("used %v, want %v, with %d statements, want %d:\n%s", ok, step.used, len(got), want, strings.Join(got, "\n"))
			}
		}
	})
}

func TestCachedReadsTakeNoStatement(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		seed(t, s)
		ctx := context.Background()
		read := map[string]func() error{
			"Client":          func() error { _, err := s.Client(ctx, "WEB"); return err },
			"PasswordProfile": func() error { _, err := s.PasswordProfile(ctx, "default"); return err },
			"Senders":         func() error { _, err := s.Senders(ctx); return err },
			"DeliveryConfig":  func() error { _, err := s.DeliveryConfig(ctx, "dc"); return err },
		}
		for name, call := range read {
			for range 2 {
				if len(c.during(t, call)) == 0 {
					t.Errorf("%s was served from the cache while the store did not listen for changes", name)
				}
			}
		}
		listening(t, s)
		for name, call := range read {
			c.during(t, call) // fill the cache
			if got := c.during(t, call); len(got) > 0 {
				t.Errorf("%s took the statements %q, want none", name, got)
			}
		}
	})
}

// TestTransactionStatements tests that BEGIN, COMMIT and ROLLBACK count as statements.
func TestTransactionStatements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		ctx := context.Background()
		got := c.during(t, func() error {
			err := s.InTx(ctx, s.Ping)
			if err != nil {
				return err
			}
			if err := s.InTx(ctx, func(context.Context) error { return storage.ErrStale }); err == nil {
				t.Error("the transaction succeeded, want its error")
			}
			return nil
		})
		want := []string{"BEGIN", "SELECT 1", "COMMIT", "BEGIN", "ROLLBACK"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("statements (-want +got):\n%s", diff)
		}
	})
}
