//go:build deployment

package deployment

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the root of the sources.
const root = "../../.."

// stamp is the version information of the releases of the tests.
var stamp = []string{"-version", "1.2.3", "-revision", strings.Repeat("ab", 20), "-date", "2026-05-04T12:00:00+02:00"}

// run runs a program in a directory and returns its output. It fails the test unless the
// program succeeds.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, err := try(t, dir, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return out
}

func try(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// release runs deploy/release in a checkout, and returns its directory of results.
func release(t *testing.T, checkout string, args ...string) string {
	t.Helper()
	out := t.TempDir()
	run(t, checkout, "go", slices.Concat([]string{"run", "./deploy/release", "-out", out}, stamp, args)...)
	return out
}

// copyOfSources copies the sources to a path of another length, without git.
func copyOfSources(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "a", "longer", "path")
	for name := range strings.SplitSeq(strings.TrimSpace(run(t, root, "git", "ls-files", "--cached", "--others", "--exclude-standard")), "\n") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted and not yet committed
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// mustEqual fails the test unless two directories have the same files.
func mustEqual(t *testing.T, a, b string) (files int) {
	t.Helper()
	err := filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(a, path)
		if err != nil {
			return err
		}
		one, oneErr := os.ReadFile(path)
		other, otherErr := os.ReadFile(filepath.Join(b, name))
		if files++; !bytes.Equal(one, other) {
			t.Errorf("%s: got different contents, want the same", name)
		}
		return errors.Join(oneErr, otherErr)
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// TestImage tests that the image has the same bytes when built from any path, that two other
// programs read it, and that it runs without root and without a shell.
func TestImage(t *testing.T) {
	out := release(t, root, "image")
	if n := mustEqual(t, out, release(t, copyOfSources(t), "image")); n != 5 {
		t.Errorf("got %d files in the image, want 5", n)
	}
	image := filepath.Join(out, "image")
	var config struct {
		Architecture string
		Config       struct {
			User, StopSignal string
			Entrypoint, Cmd  []string
		}
	}
	if err := json.Unmarshal([]byte(run(t, ".", "skopeo", "inspect", "--config", "oci:"+image+":latchkey")), &config); err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.StopSignal != "SIGTERM" || config.Config.Entrypoint[0] != "/latchkey" || config.Config.Cmd[0] != "serve" {
		t.Errorf("got the configuration %+v", config)
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	run(t, ".", "umoci", "unpack", "--rootless", "--image", image+":latchkey", bundle)
	files := filepath.Join(bundle, "rootfs")
	for _, shell := range []string{"bin", "usr", "sbin"} {
		if _, err := os.Stat(filepath.Join(files, shell)); err == nil {
			t.Errorf("got /%s in the image, want no shell", shell)
		}
	}
	if ca, err := os.ReadFile(filepath.Join(files, "etc/ssl/certs/ca-certificates.crt")); err != nil || !bytes.Contains(ca, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("got no certificates of authorities: %v", err)
	}
	if os.Getuid() != 0 {
		t.Fatal("this test needs root to run the image by chroot")
	}
	run(t, ".", "chmod", "0755", filepath.Dir(bundle), bundle, files) // root owns the temporary directory
	if err := os.Chmod(t.TempDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	as := []string{"--userspec=65532:65532", files, "/latchkey"}
	if got := run(t, ".", "chroot", append(as, "version")...); !strings.HasPrefix(got, "latchkey 1.2.3 abab") || !strings.Contains(got, "2026-05-04T10:00:00Z") {
		t.Errorf("version: got %s", got)
	}
	if out, err := try(t, ".", "chroot", append(as, "healthcheck", "--ops-listen", "127.0.0.1:1")...); err == nil || !strings.Contains(out, "connection refused") {
		t.Errorf("healthcheck without a server: got %v %s", err, out)
	}
}

// TestArchives tests that two builds of the archives are equal, that the checksums are right,
// and that the list of components contains the linked modules.
func TestArchives(t *testing.T) {
	out := release(t, root, "archives")
	if n := mustEqual(t, out, release(t, copyOfSources(t), "archives")); n != 5 {
		t.Errorf("got %d files in the release, want 5", n)
	}
	run(t, out, "sha256sum", "--check", "--strict", "SHA256SUMS")
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program := fileOfArchive(t, filepath.Join(out, "latchkey_1.2.3_linux_"+arch+".tar.gz"), "/latchkey")
		parsed, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Machine != machine || parsed.Section(".interp") != nil || parsed.Section(".symtab") != nil {
			t.Errorf("the program for %s: got one for %v, or linked dynamically, or not stripped", arch, parsed.Machine)
		}
		if len(program) > 45<<20 {
			t.Errorf("the program for %s: got %d bytes, want at most 45 MiB", arch, len(program))
		}
		text, err := os.ReadFile(filepath.Join(out, "latchkey_1.2.3_linux_"+arch+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			BomFormat  string
			Components []struct{ Name, Version, PURL string }
		}
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		names := map[string]string{}
		for _, c := range list.Components {
			names[c.Name] = c.Version
		}
		if list.BomFormat != "CycloneDX" || names["github.com/ory/fosite"] != "v0.49.0" || names["std"] == "" {
			t.Errorf("got the components %v", names)
		}
	}
}

func fileOfArchive(t *testing.T, archive, suffix string) []byte {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if err != nil {
			t.Fatalf("%s: got no %s: %v", archive, suffix, err)
		}
		if strings.HasSuffix(header.Name, suffix) {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
}
