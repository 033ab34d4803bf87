package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp tests that each command has an example, which is a command line of the program, and
// a manual page.
func TestHelp(t *testing.T) {
	t.Parallel()
	root, dir := (&cli{}).rootCommand(), t.TempDir()
	pages, err := writeManual(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	written, err := filepath.Glob(filepath.Join(dir, "latchkey*.1"))
	if err != nil || len(written) != pages || pages < 40 {
		t.Errorf("got %d pages and %d files, want the same and at least 40: %v", pages, len(written), err)
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() {
			return
		}
		first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
		if !strings.HasPrefix(first, cmd.CommandPath()) {
			t.Errorf("%s: got the example %q", cmd.CommandPath(), cmd.Example)
		}
		found, _, err := root.Find(strings.Fields(strings.TrimPrefix(first, "latchkey ")))
		if err != nil || found != cmd {
			t.Errorf("the example %q: got another command than %s: %v", first, cmd.CommandPath(), err)
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"))
		if err != nil || !strings.Contains(string(page), ".SH NAME\n") {
			t.Errorf("%s: got no manual page: %v", cmd.CommandPath(), err)
		}
	}
	walk(root)
}
