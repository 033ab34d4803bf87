package resilience

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"latchkey/test/e2e/kit"
)

const memoryOfServer = 512 // most MiB for 200 logins with passwords

// TestHashFlood tries two hundred passwords of different logins at once. The server must stay
// within its memory. Each answer must be the right one, or 503 if the server is busy. Sign-ins by one-time passwords do not wait for
// hashes.
func TestHashFlood(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const passwords, codes = 200, 40
		a := kit.NewOneServer(w)
		a.Server.Stop()
		names, quick := kit.Numbered("hashed-", 20), kit.Numbered("quick-", codes)
		a.AddUsers(names...)
		a.AddUsersWithoutPassword(quick...)
		for _, name := range quick {
			a.StoreCode(name, kit.KnownCode, nil)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("its log:\n%s", a.Log.String())
			}
		})
		p := a.StartProcess("LATCHKEY_SHIELD=0")
		var group sync.WaitGroup
		group.Go(func() {
			for i, got := range kit.Concurrently(passwords, func(i int) kit.Response { return p.SignIn(passwordOf(names, i)) }) {
				checkFlooded(t, i < len(names), got)
			}
		})
		group.Go(func() {
			for i := range codes {
				if got := p.SignIn(quick[i], kit.KnownCode); got.Status != http.StatusOK {
					t.Errorf("one-time password %d: got %d %s, want 200", i, got.Status, got.Body)
				}
			}
		})
		group.Wait()
		if peak := peakMemory(p); peak >= memoryOfServer {
			t.Errorf("got a peak of %d MiB, want less than %d", peak, memoryOfServer)
		}
		if got := p.SignIn("jane", kit.Password); got.Status != http.StatusOK {
			t.Errorf("afterwards: got %d %s, want 200", got.Status, got.Body)
		}
	})
}

// passwordOf returns the right password of one of the first users, and then passwords of users
// that do not exist.
func passwordOf(names []string, i int) (username, password string) {
	if i < len(names) {
		return names[i], kit.Password
	}
	return fmt.Sprint("nobody-", i), kit.Password
}

func checkFlooded(t *testing.T, right bool, got kit.Response) {
	t.Helper()
	switch {
	case right && got.Status == http.StatusOK, !right && got.Status == http.StatusBadRequest && got.Body == kit.WrongCredentialsBody:
	case got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") != "":
	default:
		t.Errorf("right password: %v: got %d %v %s", right, got.Status, got.Header, got.Body)
	}
}

// peakMemory returns the largest resident memory of the program in MiB.
func peakMemory(p *kit.Process) int {
	p.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		p.T.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(peak)[0])
	if err != nil {
		p.T.Fatal(err)
	}
	return kib >> 10
}
