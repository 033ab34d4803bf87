package main

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// TestUniformAnswers: nothing that a caller sees tells who exists.
func TestUniformAnswers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		enterArena(w).each(t, []arenaTest{
			{"asking for a code", uniformRequests},
			{"signing in", uniformRefusals},
			{"one address, two names", twoNames},
		})
	})
}

// visible is what a caller sees of an answer, but for what always differs.
func visible(a answer) string {
	header := maps.Clone(a.header)
	header.Del("Date")
	if id := header.Get("X-Request-Id"); id != "" {
		header.Set("X-Request-Id", fmt.Sprint(len(id)))
	}
	var lines []string
	for name, values := range header {
		lines = append(lines, fmt.Sprintf("%s: %q\n", name, values))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d\n%s\n%s", a.status, strings.Join(lines, ""), a.body)
}

func uniformRequests(t *testing.T, a *arena) {
	a.enrol("c1", "c1-locked")
	a.enrolIn("acme", func(user jsonObject) { delete(user, "Email") }, "c1-mute")
	a.lockOut(a.n, "c1-locked")
	a.settled()
	known := visible(a.n.askForCode("c1", ""))
	if want := "204\nCache-Control: [\"no-store\"]\n"; !strings.HasPrefix(known, want) || !strings.HasSuffix(known, "\n\n") {
		t.Fatalf("known user:\n%s", known)
	}
	for _, asked := range [][2]string{
		{"c1", ""},
		{"c1-nobody", ""},
		{"", "c1-nobody@people.example"},
		{"", "c1@people.example"},
		{"c1", "c1@people.example"},
		{"c1", "jane@example.com"},
		{"c1-nobody", "c1@people.example"},
		{"gone", ""},
		{"", "gone@example.com"},
		{"carl", ""},
		{"c1-locked", ""},
		{"", "c1-locked@people.example"},
		{"c1-mute", ""},
		{"c1-mute", "c1-mute@people.example"},
		{"ada", ""},
		{strings.Repeat("x", 500), ""},
	} {
		if diff := cmp.Diff(known, visible(a.n.askForCode(asked[0], asked[1]))); diff != "" {
			t.Errorf("%q: %s", asked, diff)
		}
	}
	sent := map[string]int{}
	for _, m := range a.settled() {
		sent[m.EventBody.Username]++
	}
	// A sender may know a way other than mail, and guesses at passwords keep no
	// code from its owner.
	want := map[string]int{"c1": 4, "c1-mute": 1, "c1-locked": 2}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("messages: %s", diff)
	}
}

