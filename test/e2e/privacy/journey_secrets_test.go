package privacy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"latchkey/keys"
	"latchkey/test/e2e/kit"
)

// secretJourney uses the whole server, as a process that logs everything, and stores the
// secrets that occur.
type secretJourney struct {
	*kit.ElasticPath
	p       *kit.Process
	secrets map[string]string
	refused strings.Builder // bodies of refusals
}

// TestNoSecretOnTheJourney sends each request that contains or returns a secret, valid and
// invalid. The secrets must not occur in the database, the log, the metrics, the exported audit
// events, the output of commands, the arguments of the process and the bodies of refusals.
func TestNoSecretOnTheJourney(t *testing.T) {
	t.Parallel()
	kit.EachEmptyDatabase(t, func(t *testing.T, url string) {
		m := kit.NewElasticPath(t, url, kit.LongRequestTimeout)
		m.Server.Stop()
		j := &secretJourney{ElasticPath: m, p: m.StartProcess("LATCHKEY_LOG_LEVEL=trace", "LATCHKEY_CLIENT_SECRET_LIMIT=0", kit.LongRequestTimeout), secrets: map[string]string{
			"client secret": kit.ClientSecret, "administrator's secret": m.AdminSecret, "master key": kit.MasterKey,
			"webhook's key": m.Receiver.Key, "password": kit.Password,
			"Basic credentials": base64.StdEncoding.EncodeToString([]byte("front:" + kit.ClientSecret)),
		}}
		m.Server = j.p.Server
		j.keys(t)
		j.users(t)
		j.administrators(t)
		j.intruders(t)
		m.AwaitMessages()
		for place, content := range j.places(t) {
			for what, secret := range j.secrets {
				kit.SearchFor(t, place, content, what, secret)
			}
		}
	})
}

// keys stores the keys and peppers that the database keeps sealed.
func (j *secretJourney) keys(t *testing.T) {
	t.Helper()
	peppers, err := j.App.Store.Peppers(t.Context())
	j.Must(err)
	for _, p := range peppers {
		raw, err := j.App.Sealer.Open(p.Secret, keys.PepperContext(p.ID))
		j.Must(err)
		j.secrets["pepper "+p.ID] = string(raw)
	}
	signing, err := j.App.Store.SigningKeys(t.Context())
	j.Must(err)
	for _, k := range signing {
		raw, err := j.App.Sealer.Open(k.Private, keys.SigningKeyContext(k.KID))
		j.Must(err)
		j.secrets["signing key "+k.KID] = string(raw)
	}
	if len(peppers) == 0 || len(signing) == 0 {
		t.Fatal("got no peppers or no signing keys")
	}
}

// keep stores a secret of an answer.
func (j *secretJourney) keep(t *testing.T, what string, a kit.Response, member string) string {
	t.Helper()
	secret := a.Field(member)
	if secret == "" {
		t.Fatalf("%s: got %d %s", what, a.Status, a.Body)
	}
	j.secrets[what] = secret
	return secret
}

func (j *secretJourney) users(t *testing.T) {
	hash, err := kit.PasswordHash()
	j.Must(err)
	club := j.AddAccount("secret-club")
	p := j.AddShopperWithHash(hash, "josephine", club)
	code := j.DeliveredCode(p, "passwordless_authentication")
	j.secrets["code"] = code
	got := j.Server.SignInThrough("front", p.Username, code)
	access := j.keep(t, "access token", got, "access_token")
	first := j.keep(t, "refresh token", got, "refresh_token")
	j.keep(t, "second refresh token", j.Server.RefreshThrough("front", first), "refresh_token")
	j.keep(t, "member's token", j.Server.MemberGrant("front", "username", p.Username, "password", kit.Password, "account_id", club.ID), "access_token")
	j.keep(t, "exchanged token", j.Server.ExchangeToken("front", access), "access_token")
	basic := j.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm("grant_type", "password", "username", p.Username, "password", kit.Password),
		"Authorization", "Basic "+j.secrets["Basic credentials"])
	j.keep(t, "token by Basic", basic, "access_token")
	kit.MustBeActive(t, "introspected", j.Server.IntrospectThrough("front", access))
	accountTokens := tokensOf(j.Storefront().AccountTokens(kit.ByPassword(p.Username, kit.Password)), t)
	second := j.DeliveredCode(p, "passwordless_authentication")
	j.secrets["second code"] = second
	accountTokens = append(accountTokens, tokensOf(j.Storefront().AccountTokens(kit.ByCode("default", p.Username, second)), t)...)
	for i, token := range accountTokens {
		j.secrets[fmt.Sprint("account token ", i)] = token
	}
	j.secrets["code that is not used"] = j.DeliveredCode(p, "passwordless_authentication")
}

// tokensOf returns the account tokens of an answer.
func tokensOf(a kit.Response, t *testing.T) (tokens []string) {
	t.Helper()
	var list struct {
		Data []struct{ Token string }
	}
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || len(list.Data) == 0 {
		t.Fatalf("account tokens: got %d %s", a.Status, a.Body)
	}
	for _, item := range list.Data {
		tokens = append(tokens, item.Token)
	}
	return tokens
}

