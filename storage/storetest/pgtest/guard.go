package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// guard is a shell script that runs a program until its standard input closes or
// contains "keep". Then it stops the program, and deletes the directory without "keep".
// It is a separate process, so that it still runs after the test process was killed.
const guard = `
trap '' INT HUP
dir=$1 end=$2
shift 2
"$@" >>"$dir/log" 2>&1 &
program=$!
echo "$program" >"$dir/pid"
read -r keep
kill -s "$end" "$program" 2>/dev/null
kill -CONT "$program" 2>/dev/null
wait "$program"
[ "$keep" = keep ] || rm -rf "$dir"
`

// guarded is a program that a guard runs.
type guarded struct {
	home  string
	shell *exec.Cmd
	pipe  io.WriteCloser
}

// run starts a program with a directory of its own. end is the name of the signal that
// stops it at once.
func (g *guarded) run(dir, end, program string, args ...string) error {
	cmd, err := command(dir, "/bin/sh", append([]string{"-c", guard, "guard", dir, end, program}, args...)...)
	if err != nil {
		return err
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.home, g.shell, g.pipe = dir, cmd, pipe
	return nil
}

func (g *guarded) running() bool { return g.pipe != nil }

// stop stops the program at once and keeps its directory.
func (g *guarded) stop() error {
	_, err := io.WriteString(g.pipe, "keep\n")
	return errors.Join(err, g.end())
}

// end stops the program. Without stop, its directory is deleted.
func (g *guarded) end() error {
	if !g.running() {
		return nil
	}
	err := errors.Join(g.Thaw(), g.pipe.Close(), g.shell.Wait())
	g.pipe = nil
	return err
}

// Freeze stops the processes of the program without ending them, as a machine that hangs
// does. Connections stay open, and new ones are not answered.
func (g *guarded) Freeze() error { return g.signal(syscall.SIGSTOP) }

// Thaw lets the processes continue after Freeze.
func (g *guarded) Thaw() error { return g.signal(syscall.SIGCONT) }

// ticksPerSecond is Linux's USER_HZ.
const ticksPerSecond = 100

// ProcessorTime returns the processor time, in seconds, that the program and its children
// have used so far, also those that have ended.
func (g *guarded) ProcessorTime() (seconds float64) {
	text, err := os.ReadFile(filepath.Join(g.home, "pid"))
	if err != nil {
		return 0 // it is not one of ours
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	for _, process := range append([]int{pid}, children(pid)...) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
		if err != nil {
			continue // the process has ended, and its parent has counted it
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, ticks := range fields[11:15] { // utime stime cutime cstime
			n, _ := strconv.Atoi(ticks)
			seconds += float64(n) / ticksPerSecond
		}
	}
	return seconds
}

// signal sends a signal to the program and its children.
func (g *guarded) signal(sig syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(g.home, "pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has not started yet
	}
	pid, errPID := strconv.Atoi(strings.TrimSpace(string(text)))
	if err := errors.Join(err, errPID); err != nil {
		return err
	}
	for _, process := range append([]int{pid}, children(pid)...) {
		if err := syscall.Kill(process, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d: %w", process, err)
		}
	}
	return nil
}

// children returns the processes whose parent is the given one.
func children(parent int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		// "pid (name) state ppid …"; the name may contain anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			all = append(all, pid)
		}
	}
	return all
}
