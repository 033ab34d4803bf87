package gormstore

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers are the groups of files, by the prefix of their names. A file uses names of its own
// group and of the groups before it. Files of no group may use everything.
var layers = []string{"db_", "records", "decide_", "list_", "audit_"}

func layerOf(file string) int {
	return slices.IndexFunc(layers, func(prefix string) bool { return strings.HasPrefix(file, prefix) })
}

// noPackages imports nothing, because the test looks only at the names of this package.
type noPackages struct{}

func (noPackages) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

func TestFilesUseTheLayersBelow(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	check := types.Config{Importer: noPackages{}, Error: func(error) {}}
	_, _ = check.Check("gormstore", files, parsed, info) // the imported names are errors
	found := map[string]bool{}
	for name, object := range info.Uses {
		if !object.Pos().IsValid() {
			continue
		}
		from, to := files.Position(name.Pos()), files.Position(object.Pos())
		if layer := layerOf(from.Filename); layer >= 0 && layerOf(to.Filename) > layer {
			found[fmt.Sprintf("%s uses %s of %s", from.Filename, name.Name, to.Filename)] = true
		}
	}
	if len(info.Uses) < 1000 {
		t.Errorf("only %d names were checked", len(info.Uses))
	}
	for use := range found {
		t.Error(use)
	}
}
