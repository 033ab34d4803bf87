package kit

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// VisibleBody returns the status, the headers and the body of a response, without the parts
// that always differ.
func VisibleBody(a Response) string {
	header := maps.Clone(a.Header)
	header.Del("Date")
	if id := header.Get("X-Request-Id"); id != "" {
		header.Set("X-Request-Id", fmt.Sprint(len(id)))
	}
	var lines []string
	for name, values := range header {
		lines = append(lines, fmt.Sprintf("%s: %q\n", name, values))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d\n%s\n%s", a.Status, strings.Join(lines, ""), a.Body)
}

// SearchFor fails the test if content contains a secret, as it is or in a usual encoding.
func SearchFor(t *testing.T, place string, content []byte, what, secret string) {
	t.Helper()
	text := string(content)
	if secret == "" {
		t.Fatalf("got no %s", what)
	}
	disguises := []string{
		secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.StdEncoding} {
		if raw, err := encoding.DecodeString(secret); err == nil && len(raw) >= 16 {
			disguises = append(disguises, string(raw), hex.EncodeToString(raw))
		}
	}
	if strings.HasSuffix(what, "code") {
		disguises = append(disguises, strings.ToLower(secret))
	}
	for _, disguise := range disguises {
		if strings.Contains(text, disguise) {
			t.Errorf("%s contains the %s (as %q)", place, what, disguise)
		}
	}
}

// StoredBytes returns all bytes of the database: the files of SQLite, or the columns of
// PostgreSQL.
func (a *OneServer) StoredBytes() map[string][]byte {
	a.T.Helper()
	content := map[string][]byte{}
	path, isFile := strings.CutPrefix(a.DatabaseURL, "sqlite:")
	if !isFile {
		content["PostgreSQL"] = dumpOf(a.T, a.DB)
		return content
	}
	names, err := filepath.Glob(path + "*")
	a.Must(err)
	for _, name := range names {
		// This process must not open the file. Closing it would release the locks of SQLite in
		// this process, and another process would delete the log.
		file, err := exec.Command("cat", name).Output()
		a.Must(err)
		content[filepath.Base(name)] = file
	}
	for _, name := range []string{"latchkey.db", "latchkey.db-wal"} {
		if len(content[name]) == 0 {
			a.T.Errorf("%s is missing or empty", name)
		}
	}
	return content
}

// dumpOf returns the bytes of all columns that can contain a text.
func dumpOf(t testing.TB, db *sql.DB) []byte {
	t.Helper()
	rows, err := db.Query(`SELECT table_name, column_name, data_type FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type IN ('text', 'bytea', 'character varying', 'json', 'jsonb')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var queries []string
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			t.Fatal(err)
		}
		value := column
		if kind != "bytea" {
			value = "convert_to(" + column + "::text, 'UTF8')"
		}
		queries = append(queries, fmt.Sprintf("SELECT coalesce(string_agg(%s, ' '::bytea), '') FROM %s", value, table))
	}
	if err := rows.Err(); err != nil || len(queries) < 50 {
		t.Fatalf("got %d columns, error %v", len(queries), err)
	}
	var dump []byte
	for _, query := range queries {
		var content []byte
		if err := db.QueryRow(query).Scan(&content); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		dump = append(append(dump, content...), '\n')
	}
	if !strings.Contains(string(dump), "@example.com") {
		t.Fatal("got a dump without email addresses")
	}
	return dump
}
