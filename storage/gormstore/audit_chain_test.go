package gormstore_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// auditKeys are secrets by their ids; "k1" is the current one.
type auditKeys map[string]string

func (auditKeys) CurrentID() string { return "k1" }

func (k auditKeys) MAC(keyID, purpose string, data []byte) ([]byte, bool) {
	secret, ok := k[keyID]
	if !ok {
		return nil, false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d %s", len(purpose), purpose)
	mac.Write(data)
	return mac.Sum(nil), true
}

// addChainedEvents writes ten events and returns the head of the chain. Object of the n-th
// event is n. Events 1, 4 to 6 and 8 to 10 are stored in batches. The others are chained
// singly, as earlier versions of the server do.
func addChainedEvents(t *testing.T, s *gormstore.Store) storage.AuditHead {
	t.Helper()
	var err error
	write := func(add func([]storage.AuditEvent) error, from, to int) {
		var events []storage.AuditEvent
		for n := from; n <= to; n++ {
			events = append(events, storage.AuditEvent{Time: noon.Add(time.Duration(n) * time.Second), Action: "sign_in", Outcome: "wrong_credentials", Object: fmt.Sprint(n)})
		}
		err = errors.Join(err, add(events))
	}
	singly := func(events []storage.AuditEvent) error { return s.AddSingly(t.Context(), events...) }
	batch := func(events []storage.AuditEvent) error { return s.AddAuditEvents(t.Context(), events) }
	write(batch, 1, 1)
	write(singly, 2, 3)
	write(batch, 4, 6)
	write(singly, 7, 7)
	write(batch, 8, 10)
	head, headErr := s.AuditHead(t.Context())
	if err = errors.Join(err, headErr); err != nil || head.Seq != 10 {
		t.Fatalf("head %+v, error %v", head, err)
	}
	return head
}

// tampering is a manipulation of the audit tables by somebody with access to the database.
type tampering struct {
	name string
	sql  []string
	seq  int64  // number of the event at which Verify reports the break
	why  string // part of the reason it reports
}

// asEvent returns a statement that inserts a copy of event 5 with another number, batch and ID.
func asEvent(seq int, batch, id string) string {
	return fmt.Sprintf(`INSERT INTO audit_events (id, time, action, outcome, client_id, user_uid, username, factor, trace_id, source, object, took, seq, batch, key_id, mac)
		SELECT %s, time, action, outcome, client_id, user_uid, username, factor, trace_id, source, object, took, %d, %s, key_id, mac
		FROM audit_events WHERE object = '5'`, id, seq, batch)
}

func tamperings() []tampering {
	const cut = "UPDATE audit_chain SET seq = 9, mac = (SELECT mac FROM audit_events WHERE object = '9')"
	const changed, record = "not what was written", "the record of its batch"
	erased := "UPDATE audit_chain SET seq = 0, mac = %s, stamp = 0, swept = 0, swept_mac = %[1]s, outside = 0, key_id = '', seal = %[1]s"
	list := []tampering{
		{"two rows are swapped", []string{
			"UPDATE audit_events SET object = 'x' WHERE object = '4'", "UPDATE audit_events SET object = '4' WHERE object = '5'",
			"UPDATE audit_events SET object = '5' WHERE object = 'x'",
		}, 4, changed},
		{"two numbers are swapped", []string{"UPDATE audit_events SET seq = 3 - seq WHERE object IN ('4', '5')"}, 4, "missing"},
		{"two numbers without a batch are swapped", []string{"UPDATE audit_events SET seq = 5 - seq WHERE object IN ('2', '3')"}, 2, "missing"},
		{"text moves to the next field", []string{"UPDATE audit_events SET outcome = 'wrong_', client_id = 'credentials' WHERE object = '3'"}, 3, changed},
		{"a middle row is deleted", []string{"DELETE FROM audit_events WHERE object = '5'"}, 5, "missing"},
		{"and the others move up", []string{
			"DELETE FROM audit_events WHERE object = '5'", "UPDATE audit_events SET seq = 2 WHERE object = '6'", "UPDATE audit_batches SET events = 2 WHERE seq = 6",
		}, 4, "missing"},
		{"the newest is deleted", []string{"DELETE FROM audit_events WHERE object = '10'"}, 10, "missing"},
		{"the newest is deleted, and the end moved", []string{cut, "DELETE FROM audit_events WHERE object = '10'"}, 9, "was changed"},
		{"the oldest is deleted", []string{"DELETE FROM audit_events WHERE object = '1'"}, 1, "missing"},
		{"the oldest is deleted, and the beginning moved", []string{
			"UPDATE audit_chain SET swept = 1, swept_mac = (SELECT mac FROM audit_batches WHERE seq = 1)", "DELETE FROM audit_events WHERE object = '1'",
		}, 10, "was changed"},
		{"all are deleted", []string{"DELETE FROM audit_events"}, 1, "missing"},
		{"all are deleted, and the chain erased", []string{"DELETE FROM audit_events", erased}, 1, "erased"},
		{"the chain is erased", []string{erased}, 1, "erased"},
		{"the chain is deleted", []string{"DELETE FROM audit_chain"}, 0, "not known"},
		{"a batch is deleted", []string{"DELETE FROM audit_events WHERE object IN ('4', '5', '6')", "DELETE FROM audit_batches WHERE seq = 6"}, 4, "missing; 7 comes next"},
		{"the last batch is deleted", []string{"DELETE FROM audit_events WHERE object IN ('8', '9', '10')", "DELETE FROM audit_batches WHERE seq = 10"}, 8, "missing"},
		{"the record of a batch is deleted", []string{"DELETE FROM audit_batches WHERE seq = 6"}, 4, "missing"},
		{"the records of all batches are deleted", []string{"DELETE FROM audit_batches"}, 1, "missing"},
		{"two batches are swapped", []string{"UPDATE audit_batches SET seq = 16 - seq WHERE seq > 1"}, 4, record},
		{"a batch is repeated", []string{"INSERT INTO audit_batches SELECT id + 1, 13, events, key_id, first_id, last_id, mac FROM audit_batches WHERE seq = 10"}, 0, "have 10 events, and should have 7"},
		{"a batch takes the events of another", []string{"UPDATE audit_batches SET id = id + 1 WHERE seq = 6", "UPDATE audit_batches SET id = (SELECT batch FROM audit_events WHERE object = '4') WHERE seq = 10"}, 4, "missing"},
		{"an event moves to another batch", []string{"UPDATE audit_events SET batch = (SELECT id FROM audit_batches WHERE seq = 10) WHERE object = '6'"}, 6, "missing"},
		{"a forged row comes last", []string{asEvent(11, "0", "'aud_zzz'")}, 0, "1 events have numbers"},
		{"a forged row stands beside another", []string{asEvent(2, "batch", "id || 'z'")}, 6, "an event 5 in its place"},
		{"a forged row stands beside another, elsewhere", []string{asEvent(2, "batch", "'aud_zzz'")}, 0, "1 events have numbers"},
		{"a forged row comes after those of a batch", []string{asEvent(4, "batch", "id || 'z'")}, 6, "missing; 7 comes next"},
		{"a forged row has a batch that does not exist", []string{asEvent(1, "4711", "'aud_zzz'")}, 0, "1 events have numbers"},
		{"a forged row comes first", []string{asEvent(2, "0", "'aud_'")}, 2, changed},
		{"a forged row has a number below all", []string{asEvent(-3, "0", "'aud_'")}, 2, "an event -3 in its place"},
		{"a forged row is outside of the chain", []string{asEvent(0, "0", "'aud_'")}, 0, "1 events outside of the chain"},
		{"a row is put outside of the chain", []string{"UPDATE audit_events SET seq = 0, batch = 0 WHERE object = '5'"}, 5, "missing"},
		{"the MAC is of another row", []string{"UPDATE audit_events SET mac = (SELECT mac FROM audit_events WHERE object = '2') WHERE object = '5'"}, 5, changed},
		{"the secret is another", []string{"UPDATE audit_events SET key_id = 'k9' WHERE object = '5'"}, 5, `under the secret "k9", which is not known`},
		{"the secret is an older one", []string{"UPDATE audit_events SET key_id = 'k0' WHERE object = '7'"}, 7, changed},
		{"the secret of a batch is another", []string{"UPDATE audit_batches SET key_id = 'k9' WHERE seq = 6"}, 4, `under the secret "k9", which is not known`},
		{"the secret of a batch is an older one", []string{"UPDATE audit_batches SET key_id = 'k0' WHERE seq = 6"}, 4, record},
		{"a batch has fewer events", []string{"UPDATE audit_batches SET events = 2 WHERE seq = 10"}, 8, "missing"},
		{"a batch begins earlier", []string{"UPDATE audit_batches SET first_id = 'aud_' WHERE seq = 6"}, 4, record},
		{"a batch ends later", []string{"UPDATE audit_batches SET last_id = 'aud_zzz' WHERE seq = 6"}, 4, record},
		{"a batch ends earlier", []string{"UPDATE audit_batches SET last_id = first_id WHERE seq = 6"}, 5, "missing"},
		{"the MAC of a batch is another", []string{"UPDATE audit_batches SET mac = (SELECT mac FROM audit_events WHERE object = '6') WHERE seq = 6"}, 4, record},
	}
	for _, column := range []string{"id", "action", "outcome", "client_id", "user_uid", "username", "factor", "trace_id", "source", "object"} {
		list = append(list, tampering{column + " is changed", []string{"UPDATE audit_events SET " + column + " = " + column + " || '!' WHERE object = '5'"}, 5, changed})
	}
	for _, column := range []string{"time", "took"} {
		list = append(list, tampering{column + " is changed", []string{"UPDATE audit_events SET " + column + " = " + column + " + 1 WHERE object = '5'"}, 5, changed})
	}
	return list
}

// TestTamperingIsNoticed changes the audit tables as somebody without the secret can.
// Verification must name the first event that is wrong.
func TestTamperingIsNoticed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, db := open(t, gormstore.Config{URL: url}), direct(t, url)
		s.ChainAuditEvents(auditKeys{"k1": "secret", "k0": "older"})
		head := addChainedEvents(t, s)
		tables := []string{"audit_events", "audit_batches", "audit_chain"}
		for _, table := range tables {
			execute(t, db, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
		}
		none := "''::bytea"
		if s.Dialect() == "sqlite" {
			none = "X''"
		}
		for _, x := range tamperings() {
			for _, statement := range x.sql {
				if strings.Contains(statement, "%") {
					statement = fmt.Sprintf(statement, none)
				}
				execute(t, db, statement)
			}
			v := verified(t, s, storage.AuditHead{})
			if v.Break == nil || v.Break.Seq != x.seq || !strings.Contains(v.Break.Why, x.why) {
				t.Errorf("%s: got %+v, want %q at %d", x.name, v.Break, x.why, x.seq)
			}
			if v := verified(t, s, head); v.Break == nil {
				t.Errorf("%s: not noticed although the expected head is known", x.name)
			}
			mustNoticeRecent(t, s, x, v)
			for _, table := range tables {
				execute(t, db, "DELETE FROM "+table)
				execute(t, db, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
			}
			if v := verified(t, s, head); v.Break != nil || v.Events != 10 {
				t.Fatalf("after %q was undone: got the break %+v, want none", x.name, v.Break)
			}
		}
	})
}

