package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floorPlan lists for each package which packages of this module it may import. A pattern that
// ends in /... covers the packages below. cmd and test may import everything.
var floorPlan = map[string][]string{
	"storage":                    {},
	"deploy/release":             {},
	"config":                     {"keys/jose", "otp/domain"},
	"storage/gormstore":          {"storage"},
	"storage/gormstore/gormtest": {"storage/gormstore", "storage/storetest/pgtest"},
	"storage/storetest":          {"otp/lockout", "storage"},
	"storage/storetest/pgtest":   {},
	"keys":                       {"keys/jose", "storage"},
	"keys/jose":                  {},
	"otp/lockout":                {"storage"},
	"otp/internal/poll":          {"storage"},
	"otp/domain":                 {},
	"otp/limit":                  {"storage"},
	"otp":                        {"keys", "keys/jose", "otp/domain", "otp/limit", "otp/lockout", "otp/internal/poll", "storage"},
	"otp/deliver":                {"otp", "otp/internal/poll", "storage"},
	"otp/deliver/mailer":         {"otp/deliver", "otp/domain", "storage"},
	"grants/internal/memstore":   {"otp/lockout", "storage"},
	"grants/statestore":          {"otp", "otp/lockout", "storage"},
	"grants/granttest":           {"grants", "grants/signin", "grants/statestore", "otp", "otp/lockout", "storage"},
	"grants/signin":              {"otp", "otp/limit", "otp/lockout", "storage"},
	"grants":                     {"grants/signin", "otp", "storage"},
	"oauth":                      {"grants", "grants/signin", "keys", "keys/jose", "oauth/admin", "oauth/client", "oauth/client/register", "oauth/dpop", "oauth/openapi", "oauth/proof", "oauth/surface", "oauth/token", "otp", "otp/limit", "storage"},
	"oauth/client":               {"grants", "keys/jose", "otp", "otp/limit", "storage"},
	"oauth/client/register":      {"grants", "keys", "oauth/client", "oauth/openapi", "oauth/surface", "oauth/token", "otp", "storage"},
	"oauth/admin":                {"otp", "otp/lockout", "otp/replay", "storage"},
	"oauth/dpop":                 {"keys/jose"},
	"oauth/token":                {"grants", "keys", "oauth/admin", "oauth/client", "oauth/dpop", "oauth/proof", "otp", "storage"},
	"oauth/proof":                {"keys", "oauth/dpop", "storage"},
	"oauth/openapi":              {},
	"oauth/ordercloud":           {"grants", "grants/signin", "keys", "keys/jose", "oauth/admin", "oauth/client", "oauth/openapi", "oauth/ordercloud/wire", "oauth/surface", "oauth/token", "otp", "storage"},
	"oauth/ordercloud/wire":      {"grants", "keys", "keys/jose", "oauth/admin", "oauth/client", "oauth/surface", "oauth/token", "otp", "otp/deliver", "otp/lockout", "storage"},
	"oauth/console":              {"oauth/openapi", "oauth/ordercloud/wire", "oauth/surface"},
	"oauth/elasticpath":          {"grants", "grants/signin", "oauth", "oauth/admin", "oauth/client", "oauth/elasticpath/wire", "oauth/openapi", "oauth/surface", "oauth/token", "otp", "storage"},
	"oauth/elasticpath/wire":     {"oauth/surface", "oauth/token", "otp", "otp/deliver", "otp/lockout", "storage"},
	"oauth/resource":             {"keys/jose", "oauth/dpop"},
	"oauth/server": {
		"config", "grants", "grants/signin", "keys", "oauth", "oauth/admin", "oauth/elasticpath", "oauth/elasticpath/wire", "oauth/openapi", "oauth/ordercloud", "oauth/ordercloud/wire",
		"oauth/console", "oauth/server/audit", "oauth/server/internal/listen", "oauth/server/rewrap", "oauth/server/terminal", "oauth/server/internal/tracing", "oauth/signinpage", "oauth/surface", "oauth/token", "otp", "otp/deliver", "otp/deliver/mailer", "otp/limit", "otp/lockout", "storage", "storage/gormstore",
	},
	"oauth/server/audit":            {"otp/limit", "storage"},
	"oauth/server/rewrap":           {"keys", "storage"},
	"oauth/server/selftest":         {},
	"oauth/server/terminal":         {},
	"oauth/server/internal/tracing": {},
	"otp/replay":                    {"otp", "otp/limit", "otp/lockout", "storage"},
	"oauth/server/internal/listen":  {"oauth/surface", "otp/limit"},
	"oauth/signinpage":              {"grants", "grants/signin", "keys", "oauth", "oauth/admin", "oauth/surface", "otp", "storage"},
	"oauth/surface":                 {"grants/signin", "oauth/admin", "oauth/openapi", "oauth/token", "otp", "storage"},
}