func (j *secretJourney) administrators(t *testing.T) {
	root := j.Admin().AccessToken
	j.secrets["administrator's token"] = root
	do := func(method, path, body string) kit.Response {
		return j.Server.Do(method, path, "application/json", body, "Authorization", "Bearer "+root)
	}
	registered := do(http.MethodPost, "/oauth/register", `{"client_name":"Registered","grant_types":["client_credentials"]}`)
	clientSecret := j.keep(t, "registered secret", registered, "client_secret")
	access := j.keep(t, "registration access token", registered, "registration_access_token")
	j.keep(t, "registered client's token", j.Server.Form("/oauth/token", "grant_type", "client_credentials", "client_id", registered.Field("client_id"), "client_secret", clientSecret), "access_token")
	if got := j.Server.Do(http.MethodGet, "/oauth/register/"+registered.Field("client_id"), "", "", "Authorization", "Bearer "+access); got.Status != http.StatusOK {
		t.Errorf("registration: got %d %s, want 200", got.Status, got.Body)
	}
	j.secrets["sender's key"], j.secrets["mail password"], j.secrets["given password"] = "shared-key-of-another-sender", kit.MailPassword, kit.NextPassword
	for path, body := range map[string]string{
		"/v1/messagesenders/hook": `{"Name":"Hook","MessageTypes":["OrderSubmitted"],"URL":"http://127.0.0.1:9/","SharedKey":"` + j.secrets["sender's key"] + `"}`,
		"/v1/messagesenders/post": `{"Name":"Post","Kind":"smtp","MessageTypes":["OrderSubmitted"],"SMTP":{"Host":"127.0.0.1","Port":9,"TLS":"required","From":"a@b.example","Username":"u","Password":"` + kit.MailPassword + `"}}`,
		"/v1/adminusers/secretary": `{"Username":"secretary","Password":"` + kit.NextPassword +
			`","FirstName":"S","LastName":"E","Email":"s@example.com","Active":true}`,
	} {
		if got := do(http.MethodPut, path, body); got.Status >= http.StatusBadRequest {
			t.Errorf("%s: got %d %s", path, got.Status, got.Body)
		}
	}
	secret := do(http.MethodPost, "/v1/apiclients/front/secrets", `{"Name":"another"}`)
	j.keep(t, "generated secret", secret, "ClientSecret")
}

// intruders presents secrets in the wrong places, and each right one in the wrong way.
func (j *secretJourney) intruders(t *testing.T) {
	t.Helper()
	for what, secret := range j.secrets {
		if strings.HasPrefix(what, "pepper") || strings.HasPrefix(what, "signing") {
			continue // a caller cannot present these
		}
		for _, got := range []kit.Response{
			j.Server.SignInThrough("front", secret, secret),
			j.Server.SignInThrough(secret, "josephine", secret),
			j.Server.Form("/oauth/token", "grant_type", secret, "client_id", "front", "client_secret", secret),
			j.Server.Form("/oauth/token", append(kit.ClientFields("front"), "grant_type", "password", "username", "josephine", "password", "x", "scope", secret)...),
			j.Server.RefreshThrough("front", secret+"x"), j.Server.ExchangeToken("front", secret+"x"),
			j.Server.IntrospectThrough("front", secret+"x"),
			j.Server.Do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+secret+"x"),
			j.Server.Do(http.MethodPost, kit.AccountTokensPath, "application/json", kit.DataOf(kit.ByCode("default", "josephine", secret)), "Authorization", "Bearer "+secret),
			j.Server.Do(http.MethodPost, "/v1/password/onetimepassword", "application/json", `{"ClientID":"front","Password":"`+secret+`"`),
			j.Server.Do(http.MethodPost, "/oauth/token", "application/json", `{"password":"`+secret+`"}`),
		} {
			if got.Status >= http.StatusInternalServerError {
				t.Errorf("%s in the wrong place: got %d %s", what, got.Status, got.Body)
			}
			if got.Status >= http.StatusBadRequest {
				fmt.Fprintln(&j.refused, got.Status, got.Header, got.Body)
			}
		}
	}
}

// places returns everything that the server has written.
func (j *secretJourney) places(t *testing.T) map[string][]byte {
	t.Helper()
	places := map[string][]byte{"refusals": []byte(j.refused.String())}
	response, err := http.Get(j.p.OpsURL + "/metrics")
	j.Must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	places["metrics"], err = io.ReadAll(response.Body)
	j.Must(err)
	places["arguments"], err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", j.p.Cmd.Process.Pid))
	j.Must(err)
	for _, args := range [][]string{
		{"audit", "export"}, {"audit", "verify"}, {"client", "list"}, {"sender", "list"}, {"message", "list"}, {"keys", "list"}, {"policy", "explain"},
	} {
		places[strings.Join(args, " ")] = []byte(j.Run(args...))
		places[strings.Join(args, " ")+" in JSON"] = []byte(j.Run(append(args, "--output", "json")...))
	}
	for name, content := range j.StoredBytes() {
		places[name] = content
	}
	places["log"] = []byte(j.Log.String())
	for place, want := range map[string]string{
		"log": `"audit":"sign_in"`, "metrics": "latchkey_", "audit export": `"action":"token.exchanged"`, "arguments": "serve", "refusals": "invalid_grant",
	} {
		if !strings.Contains(string(places[place]), want) {
			t.Errorf("%s: got other content than expected: %.200s", place, places[place])
		}
	}
	return places
}