// mustNoticeRecent checks that the verification of as many events as there are finds what
// that of the whole chain finds, except rows that are no part of the chain.
func mustNoticeRecent(t *testing.T, s *gormstore.Store, x tampering, whole storage.AuditVerdict) {
	t.Helper()
	recent, err := s.VerifyRecentAudit(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Break.Seq != 0 && (recent.Break == nil || recent.Break.Seq != whole.Break.Seq) {
		t.Errorf("%s: the recent part: got %+v, want a break at %d", x.name, recent.Break, whole.Break.Seq)
	}
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func verified(t *testing.T, s *gormstore.Store, expect storage.AuditHead) storage.AuditVerdict {
	t.Helper()
	v, err := s.VerifyAudit(context.Background(), expect, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestForgedChainIsNoticed writes the chain anew, from each event on, with a wrong secret. Somebody who
// knows everything except the secret could do so. Verification must notice it.
func TestForgedChainIsNoticed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, db := open(t, gormstore.Config{URL: url}), direct(t, url)
		addChainedEvents(t, s)
		forger := open(t, gormstore.Config{URL: url})
		forger.ChainAuditEvents(auditKeys{"k1": "a guess"})
		for from := 10; from >= 1; from-- {
			// RestartAudit seals the row with the wrong secret. Then the events are deleted and
			// written again from the beginning.
			if _, err := forger.RestartAudit(t.Context(), storage.AuditEvent{Action: "sign_in"}); err != nil {
				t.Fatal(err)
			}
			if v := verified(t, s, storage.AuditHead{}); v.Break == nil {
				t.Fatalf("a chain forged from %d on was not noticed: %+v", from, v)
			}
			execute(t, db, "DELETE FROM audit_events WHERE seq <> 0")
			if err := forger.AddAuditEvents(t.Context(), make([]storage.AuditEvent, from)); err != nil {
				t.Fatal(err)
			}
			if v := verified(t, s, storage.AuditHead{}); v.Break == nil {
				t.Fatalf("%d forged events were not noticed: %+v", from, v)
			}
		}
	})
}

// TestChainStaysBroken tests that a cut chain stays broken when servers write further
// events, both with a server that saw the longer chain and with one that started later.
func TestChainStaysBroken(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		running, db := open(t, gormstore.Config{URL: url}), direct(t, url)
		addChainedEvents(t, running)
		execute(t, db, "CREATE TABLE older AS SELECT * FROM audit_chain")
		chainedOn := func(s *gormstore.Store) {
			if err := s.AddAuditEvents(t.Context(), []storage.AuditEvent{{Action: "refresh"}, {Action: "refresh"}}); err != nil {
				t.Fatal(err)
			}
		}
		chainedOn(running)
		// Restore the end of the chain from before the last two events. The record of their
		// batch remains and prevents no writes.
		execute(t, db, "DELETE FROM audit_events WHERE action = 'refresh'")
		execute(t, db, "DELETE FROM audit_chain")
		execute(t, db, "INSERT INTO audit_chain SELECT * FROM older")
		chainedOn(running)
		if v := verified(t, running, storage.AuditHead{}); v.Break == nil || v.Break.Seq != 11 || !strings.Contains(v.Break.Why, "cut at 10 after 12 events") {
			t.Errorf("a server that saw the longer chain: got %+v, want a break at 11", v.Break)
		}
		if _, err := running.RestartAudit(t.Context(), storage.AuditEvent{Action: "audit.chain_restarted"}); err != nil {
			t.Fatal(err)
		}
		if v := verified(t, running, storage.AuditHead{}); v.Break != nil || v.Events != 1 || v.Outside != 13 {
			t.Errorf("restarted: got %+v, want 1 event, 13 outside and no break", v)
		}
		execute(t, db, "UPDATE audit_chain SET seal = mac")
		chainedOn(open(t, gormstore.Config{URL: url}))
		if v := verified(t, running, storage.AuditHead{}); v.Break == nil || !strings.Contains(v.Break.Why, "the end of the chain was changed") {
			t.Errorf("a forged end: got %+v, want a break", v.Break)
		}
	})
}