// importers has the packages that may import each external module.
var importers = map[string][]string{
	"gorm.io/":                   {"storage/gormstore"},
	"github.com/jackc/":          {"storage/gormstore", "storage/storetest/pgtest"},
	"modernc.org/":               {"storage/gormstore"},
	"database/sql":               {"storage/gormstore", "storage/storetest/pgtest"},
	"github.com/pressly/":        {"storage/gormstore"},
	"github.com/ory/fosite":      {"grants", "grants/granttest", "oauth"},
	"github.com/ory/fosite/":     {},
	"github.com/spf13/cobra":     {},
	"go.opentelemetry.io/":       {"oauth/server/internal/tracing"},
	"github.com/golang-jwt/jwt/": {"keys", "oauth/client", "oauth/token", "oauth/resource", "oauth/dpop"},
}

type listed struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "latchkey/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestFloorPlan tests that every package follows the floor plan; see docs/decisions/0023.
func TestFloorPlan(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "latchkey/")
		if strings.HasPrefix(name, "test/") {
			continue
		}
		checkKit(t, name, slices.Concat(p.Imports, p.TestImports, p.XTestImports))
		if strings.HasPrefix(name, "cmd/") {
			continue
		}
		allowed, ok := floorPlan[name]
		if !ok {
			t.Errorf("package %s is not in the floor plan", name)
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, "latchkey/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the floor plan does not allow", name, ours)
			}
			checkStranger(t, name, imported)
		}
		if name == "storage" {
			checkStandardOnly(t, p.Imports)
		}
	}
}

// checkKit checks that only packages in test/e2e import the kit of the end-to-end tests.
func checkKit(t *testing.T, name string, imports []string) {
	t.Helper()
	for _, imported := range imports {
		if strings.HasPrefix(imported, "latchkey/test/") {
			t.Errorf("%s imports %s, which is for test/e2e only", name, imported)
		}
	}
}

func checkStranger(t *testing.T, name, imported string) {
	t.Helper()
	for prefix, allowed := range importers {
		matches := strings.HasPrefix(imported, prefix)
		if !strings.HasSuffix(prefix, "/") {
			matches = imported == prefix
		}
		if matches && !slices.Contains(allowed, name) {
			t.Errorf("%s imports %s, which is not allowed there", name, imported)
		}
	}
}

func checkStandardOnly(t *testing.T, imports []string) {
	t.Helper()
	for _, imported := range imports {
		if strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
			t.Errorf("storage imports %s, which is not of the standard library", imported)
		}
	}
}

// TestGrantsArePluggable tests that the packages that other fosite servers import do not depend
// on the database, the configuration and the HTTP server, directly or indirectly.
func TestGrantsArePluggable(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "latchkey/")
		if !slices.Contains([]string{"grants", "grants/signin", "otp", "keys"}, name) {
			continue
		}
		for _, dep := range p.Deps {
			for _, unwanted := range []string{"gorm.io/", "latchkey/config", "latchkey/oauth", "latchkey/storage/", "github.com/spf13/"} {
				if strings.HasPrefix(dep, unwanted) {
					t.Errorf("%s depends on %s, want no such dependency", name, dep)
				}
			}
		}
	}
}
