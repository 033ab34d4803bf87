package load

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"latchkey/test/e2e/kit"
)

var (
	loadTime   = flag.Duration("load-time", 2*time.Second, "how long BenchmarkLoad measures each cell of its table")
	loadRounds = flag.Int("load-rounds", 2, "how many rounds BenchmarkLoad spreads that over")
)

const (
	// loadLogins is how many one-time passwords there are to redeem in one go.
	loadLogins = 4000
	// maxMemory is what a server may have resident, in MB, however many tokens
	// it has issued; maxGrowth is what counts as none.
	maxMemory, maxGrowth = 60, 10
)

// loadColumns are the numbers of connections measured.
var loadColumns = [...]int{1, 8, 32}

// BenchmarkLoad loads real server processes and prints one table: requests per second of each
// path, their ratio to a bare handler that parses the same form and signs once, and to the same
// with one durable UPDATE, and the processor time of the server's process per request,
// including its work after the answer. The paths take turns in several rounds, so that noise
// affects all of them. The databases, the servers and the load share the machine. Then it
// prints the memory of a server while it issues many tokens.
func BenchmarkLoad(b *testing.B) {
	binary := buildServer(b)
	urls := map[string]string{
		"sqlite":   "sqlite:" + filepath.Join(b.TempDir(), "latchkey.db"),
		"postgres": durablePostgres(b).Database(b),
	}
	stages := map[string]*loadFixture{}
	targets := bareTargets(startBare(b, durablePostgres(b).Empty(b)))
	for _, database := range []string{"sqlite", "postgres"} {
		s := newLoadFixture(b, urls[database], loadLogins, nil)
		stages[database] = s
		targets = append(targets, s.targets(database, startServer(b, binary, urls[database]))...)
	}
	for range *loadRounds {
		for column := range loadColumns {
			for _, t := range targets {
				t.measure(column, *loadTime/time.Duration(*loadRounds))
			}
		}
	}
	printLoad(os.Stdout, targets)
	for _, database := range []string{"sqlite", "postgres"} {
		stages[database].memory(database, startServer(b, binary, urls[database]))
	}
}

// target is one row of the table.
type target struct {
	path, database string
	process        *kit.MeasuredProcess
	prepare        func()                // before each measurement; may be nil
	caller         func(conn int) caller // the caller of that connection
	cells          [len(loadColumns)]cell
}

type cell struct {
	calls int
	took  time.Duration
	ticks int // of processor time
}

func (c cell) rate() float64 { return float64(c.calls) / max(c.took.Seconds(), 1e-9) }

// measure adds to a cell of the row.
func (t *target) measure(column int, d time.Duration) {
	if t.prepare != nil {
		t.prepare()
	}
	callers := make([]caller, loadColumns[column])
	for i := range callers {
		callers[i] = t.caller(i)
	}
	before, c := ticks(t.process), &t.cells[column]
	calls, took := run(t.process, callers, d)
	awaitQuiet(t.process)
	c.calls += calls
	c.took += took
	c.ticks += ticks(t.process) - before
}

// always makes the same call again and again.
func always(c apiCall) func(int) caller {
	return func(int) caller { return caller{next: func() (apiCall, bool) { return c, true }} }
}

// bareTargets are the rows that the others are compared with; see printLoad.
func bareTargets(p *kit.MeasuredProcess) []*target {
	form := kit.EncodeForm("grant_type", "client_credentials", "client_id", "machine", "client_secret", kit.ClientSecret)
	return []*target{
		{path: "bare", process: p, caller: always(apiCall{path: "/sign", media: kit.FormMedia, body: form, status: 200})},
		{path: "bare + UPDATE", database: "postgres", process: p, caller: always(apiCall{path: "/update", media: kit.FormMedia, body: form, status: 200})},
	}
}