// TestBatchesOfTwoHistories restores an older copy while no server runs, and lets servers write
// further events. Then it replaces a new batch by the batch of the first history that has the
// same number. Verification must notice it.
func TestBatchesOfTwoHistories(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, db := open(t, gormstore.Config{URL: url}), direct(t, url)
		addChainedEvents(t, s)
		tables := []string{"audit_events", "audit_batches", "audit_chain"}
		for _, table := range tables {
			execute(t, db, "CREATE TABLE older_"+table+" AS SELECT * FROM "+table)
		}
		add := func(action string) {
			if err := open(t, gormstore.Config{URL: url}).AddAuditEvents(t.Context(), []storage.AuditEvent{{Action: action}}); err != nil {
				t.Fatal(err)
			}
		}
		add("first history")
		for _, table := range tables {
			execute(t, db, "CREATE TABLE first_"+table+" AS SELECT * FROM "+table)
			execute(t, db, "DELETE FROM "+table)
			execute(t, db, "INSERT INTO "+table+" SELECT * FROM older_"+table)
		}
		add("second history")
		add("second history")
		if v := verified(t, s, storage.AuditHead{}); v.Break != nil || v.Events != 12 {
			t.Fatalf("the second history by itself: got the break %+v, want none", v.Break)
		}
		execute(t, db, "DELETE FROM audit_events WHERE batch = (SELECT id FROM audit_batches WHERE seq = 11)")
		execute(t, db, "DELETE FROM audit_batches WHERE seq = 11")
		execute(t, db, "INSERT INTO audit_batches SELECT * FROM first_audit_batches WHERE seq = 11")
		execute(t, db, "INSERT INTO audit_events SELECT * FROM first_audit_events WHERE action = 'first history'")
		if v := verified(t, s, storage.AuditHead{}); v.Break == nil || v.Break.Seq != 12 {
			t.Errorf("a batch of the first history in the second: got the break %+v, want another", v.Break)
		}
	})
}

