package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
)

// deed is something that happens at a server, by the id of its request.
type deed struct {
	id   string
	do   func(id string) answer
	want []string // action, outcome, client, name, factor and object of each event
}

// TestEachDeedIsOneEvent does everything that is worth an audit event, each
// once, and reads what was written down of it (ASVS 16.2): one event for each,
// with the time in UTC, who, through which client, by what factor, with what
// outcome, from where, and the id of the request.
func TestEachDeedIsOneEvent(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, url string) {
		m := openMall(t, url, "LATCHKEY_OTP_LIMIT_RECIPIENT=60/10m", unhurried)
		began := time.Now().Add(-time.Minute)
		deeds := m.deeds()
		for _, d := range deeds {
			if got := d.do(d.id); got.status >= http.StatusInternalServerError {
				t.Fatalf("%s: %d %s", d.id, got.status, got.body)
			}
			m.settled()
		}
		m.n.stop() // writes what is still in memory
		events := m.exportedEvents("--since", began.UTC().Format(time.RFC3339))
		for _, d := range deeds {
			m.seeDeed(t, d, events)
		}
		m.seeCommands(t, events)
		if text := m.run("audit", "verify"); !strings.Contains(text, "are as they were written") {
			t.Error(text)
		}
	})
}

// databases runs a test on an empty database of each kind.
func databases(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgres(t).Database(t))
	})
}

// exportedEvents reads the audit events by the command.
func (a *arena) exportedEvents(args ...string) (events []exportedEvent) {
	a.t.Helper()
	lines := json.NewDecoder(strings.NewReader(a.run(append([]string{"audit", "export"}, args...)...)))
	for lines.More() {
		var e exportedEvent
		a.must(lines.Decode(&e))
		events = append(events, e)
	}
	return events
}

func (e exportedEvent) summary() string {
	text := strings.Join([]string{e.Action, e.Outcome, e.ClientID, e.Username, e.Factor, e.Object}, "|")
	for shape, name := range map[string]string{
		`^message\.queued\|[^|]+`: "message.queued|QUEUE", `made/.+$`: "made/SECRET", `SigningKey/.+$`: "SigningKey/KID", `integration/.+$`: "integration/ID",
		`^(client.registered.*/).+$`: "${1}ID",
	} {
		text = regexp.MustCompile(shape).ReplaceAllString(text, name)
	}
	return text
}

