package main

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
)

// secretWay is a way through the whole server, as a process of its own that logs
// all that it can, and what was secret on it.
type secretWay struct {
	*mall
	p       *program
	secrets map[string]string
	refused strings.Builder // bodies of the answers that refuse
}

// TestNoSecretOnTheJourney goes every way on which there is a secret, right and
// wrong, and then looks for each of them wherever somebody might: in the
// database, the log, the metrics, the export of audit events, the output of the
// commands, the arguments of the process and the bodies of refusals.
func TestNoSecretOnTheJourney(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, url string) {
		m := openMall(t, url, unhurried)
		m.n.stop()
		j := &secretWay{mall: m, p: m.launch("LATCHKEY_LOG_LEVEL=trace", "LATCHKEY_CLIENT_SECRET_LIMIT=0", unhurried), secrets: map[string]string{
			"client secret": shopSecret, "administrator's secret": m.adminSecret, "master key": testMasterKey,
			"webhook's key": m.receiver.key, "password": janesPassword,
			"Basic credentials": base64.StdEncoding.EncodeToString([]byte("front:" + shopSecret)),
		}}
		m.n = j.p.node
		j.keys(t)
		j.users(t)
		j.administrators(t)
		j.intruders(t)
		m.settled()
		for place, content := range j.places(t) {
			for what, secret := range j.secrets {
				searchFor(t, place, content, what, secret)
			}
		}
	})
}

// keys takes note of what the database keeps sealed.
func (j *secretWay) keys(t *testing.T) {
	t.Helper()
	peppers, err := j.app.store.Peppers(t.Context())
	j.must(err)
	for _, p := range peppers {
		raw, err := j.app.sealer.Open(p.Secret, keys.PepperContext(p.ID))
		j.must(err)
		j.secrets["pepper "+p.ID] = string(raw)
	}
	signing, err := j.app.store.SigningKeys(t.Context())
	j.must(err)
	for _, k := range signing {
		raw, err := j.app.sealer.Open(k.Private, keys.SigningKeyContext(k.KID))
		j.must(err)
		j.secrets["signing key "+k.KID] = string(raw)
	}
	if len(peppers) == 0 || len(signing) == 0 {
		t.Fatal("there are no peppers or no signing keys")
	}
}

// keep takes note of a secret of an answer.
func (j *secretWay) keep(t *testing.T, what string, a answer, member string) string {
	t.Helper()
	secret := a.field(member)
	if secret == "" {
		t.Fatalf("%s: %d %s", what, a.status, a.body)
	}
	j.secrets[what] = secret
	return secret
}

func (j *secretWay) users(t *testing.T) {
	hash, err := hashOfJane()
	j.must(err)
	club := j.company("secret-club")
	p := j.shopperWith(hash, "josephine", club)
	code := j.codeOf(p, "passwordless_authentication")
	j.secrets["code"] = code
	got := j.n.signInTo("front", p.name, code)
	access := j.keep(t, "access token", got, "access_token")
	first := j.keep(t, "refresh token", got, "refresh_token")
	j.keep(t, "second refresh token", j.n.refreshAt("front", first), "refresh_token")
	j.keep(t, "member's token", j.n.memberGrant("front", "username", p.name, "password", janesPassword, "account_id", club.ID), "access_token")
	j.keep(t, "exchanged token", j.n.exchange("front", access), "access_token")
	basic := j.n.do(http.MethodPost, "/oauth/token", formMedia, encode("grant_type", "password", "username", p.name, "password", janesPassword),
		"Authorization", "Basic "+j.secrets["Basic credentials"])
	j.keep(t, "token by Basic", basic, "access_token")
	isActive(t, "introspected", j.n.introspectAs("front", access))
	paperOf(t, "account tokens", http.StatusCreated, j.front().tokens(byPassword(p.name, janesPassword)))
	second := j.codeOf(p, "passwordless_authentication")
	j.secrets["second code"] = second
	for _, token := range j.front().tokens(byCode("default", p.name, second)).tokensOf(t) {
		j.secrets["account token"] = token
	}
	j.secrets["code that is not used"] = j.codeOf(p, "passwordless_authentication")
}

// tokensOf lists the account tokens of an answer.
func (a answer) tokensOf(t *testing.T) (tokens []string) {
	t.Helper()
	var list struct {
		Data []struct{ Token string }
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Data) == 0 {
		t.Fatalf("account tokens: %d %s", a.status, a.body)
	}
	for _, item := range list.Data {
		tokens = append(tokens, item.Token)
	}
	return tokens
}

