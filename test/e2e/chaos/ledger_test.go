package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// slack is added to the guaranteed times, because the machine may be busy.
const slack = 2 * time.Second

// takeover is the time before its expiry at which a code is delivered at the latest, if
// everything runs until then.
const takeover = 5*time.Second + slack

// stored is a request in the database with its code and its message.
type stored struct {
	trace, username      string
	seq                  int64
	createdAt, expiresAt time.Time
	superseded           bool
	issuedAt             time.Time // time of the code; zero means no code
	redeemedAt           time.Time
	retiredAt            time.Time
	state, lastError     string // state and error of the message
}

// query returns the rows of a query.
func query[T any](t *testing.T, url, sql string, row pgx.RowToFunc[T]) []T {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the rows have been read
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, row)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// count returns the number that a query selects.
func (c *run) count(sql string) int {
	c.Helper()
	return query(c.T, c.w.DatabaseURL, sql, pgx.RowTo[int])[0]
}

// ledger reads all requests, by their correlation IDs. If a code is the last one of its login,
// its redemption is stored with the login.
func (c *run) ledger() map[string]stored {
	c.Helper()
	all := map[string]stored{}
	for _, s := range query(c.T, c.w.DatabaseURL, `SELECT r.trace_id, r.username, r.seq, r.created_at, r.expires_at, r.superseded,
			coalesce(c.issued_at, 0), greatest(coalesce(c.redeemed_at, 0), coalesce(l.code_used_at, 0)), coalesce(c.retired_at, 0),
			coalesce(m.state, 'none'), coalesce(m.last_error, '')
		FROM code_requests r LEFT JOIN issued_codes c ON c.request_id = r.id
		LEFT JOIN logins l ON l.code_id = c.id LEFT JOIN messages m ON m.request_id = r.id`, storedRow) {
		if _, twice := all[s.trace]; twice {
			c.Errorf("request %s has two codes or messages", s.trace)
		}
		all[s.trace] = s
	}
	return all
}

func storedRow(row pgx.CollectableRow) (s stored, err error) {
	var created, expires, issued, redeemed, retired int64
	err = row.Scan(&s.trace, &s.username, &s.seq, &created, &expires, &s.superseded,
		&issued, &redeemed, &retired, &s.state, &s.lastError)
	s.createdAt, s.expiresAt = time.UnixMicro(created), time.UnixMicro(expires)
	s.issuedAt, s.redeemedAt, s.retiredAt = instant(issued), instant(redeemed), instant(retired)
	return s, err
}

func instant(micros int64) (at time.Time) {
	if micros > 0 {
		at = time.UnixMicro(micros)
	}
	return at
}

func (s stored) String() string {
	clock := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format("15:04:05.000")
	}
	return fmt.Sprintf("request %s (number %d): created %s, expires %s, superseded %t, code issued %s, redeemed %s, retired %s, message %s %q",
		s.trace, s.seq, clock(s.createdAt), clock(s.expiresAt), s.superseded,
		clock(s.issuedAt), clock(s.redeemedAt), clock(s.retiredAt), s.state, s.lastError)
}
