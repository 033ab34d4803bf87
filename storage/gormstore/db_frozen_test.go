package gormstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestFrozenReplica lets a replica hang in a transaction that locks the end of the audit chain.
// The other replicas store their events after a few seconds. When the hanging replica
// continues, it stores nothing.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	for name, reach := range map[string]func(t *testing.T, url string) string{
		"directly":         func(_ *testing.T, url string) string { return url },
		"through a pooler": func(t *testing.T, url string) string { return gormtest.Postgres(t).Pooler(t, 4).URL(url) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := reach(t, gormtest.Postgres(t).Database(t))
			frozen, other := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			holds, thaw, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- frozen.InTx(ctx, func(ctx context.Context) error {
					err := frozen.AddAuditEvents(ctx, []storage.AuditEvent{{Action: "of the frozen replica"}})
					close(holds)
					<-thaw
					return err
				})
			}()
			<-holds
			began := time.Now()
			if err := other.AddAuditEvents(ctx, []storage.AuditEvent{{Action: "of another replica"}}); err != nil {
				t.Error(err)
			}
			t.Logf("audit events were stored after %s", time.Since(began))
			if took := time.Since(began); took > onBusyMachine(5*time.Second) {
				t.Errorf("audit events were stored only after %s", took)
			}
			close(thaw)
			if err := <-ended; !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("the replica that hung: got %v, want ErrUnavailable", err)
			}
			events, err := other.ListAuditEvents(ctx, storage.Query{Limit: 10})
			if err != nil || events.Total != 1 || events.Items[0].Action != "of another replica" {
				t.Errorf("got the events %v, error %v", events.Items, err)
			}
			if verdict, err := other.VerifyAudit(ctx, storage.AuditHead{}, nil); err != nil || verdict.Break != nil {
				t.Errorf("the chain: %+v, error %v", verdict, err)
			}
		})
	}
}

// TestFrozenWriterStopsNobody lets a replica hang right after it stored audit events, where a
// batch spends most of its time. The others do not wait for it, and it continues afterwards.
func TestFrozenWriterStopsNobody(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	stored, thaw := make(chan struct{}), make(chan struct{})
	before := ""
	frozen := open(t, gormstore.Config{URL: url, OnStatement: func(sql string) {
		if strings.HasPrefix(before, "INSERT INTO audit_events") {
			close(stored)
			<-thaw
		}
		before = sql
	}})
	other := open(t, gormstore.Config{URL: url})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- frozen.AddAuditEvents(ctx, []storage.AuditEvent{{Action: "of the frozen replica"}})
	}()
	<-stored
	for range 3 {
		if err := other.AddAuditEvents(ctx, []storage.AuditEvent{{Action: "of another replica"}}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("the frozen replica ended before the others: %v", err)
	default:
	}
	close(thaw)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if v, err := other.VerifyAudit(ctx, storage.AuditHead{}, nil); err != nil || v.Break != nil || v.Events != 4 {
		t.Errorf("the chain: %+v, break %+v, error %v", v, v.Break, err)
	}
}
