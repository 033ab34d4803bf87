package admin

import (
	"encoding/json"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/test/e2e/kit"
)

// auditedAction is a request to a server, identified by the ID of the request.
type auditedAction struct {
	id   string
	do   func(id string) kit.Response
	want []string // action, outcome, client, name, factor and object of each event
}

// TestEachActionIsOneAuditEvent does each recorded action (ASVS 16.2) once. Each leads to one
// audit event with the time in UTC, the user, the client, the factor, the outcome, the address,
// and the ID of the request.
func TestEachActionIsOneAuditEvent(t *testing.T) {
	t.Parallel()
	kit.EachEmptyDatabase(t, func(t *testing.T, url string) {
		m := kit.NewElasticPath(t, url, "LATCHKEY_OTP_LIMIT_RECIPIENT=60/24h", kit.LongRequestTimeout)
		began := time.Now().Add(-time.Minute)
		deeds := auditedActions(m)
		for _, d := range deeds {
			if got := d.do(d.id); got.Status >= http.StatusInternalServerError {
				t.Fatalf("%s: got %d %s", d.id, got.Status, got.Body)
			}
			m.AwaitMessages()
		}
		m.Server.Stop() // writes the events that are still in memory
		events := exportedEvents(m.OneServer, "--since", began.UTC().Format(time.RFC3339))
		for _, d := range deeds {
			checkEvents(m, t, d, events)
		}
		checkEventsOfCommands(m, t, events)
		if text := m.Run("audit", "verify"); !strings.Contains(text, "are as they were written") {
			t.Error(text)
		}
	})
}

// exportedEvent is an event as "audit export" prints it.
type exportedEvent struct {
	Seq      int64
	Time     string
	Action   string
	Outcome  string
	ClientID string `json:"client_id"`
	User     string
	Username string
	Factor   string
	Object   string
	Source   string
	Request  string `json:"request_id"`
	MAC      string
}

