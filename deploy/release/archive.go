package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// architectures are those of the released archives.
var architectures = []string{"amd64", "arm64"}

// archives writes an archive and a list of components for each architecture, and the
// checksums of all of them.
func (b *build) archives() error {
	files := map[string][]byte{}
	for _, b.arch = range architectures {
		program, err := b.compiled()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("latchkey_%s_linux_%s", b.version, b.arch)
		entries := []entry{dir(name, 0), file(name+"/latchkey", 0o755, program)}
		for _, also := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy/systemd/latchkey.service"} {
			text, err := os.ReadFile(also)
			if err != nil {
				return err
			}
			entries = append(entries, file(name+"/"+filepath.Base(also), 0o644, text))
		}
		if files[name+".tar.gz"], err = b.targz(entries); err != nil {
			return err
		}
		if files[name+".cdx.json"], err = b.components(program); err != nil {
			return err
		}
	}
	files["SHA256SUMS"] = checksums(files)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(b.out, name), text, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}

// checksums lists digests as sha256sum does.
func checksums(files map[string][]byte) []byte {
	var lines []string
	for name, text := range files {
		lines = append(lines, digest(text)+"  "+name+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	return []byte(strings.Join(lines, ""))
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// entry is a file or a directory of an archive.
type entry struct {
	header tar.Header
	text   []byte
}

func file(name string, mode int64, text []byte) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))}, text}
}

// dir is a directory that the user with the id owns.
func dir(name string, owner int) entry {
	return entry{header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, Uid: owner, Gid: owner}}
}

// tar writes an archive whose files all have the time of the commit.
func (b *build) tar(w io.Writer, entries []entry) error {
	archive := tar.NewWriter(w)
	for _, e := range entries {
		e.header.ModTime, e.header.Format = b.time, tar.FormatPAX
		if err := archive.WriteHeader(&e.header); err != nil {
			return err
		}
		if _, err := archive.Write(e.text); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (b *build) targz(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := b.tar(compressed, entries); err != nil {
		return nil, err
	}
	err = compressed.Close()
	return out.Bytes(), err
}
