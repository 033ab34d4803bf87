// Command release builds what others install: archives with checksums and a list of
// components, and an OCI image. It needs the Go tool only, no container engine. The same
// sources give the same bytes, on any day and below any path.
//
//	go run ./deploy/release [flags] archives   dist/latchkey_VERSION_linux_ARCH.tar.gz, SHA256SUMS, …
//	go run ./deploy/release [flags] image      dist/image, an OCI image layout
//	go run ./deploy/release [flags] binary     bin/latchkey
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	b := build{}
	flag.StringVar(&b.version, "version", "", "version; default: from git")
	flag.StringVar(&b.revision, "revision", "", "commit; default: from git")
	flag.StringVar(&b.date, "date", "", "time of the commit, RFC 3339; default: from git")
	flag.StringVar(&b.arch, "arch", runtime.GOARCH, "architecture of the binary or image: amd64 or arm64")
	flag.StringVar(&b.ca, "ca", "/etc/ssl/certs/ca-certificates.crt", "certificates of the authorities that the image trusts")
	flag.StringVar(&b.out, "out", "dist", "directory of the results")
	flag.Parse()
	if err := b.run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// build says what is built from which commit.
type build struct {
	version, revision, date string
	arch, ca, out           string

	time time.Time // of the commit
}

func (b *build) run(what string) error {
	if err := b.complete(); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil { //nolint:gosec // what others install is readable by all
		return err
	}
	switch what {
	case "archives":
		return b.archives()
	case "image":
		return b.image()
	case "binary":
		return b.compile("bin/latchkey")
	}
	return fmt.Errorf("%q is not one of archives, image and binary", what)
}

// complete takes the version, the commit and the date from git, unless they were given. A tree without git has the version "devel".
func (b *build) complete() (err error) {
	b.version = orElse(b.version, git("describe", "--tags", "--always", "--dirty"), "devel")
	b.revision = orElse(b.revision, git("rev-parse", "HEAD"), "unknown")
	b.date = orElse(b.date, git("log", "-1", "--format=%cI"), "1970-01-01T00:00:00Z")
	if b.time, err = time.Parse(time.RFC3339, b.date); err != nil {
		return fmt.Errorf("date: %w", err)
	}
	b.time = b.time.UTC()
	b.date = b.time.Format(time.RFC3339)
	return nil
}

func orElse(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// git returns the output of a git command, or "" if it fails.
func git(args ...string) string {
	out, err := exec.CommandContext(context.Background(), "git", args...).Output() //nolint:gosec // the arguments are this program's
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// compile builds the static program for linux without symbols and paths.
func (b *build) compile(path string) error {
	stamp := strings.Join([]string{"-s", "-w", "-X", "main.version=" + b.version, "-X", "main.revision=" + b.revision, "-X", "main.date=" + b.date}, " ")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", stamp, "-o", path, "./cmd/latchkey") //nolint:gosec // the arguments are the caller's
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// compiled builds the program in a temporary directory and returns its bytes.
func (b *build) compiled() (program []byte, err error) {
	dir, err := os.MkdirTemp("", "latchkey-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover does no harm
	path := filepath.Join(dir, "latchkey")
	if err := b.compile(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