// TestSweepKeepsBrokenChain tests that Sweep does not delete events that were dated back or
// changed.
func TestSweepKeepsBrokenChain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, db := open(t, gormstore.Config{URL: url}), direct(t, url)
		addChainedEvents(t, s)
		sweep := func(at time.Time, want int) {
			t.Helper()
			if n, err := s.Sweep(t.Context(), at, 100); err != nil || n != want {
				t.Errorf("swept %d, want %d; error %v", n, want, err)
			}
		}
		execute(t, db, "UPDATE audit_events SET time = 1")
		sweep(noon, 0)
		if v := verified(t, s, storage.AuditHead{}); v.Break == nil || v.Break.Seq != 1 {
			t.Errorf("dated back: got %+v, want a break at 1", v.Break)
		}
		execute(t, db, fmt.Sprintf("UPDATE audit_events SET time = %d + CAST(object AS INTEGER) * 1000000", noon.UnixMicro()))
		execute(t, db, "UPDATE audit_events SET outcome = 'success' WHERE object = '4'")
		sweep(noon.AddDate(1, 0, 0), 3)
		if v := verified(t, s, storage.AuditHead{}); v.Break == nil || v.Break.Seq != 4 || v.Swept != 3 {
			t.Errorf("changed: got %+v, want a break at 4 and 3 events swept", v)
		}
	})
}

