package load

import (
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

var scaleRows = flag.Int("scale-rows", 1_000_000, "how many users, codes and families BenchmarkScale compares with 1,000")

const (
	// scaleBase is the number of users of the small database.
	scaleBase = 1000
	// scaleColumn is the index in loadColumns of the number of connections.
	scaleColumn = 1
)

// BenchmarkScale measures the hot paths with 1,000 users, codes and families and with
// many more, in turns, and prints the rates next to each other. Logins and families are
// picked from all of them.
func BenchmarkScale(b *testing.B) {
	binary := buildServer(b)
	var few, many []*target
	for _, database := range []string{"sqlite", "postgres"} {
		for _, rows := range []int{scaleBase, *scaleRows} {
			url := "sqlite:" + filepath.Join(b.TempDir(), "latchkey.db")
			if database == "postgres" {
				url = durablePostgres(b).Database(b)
			}
			s := newLoadFixture(b, url, 1, nil)
			s.multiply(b, url, rows)
			targets := s.targets(database, startServer(b, binary, url))
			if rows == scaleBase {
				few = append(few, targets...)
			} else {
				many = append(many, targets...)
			}
		}
	}
	for range *loadRounds {
		for i := range few {
			few[i].measure(scaleColumn, *loadTime/time.Duration(*loadRounds))
			many[i].measure(scaleColumn, *loadTime/time.Duration(*loadRounds))
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(w, "\npath\tdatabase\t%d users: req/s\t%d users: req/s\tslowdown\t\n", scaleBase, *scaleRows)
	for i := range few {
		slowdown := few[i].cells[scaleColumn].rate() / many[i].cells[scaleColumn].rate()
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.2f\t\n", few[i].path, few[i].database,
			few[i].cells[scaleColumn].rate(), many[i].cells[scaleColumn].rate(), slowdown)
	}
	_ = w.Flush()
}

// multiply makes rows copies of the only user, with login and token family, and leaves as
// many logins in s.logins as one measurement needs, spread over all of them.
func (s *loadFixture) multiply(b *testing.B, url string, rows int) {
	b.Helper()
	s.storeKnownCode(s.logins)
	began := s.logins[0]
	s.must(s.app.Store.SettleLogin(b.Context(), storage.Settlement{
		LoginID: began.ID, PasswordSetAt: began.PasswordSetAt, Now: time.Now().UTC(),
		BeginFamily: &storage.TokenFamily{
			ID: "family", ClientID: s.shop.ID, UserUID: began.UserUID, LoginID: began.ID, SeedDigest: make([]byte, 32), Generation: 1,
			CreatedAt: time.Now().UTC(), ExpiresAt: time.Now().UTC().Add(time.Hour),
		},
	}))
	driver, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, source)
	s.must(err)
	defer db.Close() //nolint:errcheck // only for these rows
	name := func(prefix string) string { return "'" + prefix + "copy' || n.i" }
	for _, t := range []struct {
		table string
		of    map[string]string // the columns that differ
	}{
		{"users", map[string]string{"uid": name("usr_"), "id": name(""), "email": name("") + " || '@example.com'", "email_key": name("") + " || '@example.com'"}},
		{"logins", map[string]string{"id": name("lgn_"), "username": name(""), "username_key": name(""), "user_uid": name("usr_")}},
		{"families", map[string]string{"id": name("fam_"), "login_id": name("lgn_"), "user_uid": name("usr_")}},
		{"issued_codes", map[string]string{"id": name("otc_"), "login_id": name("lgn_")}},
	} {
		s.must(kit.CopyRow(b.Context(), db, t.table, "1 = 1", t.of, rows))
	}
	_, err = db.ExecContext(b.Context(), "ANALYZE")
	s.must(err)
	s.logins = nil
	for i := range min(rows, loadLogins) {
		id := fmt.Sprint("copy", 1+i*(rows/min(rows, loadLogins)))
		s.logins = append(s.logins, storage.Login{ID: "lgn_" + id, ProfileID: storage.DefaultProfileID, Username: id, UsernameKey: id})
	}
}
