package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchkey/keys"
	"latchkey/oauth/server"
)

// Program returns the path of the program latchkey. It is built with the race detector if the
// tests are. Test processes share it. The first one builds it, and the others find that it is
// up to date.
func Program(t testing.TB) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var program = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	dir, err := cacheDir(strings.TrimSpace(string(root)))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := removeUnused(filepath.Join(filepath.Dir(dir), "*", "lock"), programLife); err != nil {
		return "", err
	}
	args, path := append([]string{"build", "-ldflags=-s -w"}, BuildFlags()...), filepath.Join(dir, "plain", "latchkey")
	if RaceDetector {
		path = filepath.Join(dir, "race", "latchkey")
	}
	build := exec.Command("go", append(args, "-o", path, "latchkey/cmd/latchkey")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New("go build: " + string(out))
	}
	return keep(path)
})

// keep returns a path at which the program stays as it is. Another test process may build the
// program anew, from other sources or with other flags. Meanwhile the file at the first path is
// open for writing and cannot be started ("text file busy"). go build replaces that file, and
// does not write to the old one, so a link to it is enough.
func keep(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return path, nil
	}
	kept := filepath.Join(filepath.Dir(path), strconv.FormatUint(stat.Ino, 10), filepath.Base(path))
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return "", err
	}
	if err := os.Link(path, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return kept, removeUnused(filepath.Join(filepath.Dir(path), "*", filepath.Base(path)), keptLife)
}

// BuildFlags returns the flags with which tests build programs: those of the Makefile for
// the tests themselves, so that both share the build cache.
func BuildFlags() []string {
	if !RaceDetector {
		return nil
	}
	return []string{"-race", "-gcflags=all=-d=checkptr=0", "-gcflags=modernc.org/...=-race=false", "-gcflags=golang.org/x/crypto/...=-race=false"}
}

// cacheDir returns a directory in the user's cache for a checkout of the module.
func cacheDir(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(cache, "latchkey-tests", hex.EncodeToString(sum[:8]))
	return dir, os.MkdirAll(dir, 0o700)
}

const (
	// programLife is how long the programs of a checkout are kept after a test last used them.
	// The checkout may have been deleted.
	programLife = 24 * time.Hour
	// keptLife is how long a program is kept after it was replaced. The tests take less time.
	keptLife = 2 * time.Hour
)

// removeUnused removes the directories of the files that match the pattern and whose time of
// modification is older than life. go build updates that time if the program is up to date.
func removeUnused(pattern string, life time.Duration) error {
	files, err := filepath.Glob(pattern)
	for _, file := range files {
		if info, statErr := os.Stat(file); statErr == nil && time.Since(info.ModTime()) > life {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(file)))
		}
	}
	return err
}

// lockFile waits for the lock of a file, which ends with the process at the latest. The time of
// the file is the time of its last use.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_EX), os.Chtimes(path, now, now)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// Environ returns the variables that a command needs to open the fixture's database.
func (w *Fixture) Environ() []string {
	return []string{"LATCHKEY_DATABASE_URL=" + w.DatabaseURL, "LATCHKEY_MASTER_KEY=" + MasterKey}
}

// Result is the result of a command of the program.
type Result struct {
	ExitCode       int
	Stdout, Stderr string
}

// TryCommand runs the program with the real time. Variables are added to its
// environment, which is otherwise empty.
func TryCommand(t testing.TB, environ []string, args ...string) Result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), Program(t), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &errs
	cmd.Env = append(BaseEnviron(), environ...)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return Result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// BaseEnviron returns the environment of each process that the tests start. A data race
// ends the process. Without one, the race detector does not wait a second at the end.
func BaseEnviron() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1 atexit_sleep_ms=0"}
}

// Command runs the program on the fixture's database, and returns its output. It fails the test
// unless the exit code is 0.
func (w *Fixture) Command(t testing.TB, args ...string) string {
	t.Helper()
	r := TryCommand(t, w.Environ(), args...)
	if r.ExitCode != 0 {
		t.Fatalf("latchkey %q: got exit code %d: %s", args, r.ExitCode, r.Stderr)
	}
	return r.Stdout
}

// Client is a client with its secret, as "client create" prints it.
type Client struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// CreateClient runs "client create" with the flags.
func (w *Fixture) CreateClient(t testing.TB, flags ...string) Client {
	t.Helper()
	var created Client
	if err := json.Unmarshal([]byte(w.Command(t, append([]string{"client", "create"}, flags...)...)), &created); err != nil {
		t.Fatal(err)
	}
	return created
}

// WithRing calls use with the signing keys of the fixture's database.
func (w *Fixture) WithRing(t testing.TB, use func(*keys.Ring)) {
	t.Helper()
	w.WithApp(func(ctx context.Context, a *server.App) error {
		if err := a.OpenRing(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		use(a.Ring)
		return nil
	})
}
