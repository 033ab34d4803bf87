package gormstore_test

import (
	"fmt"
	"sync"
	"testing"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// BenchmarkAuditChain writes audit events as the writers of several servers do at the
// same time: each one batch after the other, full ones of the size of a server with a
// backlog and small ones.
func BenchmarkAuditChain(b *testing.B) {
	for _, servers := range []int{1, 3, 8} {
		for _, size := range []int{256, 2048} {
			b.Run(fmt.Sprintf("servers=%d/batch=%d", servers, size), func(b *testing.B) { benchAuditChain(b, servers, size) })
		}
	}
}

func benchAuditChain(b *testing.B, servers, size int) {
	url := durable(b).Database(b)
	stores := make([]*gormstore.Store, servers)
	for i := range stores {
		stores[i] = open(b, gormstore.Config{URL: url})
	}
	batch := make([]storage.AuditEvent, size)
	for i := range batch {
		batch[i] = storage.AuditEvent{
			Time: noon, Action: "sign_in", Outcome: "success", ClientID: "shop", Factor: "otp", Source: "203.0.113.7",
			UserUID: "0198a5c4-5f0e-8b7c-9d3e-2f1a0b9c8d7e", Username: fmt.Sprintf("user%d@example.com", i), TraceID: fmt.Sprintf("req_%032d", i),
		}
	}
	b.ResetTimer()
	for range b.N {
		var writing sync.WaitGroup
		for _, s := range stores {
			writing.Go(func() {
				for left := 8192; left > 0; left -= size {
					if err := s.AddAuditEvents(b.Context(), batch); err != nil {
						b.Error(err)
					}
				}
			})
		}
		writing.Wait()
	}
	b.ReportMetric(float64(b.N*servers*8192)/b.Elapsed().Seconds(), "events/s")
}
