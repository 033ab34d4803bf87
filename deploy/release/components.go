package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// bom is a list of components in the format CycloneDX 1.5.
type bom struct {
	Format       string      `json:"bomFormat"`
	SpecVersion  string      `json:"specVersion"`
	SerialNumber string      `json:"serialNumber"`
	Version      int         `json:"version"`
	Metadata     bomMetadata `json:"metadata"`
	Components   []component `json:"components"`
}

type bomMetadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type    string          `json:"type"`
	Ref     string          `json:"bom-ref"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	PURL    string          `json:"purl"`
	Hashes  []componentHash `json:"hashes,omitempty"`
}

type componentHash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

// htmxVersion is the version of oauth/console/assets/htmx.
const htmxVersion = "2.0.11"

// components lists the modules that the program was linked from, as it says itself, and
// the version of Go. The serial number is derived from the program, so that it is the
// same when the program is.
func (b *build) components(program []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	sum := digest(program)
	list := bom{
		Format: "CycloneDX", SpecVersion: "1.5", Version: 1,
		SerialNumber: fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", sum[:8], sum[8:12], sum[13:16], sum[17:20], sum[20:32]),
		Metadata: bomMetadata{b.date, component{
			Type: "application", Ref: "latchkey", Name: "latchkey", Version: b.version, PURL: "pkg:generic/latchkey@" + b.version,
			Hashes: []componentHash{{"SHA-256", sum}},
		}},
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list.Components = append(list.Components, moduleComponent(m))
	}
	list.Components = append(list.Components, component{
		Type: "library", Ref: "std", Name: "std", Version: info.GoVersion, PURL: "pkg:golang/std@" + info.GoVersion[len("go"):],
	})
	list.Components = append(list.Components, component{ // embedded by the console
		Type: "library", Ref: "htmx", Name: "htmx.org", Version: htmxVersion, PURL: "pkg:npm/htmx.org@" + htmxVersion,
	})
	text, err := json.MarshalIndent(list, "", "  ")
	return append(text, '\n'), err
}

func moduleComponent(m *debug.Module) component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	return component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
}
