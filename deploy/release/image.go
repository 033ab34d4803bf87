package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
)

// user owns the process and its data in the image. It is not root.
const user = 65532

// The types of the OCI image specification.
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor names a blob of an image.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type imageConfig struct {
	Created string `json:"created"`
	platform
	Config  runConfig `json:"config"`
	RootFS  rootFS    `json:"rootfs"`
	History []history `json:"history"`
}

type runConfig struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	Cmd          []string
	WorkingDir   string
	Volumes      map[string]struct{}
	Labels       map[string]string
	StopSignal   string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// image writes an OCI image layout to the directory image. The image has the program, the
// certificates of authorities, a user, and a directory for data; it has no shell.
func (b *build) image() error {
	entries, err := b.imageFiles()
	if err != nil {
		return err
	}
	layer, err := b.targz(entries)
	if err != nil {
		return err
	}
	var plain bytes.Buffer
	if err := b.tar(&plain, entries); err != nil {
		return err
	}
	blobs := blobs{}
	config, err := blobs.addJSON(configType, b.imageConfig("sha256:"+digest(plain.Bytes())))
	if err != nil {
		return err
	}
	manifest, err := blobs.addJSON(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []descriptor{blobs.add(layerType, layer)},
	})
	if err != nil {
		return err
	}
	manifest.Platform = &platform{b.arch, "linux"}
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": "latchkey"}
	return blobs.write(filepath.Join(b.out, "image"), manifest)
}

// imageFiles returns the file system of the image.
func (b *build) imageFiles() ([]entry, error) {
	program, err := b.compiled()
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(b.ca)
	if err != nil {
		return nil, err
	}
	temporary := dir("tmp", 0)
	temporary.header.Mode = 0o1777
	return []entry{
		dir("data", user), dir("etc", 0), dir("etc/ssl", 0), dir("etc/ssl/certs", 0), temporary,
		file("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/none\nlatchkey:x:65532:65532:latchkey:/data:/none\n")),
		file("etc/group", 0o644, []byte("root:x:0:\nlatchkey:x:65532:\n")),
		file("etc/ssl/certs/ca-certificates.crt", 0o644, ca),
		file("latchkey", 0o755, program),
	}, nil
}

func (b *build) imageConfig(diffID string) imageConfig {
	return imageConfig{
		Created: b.date, platform: platform{b.arch, "linux"},
		Config: runConfig{
			User: "65532:65532", WorkingDir: "/data", Entrypoint: []string{"/latchkey"}, Cmd: []string{"serve"}, StopSignal: "SIGTERM",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}}, Volumes: map[string]struct{}{"/data": {}},
			Env: []string{"PATH=/", "LATCHKEY_LISTEN=:8080", "LATCHKEY_OPS_LISTEN=:8081"},
			Labels: map[string]string{
				"org.opencontainers.image.title": "latchkey", "org.opencontainers.image.version": b.version,
				"org.opencontainers.image.revision": b.revision, "org.opencontainers.image.created": b.date,
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		RootFS:  rootFS{"layers", []string{diffID}},
		History: []history{{b.date, "deploy/release"}},
	}
}

// blobs are the contents of an image by digest.
type blobs map[string][]byte

func (s blobs) add(mediaType string, text []byte) descriptor {
	sum := digest(text)
	s[sum] = text
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(text)}
}

func (s blobs) addJSON(mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	return s.add(mediaType, text), err
}

// write writes the layout anew.
func (s blobs) write(path string, manifest descriptor) error {
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []descriptor{manifest}})
	if err != nil {
		return err
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index}
	for sum, text := range s {
		files["blobs/sha256/"+sum] = text
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(path, "blobs/sha256"), 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(path, name), text, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}
