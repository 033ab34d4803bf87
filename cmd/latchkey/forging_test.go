package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// hostileTexts are what somebody types who wants more lines in the log than
// there are, or other ones than there are.
func hostileTexts() map[string]string {
	forged := `{"level":"info","audit":"sign_in","outcome":"success","username":"forged"}`
	return map[string]string{
		"line":       "x\r\n" + forged + "\n",
		"JSON":       `x","audit":"sign_in","outcome":"success","username":"forged`,
		"NUL":        "x\x00" + forged,
		"ANSI":       "x\x1b[2K\x1b[1A\x1b]0;title\x07",
		"C1":         "x\u009b2K\u0085" + forged,
		"DEL":        "x\x7f\x08\x08",
		"bidi":       "x\u202e\u2066drowssap\u2069\u200f",
		"separators": "x\u2028" + forged + "\u2029\v\f",
		"bytes":      "x\xff\xfe\xc0\xaf",
	}
}

// forgery fails the test if a text holds anything that drives a terminal, or if
// one of its lines, each of which must be JSON if lines is set, is forged.
func forgery(t *testing.T, what, text string, lines bool) {
	t.Helper()
	if !isPlain(text) {
		t.Errorf("%s holds what drives a terminal: %.300q", what, text)
	}
	if !lines {
		return
	}
	for line := range strings.Lines(text) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%s: %v in line %q", what, err, line)
		}
		if event["username"] == "forged" {
			t.Errorf("%s has a forged line %q", what, line)
		}
	}
}

func isPlain(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return r != '\n' && controlsTerminal(r) }) < 0
}

// TestNoForgedLogLine puts hostile texts into everything that a request has, and
// that an administrator can name, and looks at all that is written about it: the
// log, the audit export, the tables of the commands and the answers (ASVS
// 16.4.1).
func TestNoForgedLogLine(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, "LATCHKEY_LOG_LEVEL=trace")
		a.enrol("plain")
		login := a.login("plain")
		for name, text := range hostileTexts() {
			// Names that no surface lets in, as an older version may have.
			login.Username = text
			var err error
			login, err = a.app.store.PutLogin(t.Context(), login)
			a.must(err)
			for what, got := range a.attack(text) {
				if got.status == 0 || got.status >= http.StatusInternalServerError {
					t.Errorf("%s as %s: %d %s", name, what, got.status, got.body)
				}
				forgery(t, name+" as "+what+": the body", got.body, false)
				forgery(t, name+" as "+what+": the header", fmt.Sprint(got.header), false)
			}
			a.settled()
			a.seeCommandsForgeNothing(t, name, text)
		}
		a.n.stop()
		forgery(t, "the log", a.log.String(), true)
		export := a.run("audit", "export")
		forgery(t, "the export", export, true)
		if strings.Count(a.log.String(), `"audit":"sign_in"`) < 10 || strings.Count(export, `"action":"sign_in"`) < 10 || !strings.Contains(export, `\u202e`) {
			t.Error("what was to be looked at is not there")
		}
	})
}

// attack sends the text as everything that a request has.
func (a *arena) attack(text string) map[string]answer {
	body, err := json.Marshal(map[string]string{"ClientID": text, "Username": text, "Email": text})
	a.must(err)
	sane := []string{"grant_type", "password", "client_id", "shop", "client_secret", shopSecret, "username", "plain", "password", "x"}
	with := func(name, value string) string {
		fields := append([]string(nil), sane...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				fields[i+1] = value
				return encode(fields...)
			}
		}
		return encode(append(fields, name, value)...)
	}
	escaped := url.PathEscape(text)
	header := strings.Map(func(r rune) rune { // what net/http lets a client send
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	answers := map[string]answer{
		"hook": a.n.do(http.MethodPost, "/v1/password/onetimepassword", "application/json", string(body)),
		"path": a.n.do(http.MethodGet, "/v1/"+escaped, "", ""),
		"id":   a.n.do(http.MethodGet, "/v1/buyers/"+escaped+"?"+url.QueryEscape(text)+"=1", "", ""),
		"key":  a.n.form("/oauth/token", text, text),
		"own":  a.n.signIn("plain", "wrong"),
		"sound": a.n.do(http.MethodPost, "/oauth/token", formMedia, with("password", "wrong"),
			"User-Agent", header, "X-Request-Id", header, "X-Forwarded-For", header, "Referer", header, "Authorization", "Basic "+header, "Origin", header),
		"bearer": a.n.do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+header, "X-Request-Id", header, "User-Agent", header),
	}
	for _, name := range []string{"client_id", "client_secret", "username", "password", "scope", "grant_type", "resource"} {
		answers[name] = a.n.do(http.MethodPost, "/oauth/token", formMedia, with(name, text))
	}
	return answers
}

// seeCommandsForgeNothing looks at what the commands print, to people and to
// programs.
func (a *arena) seeCommandsForgeNothing(t *testing.T, name, text string) {
	t.Helper()
	for _, output := range []string{"text", "json"} {
		for _, args := range [][]string{
			{"user", "unlock", text},
			{"client", "list"},
			{"client", "disable", text},
			{"sender", "list"},
			{"message", "list"},
			{"message", "show", text},
			{"keys", "revoke", text},
			{"audit", "verify", "--expect", text},
			{"apply", "-f", text},
			{text},
		} {
			var out, errs bytes.Buffer
			c := a.cli(&a.clock)
			c.stdout, c.stderr = &out, &errs
			c.environ = []string{"LATCHKEY_DATABASE_URL=" + a.databaseURL, "LATCHKEY_MASTER_KEY=" + testMasterKey}
			c.run(t.Context(), append(args, "--output", output))
			forgery(t, fmt.Sprintf("%s: output of %q", name, args), out.String(), output == "json" && out.Len() > 0 && out.String()[0] == '{')
			forgery(t, fmt.Sprintf("%s: errors of %q", name, args), errs.String(), output == "json" && errs.Len() > 0)
		}
	}
}

// TestHostileRecords prints records whose names are hostile.
func TestHostileRecords(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		for _, text := range hostileTexts() {
			client, err := a.app.store.Client(t.Context(), "shop")
			a.must(err)
			client.Name = text
			_, err = a.app.store.PutClient(t.Context(), client)
			a.must(err)
			sender, err := a.app.store.Sender(t.Context(), "sink")
			a.must(err)
			sender.Name, sender.URL = text, "http://127.0.0.1/"+text
			_, err = a.app.store.PutSender(t.Context(), sender)
			a.must(err)
			for _, args := range [][]string{{"client", "list"}, {"sender", "list"}} {
				for _, output := range []string{"text", "json"} {
					forgery(t, fmt.Sprint(args), a.run(append(args, "--output", output)...), false)
				}
			}
		}
		began := time.Now()
		a.must(a.app.audit(t.Context(), "x\u202e", "y\x1b[2K\n"))
		forgery(t, "export", a.run("audit", "export", "--since", began.UTC().Add(-time.Hour).Format(time.RFC3339)), true)
	})
}