// targets returns the hot paths of a server on the database.
func (s *loadFixture) targets(database string, p *kit.MeasuredProcess) []*target {
	var turn atomic.Int64 // of the logins
	signIns := func(int) caller {
		return caller{next: func() (apiCall, bool) {
			i := turn.Add(1) - 1
			if i >= int64(len(s.logins)) {
				return apiCall{}, false
			}
			return s.signInCall(s.logins[i], knownCode), true
		}}
	}
	codes := func(int) caller {
		return caller{next: func() (apiCall, bool) {
			return s.codeCall(s.logins[turn.Add(1)%int64(len(s.logins))]), true
		}}
	}
	cookies := s.sessions(loadColumns[len(loadColumns)-1])
	return []*target{
		{path: "client_credentials", database: database, process: p, caller: always(s.machineCall())},
		{path: "password, one-time", database: database, process: p, caller: signIns, prepare: func() {
			s.storeKnownCode(s.logins)
			turn.Store(0)
		}},
		{path: "refresh", database: database, process: p, caller: s.refreshes(p)},
		{path: "request for a code", database: database, process: p, caller: codes},
		{path: "sign-in page", database: database, process: p, caller: always(s.pageCall())},
		{path: "silent sign-in", database: database, process: p, caller: func(conn int) caller { return always(s.silentCall(cookies[conn]))(conn) }},
	}
}

// refreshes signs a user in for each connection, which then refreshes in a
// chain.
func (s *loadFixture) refreshes(p *kit.MeasuredProcess) func(conn int) caller {
	conns := loadColumns[len(loadColumns)-1]
	s.storeKnownCode(s.logins[:conns])
	tokens := make([]string, conns)
	keep := func(conn int) func([]byte) {
		return func(body []byte) { tokens[conn] = kit.Response{Body: string(body)}.Field("refresh_token") }
	}
	for conn := range conns {
		first := true
		run(p, []caller{{answered: keep(conn), next: func() (apiCall, bool) {
			once := first
			first = false
			return s.signInCall(s.logins[conn], knownCode), once
		}}}, time.Minute)
	}
	return func(conn int) caller {
		return caller{answered: keep(conn), next: func() (apiCall, bool) { return s.refreshCall(tokens[conn]), true }}
	}
}

// printLoad prints a row for each target; the first two are what the others
// are compared with.
func printLoad(to io.Writer, targets []*target) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(w, "\npath\tdatabase\t")
	for _, conns := range loadColumns {
		_, _ = fmt.Fprintf(w, "%d conn: req/s\t/bare\t/UPDATE\t", conns)
	}
	_, _ = fmt.Fprintln(w, "CPU µs\t")
	for _, t := range targets {
		_, _ = fmt.Fprintf(w, "%s\t%s\t", t.path, t.database)
		calls, ticks := 0, 0
		for column, c := range t.cells {
			calls, ticks = calls+c.calls, ticks+c.ticks
			_, _ = fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t", c.rate(),
				c.rate()/targets[0].cells[column].rate(), c.rate()/targets[1].cells[column].rate())
		}
		_, _ = fmt.Fprintf(w, "%d\t\n", ticks*usPerTick/max(calls, 1))
	}
	_ = w.Flush()
}

// memory prints the resident memory of a server that has just started, while
// it issues 100,000 tokens and refreshes 10,000 times.
func (s *loadFixture) memory(database string, p *kit.MeasuredProcess) {
	s.tb.Helper()
	issue := func(calls int, of func(int) caller) float64 {
		var made atomic.Int64
		callers := make([]caller, 8)
		for conn := range callers {
			callers[conn] = of(conn)
			next := callers[conn].next
			callers[conn].next = func() (apiCall, bool) {
				c, _ := next()
				return c, made.Add(1) <= int64(calls)
			}
		}
		run(p, callers, 5*time.Minute)
		awaitQuiet(p)
		return memory(p, "VmRSS")
	}
	start, refresh := memory(p, "VmRSS"), s.refreshes(p)
	warm := issue(10_000, always(s.machineCall()))
	tokens := issue(100_000, always(s.machineCall()))
	refreshed := issue(10_000, refresh)
	peak := memory(p, "VmHWM")
	_, _ = fmt.Printf("resident MB on %s: %.0f at start, %.0f after 10,000 tokens, %.0f after 100,000 more, %.0f after 10,000 refreshes; peak %.0f\n",
		database, start, warm, tokens, refreshed, peak)
	if peak > maxMemory || tokens > warm+maxGrowth {
		s.tb.Errorf("%s: resident memory must stay below %d MB and must not grow with the number of tokens", database, maxMemory)
	}
}