// exportedEvents reads the audit events with the command.
func exportedEvents(a *kit.OneServer, args ...string) (events []exportedEvent) {
	a.T.Helper()
	lines := json.NewDecoder(strings.NewReader(a.Run(append([]string{"audit", "export"}, args...)...)))
	for lines.More() {
		var e exportedEvent
		a.Must(lines.Decode(&e))
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

func checkEvents(m *kit.ElasticPath, t *testing.T, d auditedAction, events []exportedEvent) {
	t.Helper()
	var got []string
	for _, e := range events {
		if e.Request != d.id {
			continue
		}
		got = append(got, e.summary())
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil || !strings.HasSuffix(e.Time, "Z") || time.Since(at).Abs() > 100*24*time.Hour {
			t.Errorf("%s: got the time %q of %s", d.id, e.Time, e.Action)
		}
		if byWorker := strings.HasPrefix(e.Action, "message.") || strings.HasSuffix(e.Action, ".issued") || strings.HasSuffix(e.Action, ".retired") || strings.HasSuffix(e.Action, ".not_sent"); e.Source != "127.0.0.1" && !byWorker {
			t.Errorf("%s: got %s from the source %q", d.id, e.Action, e.Source)
		}
		if e.Username != "" && e.User == "" || e.Seq == 0 || len(e.MAC) != 43 {
			t.Errorf("%s: got %+v", d.id, e)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(d.want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", d.id, diff)
	}
}

// send sends a request with an ID, as JSON with a token or as a form.
func send(m *kit.ElasticPath, id, bearer, method, path, body string) kit.Response {
	media := "application/json"
	if strings.HasPrefix(path, "/oauth/") {
		media = kit.FormMedia
	}
	header := []string{"X-Request-Id", id}
	if bearer != "" {
		header = append(header, "Authorization", "Bearer "+bearer)
	}
	return m.Server.Do(method, path, media, body, header...)
}

func tokenRequest(m *kit.ElasticPath, id string, fields ...string) kit.Response {
	return send(m, id, "", http.MethodPost, "/oauth/token", kit.EncodeForm(append(kit.ClientFields("front"), fields...)...))
}

// auditedActions lists the actions of users and administrators, in an order in which they are
// possible.
func auditedActions(m *kit.ElasticPath) []auditedAction {
	m.T.Helper()
	hash, err := kit.PasswordHash()
	m.Must(err)
	club := m.AddAccount("audit-club")
	m.AddShopperWithHash(hash, "audrey", club)
	m.AddShopperWithHash(hash, "locke", club)
	root := m.Admin().AccessToken
	var code, first, second, access, secretID string
	deeds := []auditedAction{
		{"a-code-asked", func(id string) kit.Response {
			got := send(m, id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"audrey"}`)
			code = m.Receiver.Next(m.T).Payload.Code
			return got
		}, []string{
			"code.requested|success|front||otp|", "code.issued|success|front|audrey|otp|",
			"message.queued|QUEUE|front|audrey|otp|", "message.delivered|success|front|audrey|otp|",
		}},
		{"a-code-replaced", func(id string) kit.Response {
			got := send(m, id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"audrey"}`)
			code = m.Receiver.Next(m.T).Payload.Code
			return got
		}, []string{
			"code.requested|success|front||otp|", "code.issued|success|front|audrey|otp|", "code.retired|replaced|front|audrey|otp|",
			"message.queued|QUEUE|front|audrey|otp|", "message.delivered|success|front|audrey|otp|",
		}},
		{"a-code-for-nobody", func(id string) kit.Response {
			return send(m, id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"nobody-at-all"}`)
		}, []string{"code.requested|success|front||otp|", "code.not_sent|no_such_login|front||otp|"}},
		{"a-wrong-guess", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", "password", "username", "audrey", "password", "wrong")
		}, []string{"sign_in|wrong_credentials|front|audrey|otp|"}},
		{"a-code-used", func(id string) kit.Response {
			got := tokenRequest(m, id, "grant_type", "password", "username", "audrey", "password", code)
			first, access = got.Field("refresh_token"), got.Field("access_token")
			return got
		}, []string{"sign_in|success|front|audrey|otp|"}},
		{"a-refresh", func(id string) kit.Response {
			got := tokenRequest(m, id, "grant_type", "refresh_token", "refresh_token", first)
			second = got.Field("refresh_token")
			return got
		}, []string{"refresh|success|front|audrey||"}},
		{"a-member-token", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", grants.GrantAccountMember, "username", "audrey", "password", kit.Password, "account_id", club.ID)
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"an-exchange", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", grants.GrantTokenExchange, "subject_token", access, "subject_token_type", grants.TokenTypeAccessToken)
		}, []string{"token.exchanged|success|front|audrey||"}},
		{"a-reused-refresh", func(id string) kit.Response {
			m.Clock.Advance(time.Minute) // after the grace period
			return tokenRequest(m, id, "grant_type", "refresh_token", "refresh_token", first)
		}, []string{"refresh|reused token, family revoked|front|audrey||"}},
		{"a-revocation", func(id string) kit.Response {
			fresh := tokenRequest(m, "unrelated", "grant_type", "password", "username", "audrey", "password", kit.Password).Field("refresh_token")
			return send(m, id, "", http.MethodPost, "/oauth/revoke", kit.EncodeForm(append(kit.ClientFields("front"), "token", fresh)...))
		}, []string{"token.revoked|success|front|||"}},
		{"an-introspection", func(id string) kit.Response {
			return send(m, id, "", http.MethodPost, "/oauth/introspect", kit.EncodeForm(append(kit.ClientFields("front"), "token", second)...))
		}, nil},
		{"a-password", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", "password", "username", "audrey", "password", kit.Password)
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"an-unknown-name", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", "password", "username", "typed-secret", "password", kit.Password)
		}, []string{"sign_in|no_such_login|front|||"}},
		{"an-account-token", func(id string) kit.Response {
			return send(m, id, m.Storefront().AccessToken, http.MethodPost, kit.AccountTokensPath, kit.DataOf(kit.ByPassword("audrey", kit.Password)))
		}, []string{"sign_in|success|front|audrey|pwd|"}},
		{"a-lock", func(id string) kit.Response {
			for range 9 {
				tokenRequest(m, "unrelated", "grant_type", "password", "username", "locke", "password", "wrong")
			}
			return tokenRequest(m, id, "grant_type", "password", "username", "locke", "password", "wrong")
		}, []string{"sign_in|wrong_credentials|front|locke||", "login.locked|success|front|locke||"}},
		{"a-locked-sign-in", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", "password", "username", "locke", "password", kit.Password)
		}, []string{"sign_in|locked|front|locke||"}},
		{"a-client", func(id string) kit.Response {
			return send(m, id, root, http.MethodPost, "/v1/apiclients", `{"ID":"made","AppName":"Made","Active":true,"AccessTokenDuration":60}`)
		}, []string{"apiclient.created|success|admin|||ApiClient/made"}},
		{"a-client-changed", func(id string) kit.Response {
			return send(m, id, root, http.MethodPatch, "/v1/apiclients/made", `{"AppName":"Changed"}`)
		}, []string{"apiclient.updated|success|admin|||ApiClient/made"}},
		{"a-client-secret", func(id string) kit.Response {
			got := send(m, id, root, http.MethodPost, "/v1/apiclients/made/secrets", `{"Name":"one"}`)
			secretID = got.Field("ID")
			return got
		}, []string{"apiclientsecret.created|success|admin|||ApiClient/made/SECRET"}},
		{"a-client-secret-deleted", func(id string) kit.Response {
			return send(m, id, root, http.MethodDelete, "/v1/apiclients/made/secrets/"+secretID, "")
		}, []string{"apiclientsecret.deleted|success|admin|||ApiClient/made/SECRET"}},
		{"a-client-deleted", func(id string) kit.Response {
			return send(m, id, root, http.MethodDelete, "/v1/apiclients/made", "")
		}, []string{"apiclient.deleted|success|admin|||ApiClient/made"}},
		{"a-key-rotated", func(id string) kit.Response {
			return send(m, id, root, http.MethodPost, "/v1/signingkeys/rotate", `{}`)
		}, []string{"signingkey.rotated|success|admin|||SigningKey/KID"}},
		{"a-password-profile-changed", func(id string) kit.Response {
			return send(m, id, root, http.MethodPatch, "/v1/passwordprofiles/default", `{}`)
		}, []string{"passwordprofile.updated|success|admin|||PasswordProfile/default"}},
		{"an-export", func(id string) kit.Response {
			return send(m, id, root, http.MethodGet, "/v1/auditevents/export?Action=none", "")
		}, []string{"auditevents.exported|success|admin|||AuditEvents"}},
		{"a-profile-changed", func(id string) kit.Response {
			return send(m, id, root, http.MethodPut, "/v1/securityprofiles/sp", `{"Name":"SP","Roles":["Shopper"]}`)
		}, []string{"securityprofile.created|success|admin|||SecurityProfile/sp"}},
		{"a-company", func(id string) kit.Response {
			return send(m, id, root, http.MethodPut, "/v1/buyers/audited", `{"Name":"Audited","Active":true}`)
		}, []string{"buyer.created|success|admin|||Buyer/audited"}},
		{"a-user", func(id string) kit.Response {
			return send(m, id, root, http.MethodPut, "/v1/buyers/audited/users/una", `{"Username":"una","Password":"`+kit.Password+`","FirstName":"U","LastName":"Na","Email":"una@example.com","Active":true}`)
		}, []string{"user.created|success|admin|||User/audited/una", "password.set|success|admin|||User/audited/una"}},
		{"a-sender", func(id string) kit.Response {
			return send(m, id, root, http.MethodPut, "/v1/messagesenders/sms", `{"Name":"SMS","MessageTypes":["OneTimePassword"],"URL":"http://127.0.0.1:9/","SharedKey":"k"}`)
		}, []string{"messagesender.created|success|admin|||MessageSender/sms"}},
		{"an-integration", func(id string) kit.Response {
			body, err := json.Marshal(map[string]any{"data": m.Receiver.Integration("More")})
			m.Must(err)
			return send(m, id, root, http.MethodPost, "/v2/integrations", string(body))
		}, []string{"integration.created|success|admin|||integration/ID"}},
		{"a-password-changed", func(id string) kit.Response {
			return send(m, id, root, http.MethodPatch, "/v1/buyers/audited/users/una", `{"Password":"`+kit.NextPassword+`"}`)
		}, []string{"user.updated|success|admin|||User/audited/una", "password.set|success|admin|||User/audited/una"}},
		{"an-unlock", func(id string) kit.Response {
			return send(m, id, root, http.MethodPost, "/v1/buyers/audited/users/una/unlock", `{}`)
		}, []string{"user.unlocked|success|admin|||User/audited/una"}},
		{"a-registration", func(id string) kit.Response {
			return m.Server.Do(http.MethodPost, "/oauth/register", "application/json", `{"client_name":"R","redirect_uris":[],"grant_types":["password"]}`,
				"X-Request-Id", id, "Authorization", "Bearer "+root)
		}, []string{"client.registered|success|admin|||ApiClient/ID"}},
		{"a-limit", func(id string) kit.Response {
			for range 60 {
				send(m, "unrelated", "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"limited"}`)
			}
			return send(m, id, "", http.MethodPost, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"limited"}`)
		}, []string{"code.limited|recipient|front||otp|"}},
		{"a-nonsense", func(id string) kit.Response {
			return tokenRequest(m, id, "grant_type", "nonsense")
		}, nil},
	}
	return deeds
}

// checkEventsOfCommands checks the events of the commands that prepared the test.
func checkEventsOfCommands(m *kit.ElasticPath, t *testing.T, events []exportedEvent) {
	t.Helper()
	document := filepath.Join(t.TempDir(), "document.yaml")
	m.Must(os.WriteFile(document, []byte("Buyers: [{ID: applied, Name: Applied, Active: true}]"), 0o600))
	for _, args := range [][]string{
		{"apply", "-f", document},
		{"user", "unlock", "locke"},
		{"client", "disable", "bare"},
		{"keys", "rotate"},
		{"keys", "rewrap"},
		{"client", "secret", "add", "bare", "--name", "x"},
		{"client", "create", "--name", "Late", "--id", "late", "--public"},
	} {
		m.Run(args...)
	}
	// The clock of this server is ahead of that of the commands. So their events are not the
	// last ones by time.
	after := slices.DeleteFunc(exportedEvents(m.OneServer), func(e exportedEvent) bool { return e.Seq <= int64(len(events)) })
	operator, err := user.Current()
	m.Must(err)
	var got []string
	for _, e := range after {
		if e.Source != "cli" || e.Username != operator.Username || e.Outcome != "success" {
			t.Errorf("by a command: got %+v", e)
		}
		object, _, _ := strings.Cut(e.Object, "/")
		got = append(got, e.Action+" "+object)
	}
	want := []string{
		"document.applied Document", "buyer.created Buyer",
		"login.unlocked Login", "apiclient.updated ApiClient", "signingkey.rotated SigningKey", "secrets.rewrapped MasterKey",
		"apiclientsecret.created ApiClient", "apiclient.created ApiClient",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
