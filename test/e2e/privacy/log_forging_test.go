package privacy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// hostileTexts are texts that an attacker sends to add or change lines of the log.
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
		"tags":       "x\U000e0041\u00ad",
		"bytes":      "x\xff\xfe\xc0\xaf",
	}
}

// forgery fails the test if a text contains characters that control a terminal, or a forged
// line. If lines is set, each line must be JSON.
func forgery(t *testing.T, what, text string, lines bool) {
	t.Helper()
	if !isPlain(text) {
		t.Errorf("%s: got characters that control a terminal in %.300q", what, text)
	}
	if !lines {
		return
	}
	for line := range strings.Lines(text) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%s: got %v for the line %q", what, err, line)
		}
		if event["username"] == "forged" {
			t.Errorf("%s: got the forged line %q", what, line)
		}
	}
}

func isPlain(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
	}) < 0
}

// TestNoForgedLogLine sends hostile texts in each part of a request, and as names that
// administrators choose. They must not forge a line of the log, of the audit export, of the
// output of commands or of a response (ASVS 16.4.1).
func TestNoForgedLogLine(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, "LATCHKEY_LOG_LEVEL=trace")
		a.AddUsers("plain")
		login := a.Login("plain")
		for name, text := range hostileTexts() {
			// No surface accepts these names, but an older version may have stored them.
			login.Username = text
			var err error
			login, err = a.App.Store.PutLogin(t.Context(), login)
			a.Must(err)
			for what, got := range attack(a, text) {
				if got.Status == 0 || got.Status >= http.StatusInternalServerError {
					t.Errorf("%s as %s: got %d %s", name, what, got.Status, got.Body)
				}
				forgery(t, name+" as "+what+": the body", got.Body, false)
				forgery(t, name+" as "+what+": the header", fmt.Sprint(got.Header), false)
			}
			a.AwaitMessages()
		}
		seeCommandsForgeNothing(a, t)
		a.Server.Stop()
		forgery(t, "the log", a.Log.String(), true)
		export := a.Run("audit", "export")
		forgery(t, "the export", export, true)
		if strings.Count(a.Log.String(), `"audit":"sign_in"`) < 10 || strings.Count(export, `"action":"sign_in"`) < 10 || !strings.Contains(export, `\u202e`) {
			t.Error("got no sign-ins or hostile names in the log and the export")
		}
	})
}

// attack sends the text in all parts of a request.
func attack(a *kit.OneServer, text string) map[string]kit.Response {
	body, err := json.Marshal(map[string]string{"ClientID": text, "Username": text, "Email": text})
	a.Must(err)
	sane := []string{"grant_type", "password", "client_id", "shop", "client_secret", kit.ClientSecret, "username", "plain", "password", "x"}
	with := func(name, value string) string {
		fields := append([]string(nil), sane...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				fields[i+1] = value
				return kit.EncodeForm(fields...)
			}
		}
		return kit.EncodeForm(append(fields, name, value)...)
	}
	escaped := url.PathEscape(text)
	header := strings.Map(func(r rune) rune { // remove the characters that net/http does not send
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	answers := map[string]kit.Response{
		"hook": a.Server.Do(http.MethodPost, "/v1/password/onetimepassword", "application/json", string(body)),
		"path": a.Server.Do(http.MethodGet, "/v1/"+escaped, "", ""),
		"id":   a.Server.Do(http.MethodGet, "/v1/buyers/"+escaped+"?"+url.QueryEscape(text)+"=1", "", ""),
		"key":  a.Server.Form("/oauth/token", text, text),
		"own":  a.Server.SignIn("plain", "wrong"),
		"sound": a.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, with("password", "wrong"),
			"User-Agent", header, "X-Request-Id", header, "X-Forwarded-For", header, "Referer", header, "Authorization", "Basic "+header, "Origin", header),
		"bearer": a.Server.Do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+header, "X-Request-Id", header, "User-Agent", header),
	}
	for _, name := range []string{"client_id", "client_secret", "username", "password", "scope", "grant_type", "resource"} {
		answers[name] = a.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, with(name, text))
	}
	return answers
}

// seeCommandsForgeNothing checks the output of commands for people and for programs. Starting a
// command takes long, so one argument contains all hostile texts. Texts that are not UTF-8 are
// refused earlier, so they are in another argument.
func seeCommandsForgeNothing(a *kit.OneServer, t *testing.T) {
	t.Helper()
	commands := [][]string{{"client", "list"}, {"sender", "list"}, {"message", "list"}}
	var all, invalid string
	for _, text := range hostileTexts() {
		if text = strings.ReplaceAll(text, "\x00", ""); utf8.ValidString(text) { // the arguments of a process cannot contain NUL
			all += text
		} else {
			invalid += text
		}
	}
	for _, text := range []string{all, invalid} {
		commands = append(commands,
			[]string{"user", "unlock", text},
			[]string{"client", "disable", text},
			[]string{"message", "show", text},
			[]string{"keys", "revoke", text},
			[]string{"audit", "verify", "--expect", text},
			[]string{"apply", "-f", text},
			[]string{text},
		)
	}
	for _, args := range commands {
		for _, output := range []string{"text", "json"} {
			r := kit.TryCommand(t, a.Environ(), append(args, "--output", output)...)
			forgery(t, fmt.Sprintf("output of %q", args), r.Stdout, output == "json" && strings.HasPrefix(r.Stdout, "{"))
			forgery(t, fmt.Sprintf("errors of %q", args), r.Stderr, output == "json" && r.Stderr != "")
		}
	}
}

// TestHostileRecords tests that commands print records with hostile names safely.
func TestHostileRecords(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		for _, text := range hostileTexts() {
			client, err := a.App.Store.Client(t.Context(), "shop")
			a.Must(err)
			client.Name = text
			_, err = a.App.Store.PutClient(t.Context(), client)
			a.Must(err)
			sender, err := a.App.Store.Sender(t.Context(), "sink")
			a.Must(err)
			sender.Name, sender.URL = text, "http://127.0.0.1/"+text
			_, err = a.App.Store.PutSender(t.Context(), sender)
			a.Must(err)
			for _, args := range [][]string{{"client", "list"}, {"sender", "list"}} {
				for _, output := range []string{"text", "json"} {
					forgery(t, fmt.Sprint(args), a.Run(append(args, "--output", output)...), false)
				}
			}
		}
		began := time.Now()
		a.Must(a.App.Store.AddAuditEvents(t.Context(), []storage.AuditEvent{{
			Time: began.UTC(), Action: "x\u202e", Object: "y\x1b[2K\n", Outcome: "success", Source: "cli",
		}}))
		forgery(t, "export", a.Run("audit", "export", "--since", began.UTC().Add(-time.Hour).Format(time.RFC3339)), true)
	})
}
