package operations

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// TestRetention starts a server on a database in which rows of two tables have expired. The
// metrics show how overdue they are, and after some minutes at the most that all are deleted.
func TestRetention(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const tokens, ids = 1200, 50
		w.WithApp(func(ctx context.Context, a *server.App) error {
			return a.Store.InTx(ctx, func(ctx context.Context) error {
				past := a.Now().UTC().Add(-48 * time.Hour)
				for i := range tokens {
					if err := a.Store.RevokeToken(ctx, fmt.Sprint("old", i), past); err != nil {
						return err
					}
				}
				for i := range ids {
					if err := a.Store.SpendID(ctx, binary.BigEndian.AppendUint32(nil, uint32(i)), past); err != nil { //nolint:gosec // the number is small
						return err
					}
				}
				return nil
			})
		})
		n := w.Serve()
		metrics := metricsOf(t, n)
		for _, want := range []string{
			`latchkey_sweep_overdue_seconds{table="spent_ids"} 1728`, // 172,800 seconds are two days
			`latchkey_sweep_overdue_seconds{table="revoked_tokens"} 1728`,
			`latchkey_sweep_overdue_seconds{table="audit_events"} 0`,
			`latchkey_sweep_rows_total{table="spent_ids"} 0`,
		} {
			if !strings.Contains(metrics, "\n"+want) {
				t.Errorf("got no %s in the metrics:\n%s", want, metrics)
			}
		}
		deleted := func(table string, rows int) bool {
			return strings.Contains(metrics, fmt.Sprintf("\nlatchkey_sweep_rows_total{table=%q} %d\n", table, rows)) &&
				strings.Contains(metrics, fmt.Sprintf("\nlatchkey_sweep_overdue_seconds{table=%q} 0\n", table))
		}
		for deadline := time.Now().Add(5 * time.Minute); !deleted("spent_ids", ids) || !deleted("revoked_tokens", tokens); {
			if time.Now().After(deadline) {
				t.Fatalf("got expired rows after five minutes, want none:\n%s", metrics)
			}
			time.Sleep(time.Second) // each reading of the metrics queries the database
			metrics = metricsOf(t, n)
		}
	})
}
