package gormstore_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// BenchmarkAuditChain writes audit events from several servers at the same time. Each server
// writes one batch after the other. The batches are either full, as those of a server with a
// backlog, or small. The benchmark also reports the cost of an event: processor time of this
// process, statements and commits. Other work on the machine changes these less than the rate.
func BenchmarkAuditChain(b *testing.B) {
	for _, size := range []int{256, 2048} {
		for _, servers := range []int{1, 3} {
			b.Run(fmt.Sprintf("batch=%d/servers=%d", size, servers), func(b *testing.B) { benchAuditChain(b, servers, size) })
		}
	}
}

func benchAuditChain(b *testing.B, servers, size int) {
	const eventsOfServer = 16_384
	url := syncedPostgres(b).Database(b)
	var calls counter
	stores := make([]*gormstore.Store, servers)
	for i := range stores {
		stores[i] = open(b, gormstore.Config{URL: url, OnStatement: calls.add})
	}
	batch := make([]storage.AuditEvent, size)
	for i := range batch {
		batch[i] = storage.AuditEvent{
			Time: noon, Action: "sign_in", Outcome: "success", ClientID: "shop", Factor: "otp", Source: "203.0.113.7",
			UserUID: "0198a5c4-5f0e-8b7c-9d3e-2f1a0b9c8d7e", Username: fmt.Sprintf("user%d@example.com", i), TraceID: fmt.Sprintf("req_%032d", i),
		}
	}
	written, commits, used := b.N*servers*eventsOfServer, 0, processorTime(b)
	b.ResetTimer()
	sent := calls.during(b, func() error {
		var writing errgroup.Group
		for _, s := range stores {
			writing.Go(func() (err error) {
				for left := b.N * eventsOfServer; left > 0 && err == nil; left -= size {
					err = s.AddAuditEvents(b.Context(), batch)
				}
				return err
			})
		}
		return writing.Wait()
	})
	b.StopTimer()
	for _, sql := range sent {
		if sql == "COMMIT" {
			commits++
		}
	}
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((processorTime(b)-used).Microseconds())/float64(written), "µs-here/event")
	b.ReportMetric(float64(len(sent))/float64(written)*1000, "statements/1000-events")
	b.ReportMetric(float64(commits)/float64(written)*1000, "commits/1000-events")
	v, err := stores[0].VerifyAudit(b.Context(), storage.AuditHead{}, nil)
	if err != nil || v.Break != nil || v.Events != int64(written) {
		b.Errorf("got %d events in the chain, want %d; break %+v, error %v", v.Events, written, v.Break, err)
	}
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
