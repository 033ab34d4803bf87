package gormstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// TestFrozenReplica has a replica hang in a transaction that holds the end of the chain of
// audit events. The others store theirs after a few seconds, and nothing of the one that
// hung is stored when it goes on.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	for name, reach := range map[string]func(url string) string{
		"directly":         func(url string) string { return url },
		"through a pooler": func(url string) string { return postgres(t).Pooler(t, 4).URL(url) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := reach(postgres(t).Database(t))
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
			t.Logf("audit went on after %s", time.Since(began))
			if took := time.Since(began); took > patience(5*time.Second) {
				t.Errorf("audit stopped for %s", took)
			}
			close(thaw)
			if err := <-ended; !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("the replica that hung: %v", err)
			}
			events, err := other.ListAuditEvents(ctx, storage.Query{Limit: 10})
			if err != nil || events.Total != 1 || events.Items[0].Action != "of another replica" {
				t.Errorf("events %v, error %v", events.Items, err)
			}
			if verdict, err := other.VerifyAudit(ctx, storage.AuditHead{}); err != nil || verdict.Break != nil {
				t.Errorf("the chain: %+v, error %v", verdict, err)
			}
		})
	}
}