func (m *mall) seeDeed(t *testing.T, d deed, events []exportedEvent) {
	t.Helper()
	var got []string
	for _, e := range events {
		if e.Request != d.id {
			continue
		}
		got = append(got, e.summary())
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil || !strings.HasSuffix(e.Time, "Z") || time.Since(at).Abs() > 100*24*time.Hour {
			t.Errorf("%s: time %q of %s", d.id, e.Time, e.Action)
		}
		if byWorker := strings.HasPrefix(e.Action, "message.") || strings.HasSuffix(e.Action, ".issued") || strings.HasSuffix(e.Action, ".retired") || strings.HasSuffix(e.Action, ".not_sent"); e.Source != "127.0.0.1" && !byWorker {
			t.Errorf("%s: %s came from %q", d.id, e.Action, e.Source)
		}
		if e.Username != "" && e.User == "" || e.Seq == 0 || len(e.MAC) != 43 {
			t.Errorf("%s: %+v", d.id, e)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(d.want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", d.id, diff)
	}
}

// send sends a request under an id, in JSON with a token or as a form.
func (m *mall) send(id, bearer, method, path, body string) answer {
	media := "application/json"
	if strings.HasPrefix(path, "/oauth/") {
		media = formMedia
	}
	header := []string{"X-Request-Id", id}
	if bearer != "" {
		header = append(header, "Authorization", "Bearer "+bearer)
	}
	return m.n.do(method, path, media, body, header...)
}

func (m *mall) token(id string, fields ...string) answer {
	return m.send(id, "", http.MethodPost, "/oauth/token", encode(append(clientFields("front"), fields...)...))
}

// deeds lists what users and administrators do, in an order in which it can be
// done.
func (m *mall) deeds() []deed {
	m.t.Helper()
	hash, err := hashOfJane()
	m.must(err)
	club := m.company("audit-club")
	m.shopperWith(hash, "audrey", club)
	m.shopperWith(hash, "locke", club)
	root := m.admin().bearer
	var code, first, second, access, secretID string
	deeds := []deed{
		{"a-code-asked", func(id string) answer {
			got := m.send(id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"audrey"}`)
			code = m.receiver.next(m.t).Payload.Code
			return got
		}, []string{
			"code.requested|success|front||otp|", "code.issued|success|front|audrey|otp|",
			"message.queued|QUEUE|front|audrey|otp|", "message.delivered|success|front|audrey|otp|",
		}},
		{"a-code-replaced", func(id string) answer {
			got := m.send(id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"audrey"}`)
			code = m.receiver.next(m.t).Payload.Code
			return got
		}, []string{
			"code.requested|success|front||otp|", "code.issued|success|front|audrey|otp|", "code.retired|replaced|front|audrey|otp|",
			"message.queued|QUEUE|front|audrey|otp|", "message.delivered|success|front|audrey|otp|",
		}},
		{"a-code-for-nobody", func(id string) answer {
			return m.send(id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"nobody-at-all"}`)
		}, []string{"code.requested|success|front||otp|", "code.not_sent|no_such_login|front||otp|"}},
		{"a-wrong-guess", func(id string) answer {
			return m.token(id, "grant_type", "password", "username", "audrey", "password", "wrong")
		}, []string{"sign_in|wrong_credentials|front|audrey|otp|"}},
		{"a-code-used", func(id string) answer {
			got := m.token(id, "grant_type", "password", "username", "audrey", "password", code)
			first, access = got.field("refresh_token"), got.field("access_token")
			return got
		}, []string{"sign_in|success|front|audrey|otp|"}},
		{"a-refresh", func(id string) answer {
			got := m.token(id, "grant_type", "refresh_token", "refresh_token", first)
			second = got.field("refresh_token")
			return got
		}, []string{"refresh|success|front|audrey||"}},
		{"a-member-token", func(id string) answer {
			return m.token(id, "grant_type", grants.GrantAccountMember, "username", "audrey", "password", janesPassword, "account_id", club.ID)
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"an-exchange", func(id string) answer {
			return m.token(id, "grant_type", grants.GrantTokenExchange, "subject_token", access, "subject_token_type", grants.TokenTypeAccessToken)
		}, []string{"token.exchanged|success|front|audrey||"}},
		{"a-reused-refresh", func(id string) answer {
			m.clock.advance(time.Minute) // past the grace
			return m.token(id, "grant_type", "refresh_token", "refresh_token", first)
		}, []string{"refresh|reused token, family revoked|front|audrey||"}},
		{"a-revocation", func(id string) answer {
			fresh := m.token("unrelated", "grant_type", "password", "username", "audrey", "password", janesPassword).field("refresh_token")
			return m.send(id, "", http.MethodPost, "/oauth/revoke", encode(append(clientFields("front"), "token", fresh)...))
		}, []string{"token.revoked|success|front|||"}},
		{"an-introspection", func(id string) answer {
			return m.send(id, "", http.MethodPost, "/oauth/introspect", encode(append(clientFields("front"), "token", second)...))
		}, nil},
		{"a-password", func(id string) answer {
			return m.token(id, "grant_type", "password", "username", "audrey", "password", janesPassword)
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"an-unknown-name", func(id string) answer {
			return m.token(id, "grant_type", "password", "username", "typed-secret", "password", janesPassword)
		}, []string{"sign_in|no_such_login|front|||"}},
		{"an-account-token", func(id string) answer {
			return m.send(id, m.front().bearer, http.MethodPost, tokensV2, dataOf(byPassword("audrey", janesPassword)))
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"a-lock", func(id string) answer {
			for range 9 {
				m.token("unrelated", "grant_type", "password", "username", "locke", "password", "wrong")
			}
			return m.token(id, "grant_type", "password", "username", "locke", "password", "wrong")
		}, []string{"sign_in|wrong_credentials|front|locke||", "login.locked|success|front|locke||"}},
		{"a-locked-sign-in", func(id string) answer {
			return m.token(id, "grant_type", "password", "username", "locke", "password", janesPassword)
		}, []string{"sign_in|locked|front|locke||"}},
		{"a-client", func(id string) answer {
			return m.send(id, root, http.MethodPost, "/v1/apiclients", `{"ID":"made","AppName":"Made","Active":true,"AccessTokenDuration":60}`)
		}, []string{"apiclient.created|success|admin|||ApiClient/made"}},
		{"a-client-changed", func(id string) answer {
			return m.send(id, root, http.MethodPatch, "/v1/apiclients/made", `{"AppName":"Changed"}`)
		}, []string{"apiclient.updated|success|admin|||ApiClient/made"}},
		{"a-client-secret", func(id string) answer {
			got := m.send(id, root, http.MethodPost, "/v1/apiclients/made/secrets", `{"Name":"one"}`)
			secretID = got.field("ID")
			return got
		}, []string{"apiclientsecret.created|success|admin|||ApiClient/made/SECRET"}},
		{"a-client-secret-deleted", func(id string) answer {
			return m.send(id, root, http.MethodDelete, "/v1/apiclients/made/secrets/"+secretID, "")
		}, []string{"apiclientsecret.deleted|success|admin|||ApiClient/made/SECRET"}},
		{"a-client-deleted", func(id string) answer {
			return m.send(id, root, http.MethodDelete, "/v1/apiclients/made", "")
		}, []string{"apiclient.deleted|success|admin|||ApiClient/made"}},
		{"a-key-rotated", func(id string) answer {
			return m.send(id, root, http.MethodPost, "/v1/signingkeys/rotate", `{}`)
		}, []string{"signingkey.rotated|success|admin|||SigningKey/KID"}},
		{"a-profile-changed", func(id string) answer {
			return m.send(id, root, http.MethodPut, "/v1/securityprofiles/sp", `{"Name":"SP","Roles":["Shopper"]}`)
		}, []string{"securityprofile.created|success|admin|||SecurityProfile/sp"}},
		{"a-company", func(id string) answer {
			return m.send(id, root, http.MethodPut, "/v1/buyers/audited", `{"Name":"Audited","Active":true}`)
		}, []string{"buyer.created|success|admin|||Buyer/audited"}},
		{"a-user", func(id string) answer {
			return m.send(id, root, http.MethodPut, "/v1/buyers/audited/users/una", `{"Username":"una","Password":"`+janesPassword+`","FirstName":"U","LastName":"Na","Email":"una@example.com","Active":true}`)
		}, []string{"user.created|success|admin|||User/audited/una", "password.set|success|admin|||User/audited/una"}},
		{"a-sender", func(id string) answer {
			return m.send(id, root, http.MethodPut, "/v1/messagesenders/sms", `{"Name":"SMS","MessageTypes":["OneTimePassword"],"URL":"http://127.0.0.1:9/","SharedKey":"k"}`)
		}, []string{"messagesender.created|success|admin|||MessageSender/sms"}},
		{"an-integration", func(id string) answer {
			body, err := json.Marshal(map[string]any{"data": m.receiver.integration("More")})
			m.must(err)
			return m.send(id, root, http.MethodPost, "/v2/integrations", string(body))
		}, []string{"integration.created|success|admin|||integration/ID"}},
		{"a-password-changed", func(id string) answer {
			return m.send(id, root, http.MethodPatch, "/v1/buyers/audited/users/una", `{"Password":"`+nextPassword+`"}`)
		}, []string{"user.updated|success|admin|||User/audited/una", "password.set|success|admin|||User/audited/una"}},
		{"an-unlock", func(id string) answer {
			return m.send(id, root, http.MethodPost, "/v1/buyers/audited/users/una/unlock", `{}`)
		}, []string{"user.unlocked|success|admin|||User/audited/una"}},
		{"a-registration", func(id string) answer {
			return m.n.do(http.MethodPost, "/oauth/register", "application/json", `{"client_name":"R","redirect_uris":[],"grant_types":["password"]}`,
				"X-Request-Id", id, "Authorization", "Bearer "+root)
		}, []string{"client.registered|success|admin|||ApiClient/ID"}},
		{"a-limit", func(id string) answer {
			for range 60 {
				m.send("unrelated", "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"limited"}`)
			}
			return m.send(id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"limited"}`)
		}, []string{"code.limited|recipient|front||otp|"}},
		{"a-nonsense", func(id string) answer {
			return m.token(id, "grant_type", "nonsense")
		}, nil},
	}
	return deeds
}

func dataOf(o jsonObject) string {
	text, err := json.Marshal(map[string]any{"data": o})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// seeCommands looks for what the commands of the preparations wrote down.
func (m *mall) seeCommands(t *testing.T, events []exportedEvent) {
	t.Helper()
	for _, args := range [][]string{
		{"user", "unlock", "locke"},
		{"client", "disable", "bare"},
		{"keys", "rotate"},
		{"keys", "rewrap"},
		{"client", "secret", "add", "bare", "--name", "x"},
		{"client", "create", "--name", "Late", "--id", "late", "--public"},
	} {
		m.run(args...)
	}
	after := m.exportedEvents()[len(events):]
	var got []string
	for _, e := range after {
		if e.Source != sourceCLI || e.Username != osUser() || e.Outcome != "success" {
			t.Errorf("by a command: %+v", e)
		}
		object, _, _ := strings.Cut(e.Object, "/")
		got = append(got, e.Action+" "+object)
	}
	want := []string{
		"login.unlocked Login", "apiclient.updated ApiClient", "signingkey.rotated SigningKey", "secrets.rewrapped MasterKey",
		"apiclientsecret.created ApiClient", "apiclient.created ApiClient",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if bytes.Count([]byte(fmt.Sprint(events)), []byte("document.applied")) != 2 {
		t.Error("the documents of the preparations are not in the events")
	}
}