// TestChainBeginsAfterUpgrade tests that events from before the chain are counted and swept.
// Nobody can insert others among them unnoticed.
func TestChainBeginsAfterUpgrade(t *testing.T) {
	t.Parallel()
	for dialect, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "old.db") },
		"postgres": func(t *testing.T) string { return gormtest.Postgres(t).Empty(t) },
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			ctx, url := t.Context(), empty(t)
			s := open(t, gormstore.Config{URL: url})
			if err := s.MigrateTo(ctx, 6); err != nil {
				t.Fatal(err)
			}
			old := `INSERT INTO audit_events (id, time, action, outcome, client_id, user_uid, username, factor, trace_id, source, object, took)
				VALUES ('aud_0000%02d', %d, 'old', '', '', '', '', '', '', '', '', 0)`
			for i := range 3 {
				if err := s.Exec(ctx, fmt.Sprintf(old, i, noon.AddDate(0, 0, i).UnixMicro())); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			addChainedEvents(t, s)
			if v := verified(t, s, storage.AuditHead{}); v.Break != nil || v.Outside != 3 || v.Events != 10 {
				t.Errorf("upgraded: got %+v, want 10 events, 3 outside and no break", v)
			}
			if n, err := s.Sweep(ctx, noon.AddDate(0, 0, 91).Add(time.Second), 100); err != nil || n != 2+10 {
				t.Errorf("swept %d, want 12; error %v", n, err)
			}
			if v := verified(t, s, storage.AuditHead{}); v.Break != nil || v.Outside != 1 || v.Events != 0 {
				t.Errorf("swept: got %+v, want 0 events, 1 outside and no break", v)
			}
			execute(t, direct(t, url), fmt.Sprintf(old, 4, 0))
			if v := verified(t, s, storage.AuditHead{}); v.Break == nil || v.Outside != 2 {
				t.Errorf("a row was inserted: got %+v, want 2 outside and a break", v)
			}
		})
	}
}

// TestAuditBatchStatements tests that a batch takes four statements, whatever its size. On
// SQLite, each thousand events after the first thousand take one more.
func TestAuditBatchStatements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		addChainedEvents(t, s)
		texts := map[string]bool{}
		for _, n := range []int{1, 256, 1000, 2048} {
			got := c.during(t, func() error { return s.AddAuditEvents(t.Context(), make([]storage.AuditEvent, n)) })
			inserts := 1
			if s.Dialect() == "sqlite" {
				inserts = (n + 999) / 1000
			}
			if len(got) != 5+inserts || got[0] != "BEGIN" || got[len(got)-1] != "COMMIT" {
				t.Errorf("%d events took %d statements, want another number: %.100s", n, len(got), got)
			}
			texts[got[1]] = true
		}
		if s.Dialect() == "postgres" && len(texts) != 1 {
			t.Errorf("batches use %d different statements; PostgreSQL parses each of them", len(texts))
		}
		if v := verified(t, s, storage.AuditHead{}); v.Break != nil || v.Events != 10+1+256+1000+2048 {
			t.Errorf("verdict %+v, break %+v", v, v.Break)
		}
	})
}
