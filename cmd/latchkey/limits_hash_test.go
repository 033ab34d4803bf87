package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const memoryOfServer = 512 // MiB that 200 logins with passwords may take

// TestHashFlood tries two hundred passwords at once, each of another login.
// However many are computed at a time, the server stays within its memory, says
// when it is too busy, and those who sign in with one-time passwords meanwhile
// do not wait for a hash.
func TestHashFlood(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		const passwords, codes = 200, 40
		a := enterArena(w)
		a.n.stop()
		names, quick := numbered("hashed-", 20), numbered("quick-", codes)
		a.enrol(names...)
		a.enrolWithout(quick...)
		for _, name := range quick {
			a.plant(name, easyCode, nil)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("its log:\n%s", a.log.String())
			}
		})
		p := a.launch("LATCHKEY_SHIELD=0")
		var group sync.WaitGroup
		group.Go(func() {
			for i, got := range atOnce(passwords, func(i int) answer { return p.signIn(passwordOf(names, i)) }) {
				checkFlooded(t, i < len(names), got)
			}
		})
		group.Go(func() {
			for i := range codes {
				if got := p.signIn(quick[i], easyCode); got.status != http.StatusOK {
					t.Errorf("one-time password %d: %d %s", i, got.status, got.body)
				}
			}
		})
		group.Wait()
		if peak := p.peakMemory(); peak >= memoryOfServer {
			t.Errorf("took %d MiB at its peak, want less than %d", peak, memoryOfServer)
		}
		if got := p.signIn("jane", janesPassword); got.status != http.StatusOK {
			t.Errorf("afterwards: %d %s", got.status, got.body)
		}
	})
}

// passwordOf is the right password of the first users, and then those of users
// whom there are not.
func passwordOf(names []string, i int) (username, password string) {
	if i < len(names) {
		return names[i], janesPassword
	}
	return fmt.Sprint("nobody-", i), janesPassword
}

func checkFlooded(t *testing.T, right bool, got answer) {
	t.Helper()
	switch {
	case right && got.status == http.StatusOK, !right && got.status == http.StatusBadRequest && got.body == refusedSignIn:
	case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "":
	default:
		t.Errorf("right password: %v: %d %v %s", right, got.status, got.header, got.body)
	}
}

// peakMemory is the most that the program had resident, in MiB.
func (p *program) peakMemory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(peak)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return kib >> 10
}
