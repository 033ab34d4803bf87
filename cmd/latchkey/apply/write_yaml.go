package apply

import (
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"latchkey/oauth/ordercloud/wire"
)

// WriteYAML writes the document. It leaves out members for which an absent member means the
// same.
func (d Document) WriteYAML(w io.Writer) error {
	root, err := nodeOf(reflect.ValueOf(d))
	if err != nil {
		return err
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(root); err != nil {
		return err
	}
	return out.Close()
}

// meansEmpty reports whether an empty list means something else than an absent member.
func meansEmpty(member string) bool {
	return slices.Contains([]string{
		"Assignments", "Users", "GrantTypes", "AllowedCredentials", "MessageTypes", "password_profiles",
	}, member)
}

// nodeOf returns a value as YAML, or nil if it need not be written.
func nodeOf(v reflect.Value) (*yaml.Node, error) {
	switch value := v.Interface().(type) {
	case json.RawMessage:
		if len(value) == 0 || string(value) == "null" {
			return nil, nil
		}
		var tree any
		if err := json.Unmarshal(value, &tree); err != nil {
			return nil, err
		}
		return plainNode(tree)
	case time.Time:
		return plainNode(value.UTC().Format(time.RFC3339Nano))
	}
	switch v.Kind() { //nolint:exhaustive // the document has no others
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		if _, isTime := v.Interface().(*time.Time); !isTime && v.Elem().Kind() != reflect.Struct {
			return plainNode(v.Elem().Interface())
		}
		return nodeOf(v.Elem())
	case reflect.Struct:
		return structNode(v)
	case reflect.Slice:
		return listNode(v)
	}
	if v.IsZero() {
		return nil, nil
	}
	return plainNode(v.Interface())
}

func plainNode(value any) (*yaml.Node, error) {
	node := new(yaml.Node)
	return node, node.Encode(value)
}

func listNode(v reflect.Value) (*yaml.Node, error) {
	if v.IsNil() {
		return nil, nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if v.Len() == 0 || v.Type().Elem().Kind() != reflect.Struct {
		list.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		item, err := nodeOf(v.Index(i))
		if err != nil {
			return nil, err
		}
		if item == nil {
			item = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
		}
		list.Content = append(list.Content, item)
	}
	return list, nil
}

// structNode writes the fields in the order of the type.
func structNode(v reflect.Value) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name := memberName(f)
		value, err := nodeOf(v.FieldByIndex(f.Index))
		if err != nil {
			return nil, err
		}
		isTop := v.Type() == reflect.TypeFor[Document]()
		if value == nil || value.Kind == yaml.SequenceNode && len(value.Content) == 0 && !isTop && !meansEmpty(name) {
			continue
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	}
	return node, nil
}

// memberName returns the name of a field in a document.
func memberName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

// Line returns the line of a document where the member at a path begins, counted from 1.
// If the member is missing, it is the line of the item around it. 0: unknown.
func Line(data []byte, path string) int {
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 {
		return 0
	}
	node := root.Content[0]
	line := node.Line
	for _, part := range strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' }) {
		next := childOf(node, part)
		if next == nil {
			break
		}
		node, line = next.value, next.line
	}
	return line
}

// child is a member of a mapping or an element of a list.
type child struct {
	value *yaml.Node
	line  int
}

func childOf(node *yaml.Node, part string) *child {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind { //nolint:exhaustive // scalars have no children
	case yaml.SequenceNode:
		for i, item := range node.Content {
			if wire.Index("", i) == part {
				return &child{item, item.Line}
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == part {
				return &child{node.Content[i+1], node.Content[i].Line}
			}
		}
	}
	return nil
}
