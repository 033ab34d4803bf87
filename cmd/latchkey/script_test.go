package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main})
}

// TestScripts drives the program as users do, each script in a directory of
// its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"field":  field,
			"status": status,
			"absent": absent,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "halt_on_error=1 atexit_sleep_ms=0") // see kit.BaseEnviron
			text, err := os.ReadFile(filepath.Join("..", "..", "docs", "CONFIG.md"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "CONFIG.md"), text, 0o600)
		},
	})
}

// field FILE NAME VAR reads a member of the JSON object in the file into a
// variable of the script.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field FILE NAME VAR")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	text, ok := object[args[1]].(string)
	if !ok || text == "" {
		ts.Fatalf("%s has no text %q", args[0], args[1])
	}
	ts.Setenv(args[2], text)
}

// status CODE COMMAND… runs a command that must end with the exit code.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// absent TEXT looks for a text in all files of the database.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] == "" {
		ts.Fatalf("usage: absent TEXT")
	}
	names, err := filepath.Glob(ts.MkAbs("latchkey.db*"))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("there is no database")
	}
	for _, name := range names {
		if strings.Contains(ts.ReadFile(name), args[0]) {
			ts.Fatalf("%s holds %q", name, args[0])
		}
	}
}
