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

// TestScripts runs the program as users do. Each script has its own directory.
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

// field FILE NAME VAR stores a member of the JSON object in the file in a variable of the
// script.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field FILE NAME VAR")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	text, ok := object[args[1]].(string)
	if !ok || text == "" {
		ts.Fatalf("%s: got no text %q", args[0], args[1])
	}
	ts.Setenv(args[2], text)
}

// status CODE COMMAND… runs a command and expects that exit code.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("got exit status %s, want %s", got, args[0])
	}
}

// absent TEXT fails if a file of the database contains the text.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] == "" {
		ts.Fatalf("usage: absent TEXT")
	}
	names, err := filepath.Glob(ts.MkAbs("latchkey.db*"))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("got no files of a database")
	}
	for _, name := range names {
		if strings.Contains(ts.ReadFile(name), args[0]) {
			ts.Fatalf("%s contains %q", name, args[0])
		}
	}
}
