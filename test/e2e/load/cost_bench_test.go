package load

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
)

var costCalls = flag.Int("cost-calls", 4000, "how many requests of each path BenchmarkCosts sends")

// costs are the resources that requests used, or the resources that were used before them.
type costs struct {
	calls   int
	elapsed time.Duration
	// Processor time of the server, of PostgreSQL and of the caller, in seconds.
	server, database, caller float64
	objects, bytes           float64 // that the server allocated
	wal, syncs               float64 // of PostgreSQL: bytes, and calls of fsync
}

// minus returns the difference of two costs.
func (c costs) minus(o costs) costs {
	return costs{
		c.calls - o.calls, c.elapsed - o.elapsed, c.server - o.server, c.database - o.database, c.caller - o.caller,
		c.objects - o.objects, c.bytes - o.bytes, c.wal - o.wal, c.syncs - o.syncs,
	}
}

// BenchmarkCosts prints what a request of each path costs: processor time of each process,
// memory and writes. It sends a fixed number of requests over eight connections. Other load on the
// machine changes these figures less than it changes rates. Work that continues after the response
// is counted too.
func BenchmarkCosts(b *testing.B) {
	binary, database := buildServer(b), durablePostgres(b)
	urls := map[string]string{"sqlite": "sqlite:" + filepath.Join(b.TempDir(), "latchkey.db"), "postgres": database.Database(b)}
	empty := database.Empty(b)
	targets := bareTargets(startBare(b, empty))
	for _, name := range []string{"sqlite", "postgres"} {
		targets = append(targets, newLoadFixture(b, urls[name], loadLogins, nil).targets(name, startServer(b, binary, urls[name]))...)
	}
	conn, err := pgx.Connect(b.Context(), empty)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // only read
	used := func(p *target) costs {
		c := costs{server: float64(ticks(p.process)) * usPerTick / 1e6, database: database.ProcessorTime()}
		var self syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
			b.Fatal(err)
		}
		c.caller = float64(self.Utime.Nano()+self.Stime.Nano()) / 1e9
		c.objects, c.bytes = allocated(b, p)
		if err := conn.QueryRow(b.Context(), "SELECT wal_bytes::float8, wal_sync::float8 FROM pg_stat_wal").Scan(&c.wal, &c.syncs); err != nil {
			b.Fatal(err)
		}
		return c
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(w, "\npath\tdatabase\tCPU µs: server\tdatabase\tcaller\tsum\tobjects\tbytes\tWAL bytes\tfsyncs\telapsed µs\t\n")
	for _, t := range targets {
		printCosts(w, t, t.costs(used))
	}
	_ = w.Flush()
}

// statisticsDelay is longer than a process of PostgreSQL waits before it publishes its statistics.
const statisticsDelay = 1500 * time.Millisecond

// costs sends the requests of the path and returns their costs.
func (t *target) costs(used func(*target) costs) costs {
	if t.prepare != nil {
		t.prepare()
	}
	var sent atomic.Int64
	callers := make([]caller, loadColumns[1])
	for conn := range callers {
		callers[conn] = t.caller(conn)
		next := callers[conn].next
		callers[conn].next = func() (apiCall, bool) {
			c, ok := next()
			return c, ok && sent.Add(1) <= int64(*costCalls)
		}
	}
	time.Sleep(statisticsDelay)
	before := used(t)
	calls, elapsed := run(t.process, callers, time.Minute)
	caller := used(t).caller // read before the wait, which uses processor time too
	awaitQuiet(t.process)
	time.Sleep(statisticsDelay)
	c := used(t).minus(before)
	c.calls, c.elapsed, c.caller = calls, elapsed, caller-before.caller
	return c
}

func printCosts(w io.Writer, t *target, c costs) {
	n := float64(max(c.calls, 1))
	us := func(seconds float64) float64 { return seconds * 1e6 / n }
	_, _ = fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t\n", t.path, t.database,
		us(c.server), us(c.database), us(c.caller), us(c.server+c.database+c.caller),
		c.objects/n, c.bytes/n, c.wal/n, c.syncs/n, us(c.elapsed.Seconds()))
}

// allocated reads how many objects and bytes the server has allocated since its start. It returns
// zeros for the bare server, which has no metrics.
func allocated(tb testing.TB, t *target) (objects, bytes float64) {
	tb.Helper()
	ops, ok := strings.CutSuffix(t.process.URL, "/readyz")
	if !ok {
		return 0, 0
	}
	response, err := http.Get(ops + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_memstats_mallocs_total":
			_, err = fmt.Sscan(value, &objects)
		case "go_memstats_alloc_bytes_total":
			_, err = fmt.Sscan(value, &bytes)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return objects, bytes
}
