package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

const (
	backlog      = 1000
	receiverTime = 50 * time.Millisecond
	hangingTime  = 30 * time.Second
	probes       = 100
)

// benchDocument is applied over worldDocument: the users of "hung" also get
// their messages through a receiver that hangs.
const benchDocument = `
Buyers:
  - ID: hung
    Name: Hung Ltd
    Active: true
    Users:
      - {ID: hank, Username: hank, FirstName: H, LastName: Ank, Email: hank@example.com, Active: true}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword], URL: "%s", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
  - {ID: hanging, Name: Hanging, MessageTypes: [OneTimePassword], URL: "%s", SharedKey: key-of-the-message-sender, Assignments: [{BuyerID: hung}]}
`

// BenchmarkDelivery measures, on both databases, that a backlog to a slow receiver is sent
// quickly, and that a receiver that hangs delays no other message. Run it with make
// bench-delivery.
func BenchmarkDelivery(b *testing.B) {
	fmt.Printf("\n%-10s  %-58s  %8s  %8s\n", "database", "what", "wanted", "measured")
	b.Run("sqlite", func(b *testing.B) {
		for b.Loop() {
			benchDelivery(b, "sqlite", "sqlite:"+filepath.Join(b.TempDir(), "latchkey.db"))
		}
	})
	b.Run("postgres", func(b *testing.B) {
		for b.Loop() {
			benchDelivery(b, "postgres", gormtest.Postgres(b).Database(b))
		}
	})
}

func benchDelivery(b *testing.B, database, url string) {
	sink := newTimedReceiver(b, receiverTime)
	hanging := newTimedReceiver(b, hangingTime)
	w := kit.NewFixture(b, url)
	w.Apply(fmt.Sprintf(benchDocument, sink.url, hanging.url))
	row := func(what string, wanted, measured time.Duration) {
		fmt.Printf("%-10s  %-58s  %8s  %8s\n", database, what, "< "+wanted.String(), measured.Round(time.Millisecond))
	}

	queue(w, b, backlog)
	n := w.Serve("LATCHKEY_LOG_LEVEL=error")
	arrivals := sink.await(b, backlog)
	took := arrivals[len(arrivals)-1].Sub(arrivals[0]) + receiverTime
	row(fmt.Sprintf("%d queued messages, receiver answers in %v", backlog, receiverTime), 5*time.Second, took)

	for range 2 * backlog { // more than there are workers
		n.RequestCode("hank", "")
	}
	sink.await(b, 3*backlog)
	delays := make([]time.Duration, probes)
	for i := range delays {
		asked := time.Now()
		n.RequestCode("jane", "")
		arrivals := sink.await(b, 3*backlog+i+1)
		delays[i] = arrivals[len(arrivals)-1].Sub(asked)
		time.Sleep(receiverTime)
	}
	slices.Sort(delays)
	row(fmt.Sprintf("request to arrival while another receiver hangs %v, median", hangingTime), time.Second, delays[probes/2])
	row(fmt.Sprintf("the same, worst of %d", probes), time.Second, delays[probes-1])
	if len(hanging.await(b, 1)) == 0 {
		b.Error("the hanging receiver was never asked")
	}
	b.ReportMetric(took.Seconds(), "backlog-s")
	b.ReportMetric(delays[probes-1].Seconds(), "worst-s")
}

// queue leaves n messages to jane in the database, without a worker that delivers them.
func queue(w *kit.Fixture, b *testing.B, n int) {
	b.Helper()
	w.WithApp(func(ctx context.Context, a *server.App) error {
		codes, err := otp.New(otp.Config{
			Store: a.Store, People: a.Store, Directory: a.Store, Codes: otp.NewCodes(a.Peppers), Sealer: a.Sealer, Rand: a.Rand,
		})
		if err != nil {
			return err
		}
		client, err := a.Store.Client(ctx, "shop")
		if err != nil {
			return err
		}
		for range n {
			if err := codes.Request(ctx, client, otp.Request{Username: "jane", Purpose: storage.PurposeSignIn}); err != nil {
				return err
			}
		}
		ctx, stop := context.WithCancel(ctx)
		go func() {
			defer stop()
			for ctx.Err() == nil {
				queued, err := a.Store.Messages(ctx, storage.MessageFilter{State: storage.MessageQueued, Limit: n})
				if err != nil || len(queued) == n {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		return codes.Run(ctx)
	})
}

// timedReceiver notes when a message arrives, and answers after a time.
type timedReceiver struct {
	url string

	mu       sync.Mutex
	arrivals []time.Time
	arrived  *sync.Cond
}

func newTimedReceiver(b *testing.B, answersAfter time.Duration) *timedReceiver {
	b.Helper()
	r := &timedReceiver{}
	r.arrived = sync.NewCond(&r.mu)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.arrivals = append(r.arrivals, time.Now())
		r.arrived.Broadcast()
		r.mu.Unlock()
		_, _ = io.Copy(io.Discard, request.Body) // only then is the end of the connection seen
		select {
		case <-time.After(answersAfter):
		case <-request.Context().Done():
		}
	}))
	b.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.url = server.URL
	return r
}

// await waits until n messages have arrived, and returns when they did.
func (r *timedReceiver) await(b *testing.B, n int) []time.Time {
	b.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.arrivals) < n {
		r.arrived.Wait()
	}
	return slices.Clone(r.arrivals)
}
