package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"latchkey/storage/storetest/pgtest"
)

// fault is a failure that a test caused.
type fault struct {
	what     string
	from, to time.Time
}

// faultLog records faults and their times.
type faultLog struct {
	mu     sync.Mutex
	began  time.Time
	faults []fault
}

// during records a fault that lasts as long as the call.
func (l *faultLog) during(what string, do func()) {
	f := fault{what: what, from: time.Now()}
	do()
	f.to = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, f)
}

// overlaps reports whether a fault whose name has one of the prefixes overlaps a period.
func (l *faultLog) overlaps(from, to time.Time, prefixes ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		for _, prefix := range prefixes {
			if strings.HasPrefix(f.what, prefix) && f.from.Before(to) && f.to.After(from) {
				return true
			}
		}
	}
	return false
}

// String lists the faults with the times since the beginning.
func (l *faultLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, f := range l.faults {
		fmt.Fprintf(&b, "%8.3f to %8.3f  %s\n", f.from.Sub(l.began).Seconds(), f.to.Sub(l.began).Seconds(), f.what)
	}
	return b.String()
}

// faults causes failures at random times.
type faults struct {
	log      *faultLog
	random   *rand.Rand
	longest  time.Duration // longest duration of one fault
	pause    time.Duration // longest time between two faults
	replicas []*replica
	database *pgtest.Server
	receiver *receiver
	fail     func(format string, args ...any)
}

// sleep waits for a random part of the time. It does so even if the test is about to end,
// because faults must be repaired.
func (f *faults) sleep(longest time.Duration) {
	time.Sleep(time.Duration(f.random.Int64N(int64(longest))))
}

// replicaFaults kills, freezes and restarts one replica at a time, until ctx ends.
func (f *faults) replicaFaults(ctx context.Context) {
	for f.sleep(f.pause); ctx.Err() == nil; f.sleep(f.pause) {
		i := f.random.IntN(len(f.replicas))
		r := f.replicas[i]
		switch f.random.IntN(3) {
		case 0:
			f.log.during(fmt.Sprintf("kill replica %d", i), func() {
				r.kill()
				f.sleep(f.longest)
				r.start()
			})
		case 1:
			f.log.during(fmt.Sprintf("freeze replica %d", i), func() {
				r.signal(syscall.SIGSTOP)
				f.sleep(f.longest)
				r.signal(syscall.SIGCONT)
			})
		case 2:
			f.log.during("rolling restart", func() {
				for _, r := range f.replicas {
					r.stop()
					r.start()
				}
			})
		}
	}
}

// outages crashes the database and makes the receiver fail, until ctx ends.
func (f *faults) outages(ctx context.Context) {
	modes := map[int32]string{failing: "answers 503", hanging: "hangs", dropping: "drops its answers"}
	for f.sleep(f.pause); ctx.Err() == nil; f.sleep(f.pause) {
		mode := f.random.Int32N(4)
		if mode != accepting {
			f.log.during("receiver "+modes[mode], func() {
				f.receiver.mode.Store(mode)
				f.sleep(f.longest)
				f.receiver.mode.Store(accepting)
			})
			continue
		}
		f.log.during("database crashes", func() {
			if err := f.database.Stop(); err != nil {
				f.fail("stop of the database: %v", err)
			}
			f.sleep(f.longest / 2)
			if err := f.database.Start(); err != nil {
				f.fail("start of the database: %v", err)
			}
		})
	}
}