func uniformRefusals(t *testing.T, a *arena) {
	a.enrol("c1a", "c1a-locked", "c1a-used", "c1a-late")
	a.enrolWithout("c1a-none")
	a.plant("c1a-locked", "01234567", nil) // with a code to hit, guesses lock codes as well
	a.lockOut(a.n, "c1a-locked")
	used := a.codeThrough(a.n, "shop", "c1a-used")
	granted(t, "code", a.n.signIn("c1a-used", used))
	a.plant("c1a-late", "01234567", func(c *storage.Code) { c.ExpiresAt = a.clock.now().Add(-time.Second) })
	known := visible(a.n.signIn("c1a", "wrong"))
	if !strings.HasPrefix(known, "400\n") || !strings.HasSuffix(known, "\n\n"+refusedSignIn) {
		t.Fatalf("wrong password:\n%s", known)
	}
	for what, try := range map[string][2]string{
		"unknown user":                   {"c1a-nobody", janesPassword},
		"user without password":          {"c1a-none", janesPassword},
		"disabled user, right password":  {"gone", janesPassword},
		"disabled user, wrong password":  {"gone", "wrong"},
		"closed company, right password": {"carl", janesPassword},
		"not admitted, right password":   {"ada", janesPassword},
		"locked, right password":         {"c1a-locked", janesPassword},
		"locked, right code":             {"c1a-locked", "01234567"},
		"locked, wrong":                  {"c1a-locked", "wrong"},
		"used code":                      {"c1a-used", used},
		"expired code":                   {"c1a-late", "01234567"},
		"name in other letters":          {"  C1A ", "wrong"},
		"very long password":             {"c1a", strings.Repeat("p", 5000)},
		"control characters":             {"c1a", "wr\x00ong\r\n"},
	} {
		if diff := cmp.Diff(known, visible(a.n.signIn(try[0], try[1]))); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// twoNames: each of the people behind one address gets a code of their own;
// a pair that does not belong together gets none.
func twoNames(t *testing.T, a *arena) {
	a.settled()
	for _, asked := range [][2]string{{"", " DOE@example.com "}, {"jane", "doe@example.com"}, {"john", "jane@example.com"}} {
		if got := a.n.askForCode(asked[0], asked[1]); got.status != http.StatusNoContent {
			t.Fatalf("%q: %d %s", asked, got.status, got.body)
		}
	}
	codes := map[string]string{}
	mails := a.settled()
	for _, m := range mails {
		codes[m.EventBody.Username] = m.EventBody.OneTimePassword
	}
	if len(mails) != 2 || codes["john"] == "" || codes["johnny"] == "" || codes["john"] == codes["johnny"] {
		t.Fatalf("messages: %v", codes)
	}
	refused(t, "john's code for johnny", a.n.signIn("johnny", codes["john"]), refusedSignIn)
	granted(t, "john's", a.n.signIn("john", codes["john"]))
	granted(t, "johnny's", a.n.signIn("johnny", codes["johnny"]))
	// With the name as well, only that one is meant.
	if got := a.n.askForCode("johnny", "doe@example.com"); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if mails := a.settled(); len(mails) != 1 || mails[0].EventBody.Username != "johnny" {
		t.Errorf("%d messages, want johnny's alone", len(mails))
	}
}

// TestNoSecretAtRest looks for everything that is secret in the database, file
// by file or column by column, and in the log: while a message waits, and after
// everything has been used.
func TestNoSecretAtRest(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(strings.ReplaceAll(everyTypeDocument, "SINK", w.inbox.url))
		a := enterArena(w, "LATCHKEY_LOG_LEVEL=trace")
		a.inbox.answer.Store(http.StatusServiceUnavailable)
		for _, got := range []answer{a.n.askForCode("jane", ""), a.n.askForRenewal("john")} {
			if got.status != http.StatusNoContent {
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
		awaitThat(t, "delivery was tried", func() bool {
			return a.one("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "2"
		})
		waiting := a.remains()
		a.inbox.answer.Store(http.StatusOK)
		a.clock.advance(time.Minute)
		m, renewal := a.inbox.next(t), a.inbox.next(t)
		if m.MessageType != "OneTimePassword" {
			m, renewal = renewal, m
		}
		code, verification := m.EventBody.OneTimePassword, renewal.EventBody.PasswordRenewalVerificationCode
		if got := a.n.renew(verification, "john", nextPassword); got.status != http.StatusNoContent {
			t.Fatalf("renewal: %d %s", got.status, got.body)
		}
		granted(t, "new password", a.n.signIn("john", nextPassword))
		first := granted(t, "code", a.n.signIn("jane", code))
		second := granted(t, "refresh", a.n.refresh(first.field("refresh_token")))
		granted(t, "password", a.n.signIn("jane", janesPassword))
		refused(t, "mistyped", a.n.signIn("jane", janesPassword+"-mistyped"), refusedSignIn)
		refused(t, "password as name", a.n.signIn("secret-in-the-wrong-field", "x"), refusedSignIn)
		a.settled()

		secrets := map[string]string{
			"code": code, "password": janesPassword, "client secret": shopSecret, "shared key": sharedKey,
			"master key": testMasterKey, "user token": m.UserToken,
			"access token": first.field("access_token"), "second access token": second.field("access_token"),
		}
		secrets["verification code"], secrets["renewal token"] = verification, renewal.EventBody.PasswordRenewalAccessToken
		secrets["new password"] = nextPassword
		for i, token := range []string{first.field("refresh_token"), second.field("refresh_token")} {
			secrets[fmt.Sprint("refresh token ", i)] = token
			parts := strings.Split(token, ".")
			secrets[fmt.Sprint("seed ", i)], secrets[fmt.Sprint("MAC ", i)] = parts[len(parts)-2], parts[len(parts)-1]
		}
		places := map[string][]byte{"log": []byte(a.log.String())}
		maps.Copy(places, waiting)
		for name, content := range a.remains() {
			places[name+" at the end"] = content
		}
		if !strings.Contains(string(places["log"]), `"audit":"sign_in"`) {
			t.Error("the log is empty")
		}
		for place, content := range places {
			for what, secret := range secrets {
				searchFor(t, place, content, what, secret)
			}
		}
	})
}

// searchFor looks for a secret as it is and in its usual disguises.
func searchFor(t *testing.T, place string, content []byte, what, secret string) {
	t.Helper()
	text := string(content)
	if secret == "" {
		t.Fatalf("there is no %s", what)
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
	if what == "code" || what == "verification code" {
		disguises = append(disguises, strings.ToLower(secret))
	}
	for _, disguise := range disguises {
		if strings.Contains(text, disguise) {
			t.Errorf("%s holds the %s (as %q)", place, what, disguise)
		}
	}
}

// remains is everything that the database keeps.
func (a *arena) remains() map[string][]byte {
	a.t.Helper()
	content := map[string][]byte{}
	path, isFile := strings.CutPrefix(a.databaseURL, "sqlite:")
	if !isFile {
		content["PostgreSQL"] = dumpOf(a.t, a.db)
		return content
	}
	names, err := filepath.Glob(path + "*")
	a.must(err)
	for _, name := range names {
		file, err := os.ReadFile(name)
		a.must(err)
		content[filepath.Base(name)] = file
	}
	for _, name := range []string{"latchkey.db", "latchkey.db-wal"} {
		if len(content[name]) == 0 {
			a.t.Errorf("%s is missing or empty", name)
		}
	}
	return content
}

// dumpOf reads every column of every table that can hold a text, as bytes.
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
		t.Fatalf("%d columns, %v", len(queries), err)
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
		t.Fatal("the dump does not hold what it must")
	}
	return dump
}