func (j *secretWay) administrators(t *testing.T) {
	root := j.admin().bearer
	j.secrets["administrator's token"] = root
	do := func(method, path, body string) answer {
		return j.n.do(method, path, "application/json", body, "Authorization", "Bearer "+root)
	}
	registered := do(http.MethodPost, "/oauth/register", `{"client_name":"Registered","grant_types":["client_credentials"]}`)
	id := j.keep(t, "registered secret", registered, "client_secret")
	access := j.keep(t, "registration access token", registered, "registration_access_token")
	j.keep(t, "registered client's token", j.n.form("/oauth/token", "grant_type", "client_credentials", "client_id", registered.field("client_id"), "client_secret", id), "access_token")
	if got := j.n.do(http.MethodGet, "/oauth/register/"+registered.field("client_id"), "", "", "Authorization", "Bearer "+access); got.status != http.StatusOK {
		t.Errorf("registration: %d %s", got.status, got.body)
	}
	j.secrets["sender's key"], j.secrets["mail password"], j.secrets["given password"] = "shared-key-of-another-sender", mailPassword, nextPassword
	for path, body := range map[string]string{
		"/v1/messagesenders/hook": `{"Name":"Hook","MessageTypes":["OrderSubmitted"],"URL":"http://127.0.0.1:9/","SharedKey":"` + j.secrets["sender's key"] + `"}`,
		"/v1/messagesenders/post": `{"Name":"Post","Kind":"smtp","MessageTypes":["OrderSubmitted"],"SMTP":{"Host":"127.0.0.1","Port":9,"TLS":"required","From":"a@b.example","Username":"u","Password":"` + mailPassword + `"}}`,
		"/v1/adminusers/secretary": `{"Username":"secretary","Password":"` + nextPassword +
			`","FirstName":"S","LastName":"E","Email":"s@example.com","Active":true}`,
	} {
		if got := do(http.MethodPut, path, body); got.status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	secret := do(http.MethodPost, "/v1/apiclients/front/secrets", `{"Name":"another"}`)
	j.keep(t, "generated secret", secret, "ClientSecret")
}

// intruders present secrets where they do not belong, and each right one in the
// wrong way.
func (j *secretWay) intruders(t *testing.T) {
	t.Helper()
	for what, secret := range j.secrets {
		if strings.HasPrefix(what, "pepper") || strings.HasPrefix(what, "signing") {
			continue // nobody has them to present
		}
		for _, got := range []answer{
			j.n.signInTo("front", secret, secret),
			j.n.signInTo(secret, "josephine", secret),
			j.n.form("/oauth/token", "grant_type", secret, "client_id", "front", "client_secret", secret),
			j.n.form("/oauth/token", append(clientFields("front"), "grant_type", "password", "username", "josephine", "password", "x", "scope", secret)...),
			j.n.refreshAt("front", secret+"x"), j.n.exchange("front", secret+"x"),
			j.n.introspectAs("front", secret+"x"),
			j.n.do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+secret+"x"),
			j.n.do(http.MethodPost, tokensV2, "application/json", dataOf(byCode("default", "josephine", secret)), "Authorization", "Bearer "+secret),
			j.n.do(http.MethodPost, "/v1/password/onetimepassword", "application/json", `{"ClientID":"front","Password":"`+secret+`"`),
			j.n.do(http.MethodPost, "/oauth/token", "application/json", `{"password":"`+secret+`"}`),
		} {
			if got.status >= http.StatusInternalServerError {
				t.Errorf("%s in the wrong place: %d %s", what, got.status, got.body)
			}
			if got.status >= http.StatusBadRequest {
				fmt.Fprintln(&j.refused, got.status, got.header, got.body)
			}
		}
	}
}

// places is everywhere that anything was written.
func (j *secretWay) places(t *testing.T) map[string][]byte {
	t.Helper()
	places := map[string][]byte{"refusals": []byte(j.refused.String())}
	response, err := http.Get(j.p.ops + "/metrics")
	j.must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	places["metrics"], err = io.ReadAll(response.Body)
	j.must(err)
	places["arguments"], err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", j.p.cmd.Process.Pid))
	j.must(err)
	for _, args := range [][]string{
		{"audit", "export"}, {"audit", "verify"}, {"client", "list"}, {"sender", "list"}, {"message", "list"}, {"keys", "list"}, {"policy", "explain"},
	} {
		places[strings.Join(args, " ")] = []byte(j.run(args...))
		places[strings.Join(args, " ")+" in JSON"] = []byte(j.run(append(args, "--output", "json")...))
	}
	for name, content := range j.remains() {
		places[name] = content
	}
	places["log"] = []byte(j.log.String())
	for place, want := range map[string]string{
		"log": `"audit":"sign_in"`, "metrics": "latchkey_", "audit export": `"action":"token.exchanged"`, "arguments": "serve", "refusals": "invalid_grant",
	} {
		if !strings.Contains(string(places[place]), want) {
			t.Errorf("%s is not what it is: %.200s", place, places[place])
		}
	}
	return places
}
