package kit

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestProgramIsKept tests that a program can be started while another process replaces it.
func TestProgramIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("cp", "/bin/true", path).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	kept, err := keep(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := keep(path); again != kept || err != nil {
		t.Errorf("the same program: got %q, error %v, want %q", again, err, kept)
	}
	if err := os.Remove(path); err != nil { // as go build does
		t.Fatal(err)
	}
	next, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close() //nolint:errcheck // nothing was written
	if err := exec.Command(path).Run(); !errors.Is(err, syscall.ETXTBSY) {
		t.Errorf("the new program: got %v, want %v", err, syscall.ETXTBSY)
	}
	if err := exec.Command(kept).Run(); err != nil {
		t.Errorf("the kept program: %v", err)
	}
	longAgo := time.Now().Add(-2 * keptLife)
	if err := os.Chtimes(kept, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	if _, err := keep(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after %v: got %v, want it removed", 2*keptLife, err)
	}
}
