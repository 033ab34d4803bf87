package docs

import (
	"archive/zip"
	"crypto/rand"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

const movedModule = "example.org/you/latchkey"

// movedVersion is different in each run, because Go caches what a version of a module imports.
var movedVersion = "v0.1.0-t" + strings.ToLower(rand.Text())

// TestModule tests that "make module" gives the source a module path. A program of another
// module gets that module from a proxy and builds with it. An example builds within the copy.
func TestModule(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "latchkey")
	run(t, "../../..", nil, "make", "-s", "module", "MODULE="+movedModule, "OUT="+copied)
	proxy := moduleProxy(t, copied)
	cache := strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMODCACHE"))
	settings := []string{
		"GOFLAGS=-mod=mod -modcacherw", "GOSUMDB=off", // go.sum contains the sums
		"GOPROXY=file://" + filepath.ToSlash(proxy) + ",file://" + filepath.ToSlash(filepath.Join(cache, "cache", "download")) + ",off",
	}
	// The dependencies are those of the tests, so they are already compiled.
	t.Cleanup(func() {
		for _, left := range []string{movedModule + "@" + movedVersion, "cache/download/" + movedModule} {
			if err := os.RemoveAll(filepath.Join(cache, filepath.FromSlash(left))); err != nil {
				t.Error(err)
			}
		}
	})
	program := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/team\n\ngo 1.26.0\n",
		"main.go": "package main\n\nimport (\n\t_ \"" + movedModule + "/grants\"\n\t_ \"" + movedModule + "/grants/statestore\"\n\t_ \"" + movedModule + "/keys\"\n)\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(program, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := append(append([]string{"build"}, kit.BuildFlags()...), "-o", os.DevNull)
	run(t, program, settings, "go", "get", movedModule+"@"+movedVersion)
	run(t, program, settings, "go", append(build, ".")...)
	example := filepath.Join("docs", "examples", "grantsonly")
	run(t, filepath.Join("../../..", example), nil, "go", "list", "-deps", ".") // downloads the modules that only the example needs
	run(t, filepath.Join(copied, example), settings, "go", append(build, ".")...)
	if out := run(t, copied, nil, "grep", "-c", movedModule+"/grants", "docs/EMBEDDING.md"); out == "" {
		t.Error("got the former path in the documentation")
	}
}

// TestModulePath tests that a path that cannot be fetched is refused.
func TestModulePath(t *testing.T) {
	for _, module := range []string{"latchkey", "example.org", "example.org/a b", ""} {
		if out, err := exec.CommandContext(t.Context(), "../../../.ci/module", module, filepath.Join(t.TempDir(), "x")).CombinedOutput(); err == nil || !strings.Contains(string(out), "MODULE") {
			t.Errorf("%q: got %v %s", module, err, out)
		}
	}
}

// run runs a command in a directory and returns its output.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// moduleProxy returns a directory that serves the module in dir by the protocol of module
// proxies (go.dev/ref/mod, "GOPROXY protocol").
func moduleProxy(t *testing.T, dir string) string {
	t.Helper()
	proxy := t.TempDir()
	versions := filepath.Join(proxy, filepath.FromSlash(movedModule), "@v")
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil {
		err = os.MkdirAll(versions, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": movedVersion + "\n", movedVersion + ".mod": string(mod),
		movedVersion + ".info": `{"Version":"` + movedVersion + `","Time":"2030-01-02T03:04:05Z"}`,
	} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(versions, movedVersion+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	if err := addFiles(archive, dir); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// addFiles adds the files of a module, without nested modules.
func addFiles(archive *zip.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != dir {
				return filepath.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w, err := archive.Create(movedModule + "@" + movedVersion + "/" + filepath.ToSlash(relative))
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	})
}
