package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseYAML parses a configuration file: one mapping from known keys to scalars or,
// for lists, to sequences of scalars. It returns the valid settings together with
// the faults of the others. No fault contains a value.
func parseYAML(text []byte, file string) (layer, Faults) {
	l := newLayer()
	root, err := yamlRoot(text)
	if err != nil {
		return l, Faults{{Setting: "config", Source: file, Problem: err.Error()}}
	}
	var faults Faults
	known, seen := yamlKeys(), map[string]bool{}
	for i := 0; i+1 < len(root); i += 2 {
		key, value := root[i].Value, root[i+1]
		variable, ok := known[key]
		problem := ""
		switch {
		case root[i].Kind != yaml.ScalarNode:
			key, problem = "config", "a key must be plain text"
		case !ok:
			problem = "unknown key"
		case seen[key]:
			problem = "is given twice"
		}
		if problem == "" {
			var t string
			t, problem = scalarText(value)
			l.put(variable, t, place(file, value))
		}
		if problem != "" {
			faults = append(faults, Fault{Setting: printable(key), Source: place(file, root[i]), Problem: problem})
		}
		seen[key] = true
	}
	return l, faults
}

func place(file string, n *yaml.Node) string { return fmt.Sprintf("%s:%d", file, n.Line) }

// yamlKeys returns the variable of each key of the file.
func yamlKeys() map[string]string {
	keys := map[string]string{}
	for _, s := range Settings() {
		keys[s.Key] = s.Variable
		if s.Secret {
			keys[s.Key+"_file"] = s.fileVariable()
		}
	}
	return keys
}

// yamlRoot returns the nodes of the one mapping in the text, keys and values alternating.
// It returns no nodes for an empty text.
func yamlRoot(text []byte) ([]*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil && !errors.Is(dec.Decode(&more), io.EOF) {
		return nil, errors.New("must hold one YAML document and nothing after it")
	}
	if err != nil {
		return nil, errors.New("is not valid YAML" + yamlLine(err))
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("must be a mapping of settings to values")
	}
	return root.Content, nil
}

var lineNumber = regexp.MustCompile(`line \d+`)

// yamlLine returns only the line number of a parser's error, because the error may
// contain values of the file.
func yamlLine(err error) string {
	if line := lineNumber.FindString(err.Error()); line != "" {
		return ", near " + line
	}
	return ""
}

// scalarText returns the text of a scalar, or of a sequence of scalars with
// commas between them.
func scalarText(n *yaml.Node) (text, problem string) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", ""
		}
		return n.Value, ""
	case yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", "must be a list of plain values"
			}
			items[i] = item.Value
		}
		return strings.Join(items, ","), ""
	default:
		return "", "must be a plain value or a list of them"
	}
}
