package accounts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// integrations creates, reads, changes, uses and deletes an integration.
func integrations(t *testing.T, m *kit.ElasticPath) {
	const all = "/v2/integrations"
	admin, front := m.Admin(), m.Storefront()
	extra := kit.NewEventReceiver(t, "another-secret")
	made := admin.Send(t, 201, http.MethodPost, all, extra.Integration("Extra"))
	id := made.Text("data", "id")
	if diff := cmp.Diff("http://latchkey.test"+all+"/"+id, made.Text("links", "self")); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	want := extra.Integration("Extra")
	for _, name := range []string{"type", "name", "description", "enabled", "integration_type"} {
		if got := made.At("data", name); got != want[name] {
			t.Errorf("got %s %v, want %v", name, got, want[name])
		}
	}
	if key := made.Text("data", "configuration", "secret_key"); key != "another-secret" {
		t.Errorf("got the secret key %q", key)
	}

	p := m.AddShopper("hooked")
	code := m.DeliveredCode(p, "reset_password")
	if e := extra.Next(t); e.Payload.Code != code {
		t.Errorf("got the code %q at one receiver and %q at the other, want the same", code, e.Payload.Code)
	}
	m.AwaitMessages()
	logs := admin.Send(t, 200, http.MethodGet, all+"/"+id+"/logs", nil)
	job := logs.Text("data", 0, "relationships", "job", "data", "id")
	if logs.At("data", 0, "succeeded") != true || logs.At("data", 0, "attempt") != 1.0 || logs.Text("data", 0, "type") != "integration-log" ||
		logs.Text("data", 0, "relationships", "integration", "data", "id") != id || strings.Contains(fmt.Sprint(logs), code) {
		t.Errorf("got the logs %v", logs.Value)
	}
	for _, path := range []string{all + "/logs", all + "/" + id + "/jobs/" + job + "/logs"} {
		if got := admin.Send(t, 200, http.MethodGet, path, nil); got.Text("data", 0, "type") != "integration-log" {
			t.Errorf("%s: got %v", path, got.Value)
		}
	}

	// A change is partial. A disabled integration gets no events.
	changed := admin.Send(t, 200, http.MethodPut, all+"/"+id, kit.Object{"type": "integration", "enabled": false})
	if changed.Text("data", "name") != "Extra" || changed.At("data", "enabled") != false {
		t.Errorf("got %v after the change", changed.Value)
	}
	m.DeliveredCode(p, "reset_password")
	m.AwaitMessages()
	if n := len(extra.Events); n != 0 {
		t.Errorf("got %d events at a disabled integration, want none", n)
	}
	gone := admin.Try(http.MethodDelete, all+"/"+id, nil)
	if want := `{"data":{"id":"` + id + `","type":"integration"}}`; gone.Status != 200 || gone.Body != want {
		t.Errorf("deleted: got %d %s, want 200", gone.Status, gone.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		got := admin.Try(method, all+"/"+id, nil)
		kit.MustRefuseV2(t, method+" what is gone", got, http.StatusNotFound, "integration not found")
		if !strings.Contains(got.Body, `"status":404`) { // a number, unlike in other refusals
			t.Errorf("status of an integration's refusal: got %s", got.Body)
		}
	}
	badIntegrations(m, t, admin, front, extra)
}

func badIntegrations(m *kit.ElasticPath, t *testing.T, admin, front kit.Caller, r *kit.EventReceiver) {
	t.Helper()
	with := func(name string, value any) kit.Object {
		body := r.Integration("Bad")
		body[name] = value
		return body
	}
	six := []string{kit.CodeRequestedEvent, kit.CodeRequestedEvent, kit.CodeRequestedEvent, kit.CodeRequestedEvent, kit.CodeRequestedEvent, kit.CodeRequestedEvent}
	for what, test := range map[string]struct {
		who    kit.Caller
		body   kit.Object
		status int
	}{
		"a storefront":       {front, r.Integration("Bad"), 403},
		"no such token":      {kit.Caller{Server: m.Server, AccessToken: "x"}, r.Integration("Bad"), 401},
		"empty name":         {admin, with("name", " "), 400},
		"number as name":     {admin, with("name", 1), 400},
		"text as enabled":    {admin, with("enabled", "yes"), 400},
		"another type":       {admin, with("type", "account"), 400},
		"a queue":            {admin, with("integration_type", "aws_sqs"), 422},
		"an unknown event":   {admin, with("observes", []string{"order.created"}), 422},
		"six events":         {admin, with("observes", six), 422},
		"one unknown event":  {admin, with("observes", []string{kit.CodeRequestedEvent, "order.created"}), 422},
		"observes nothing":   {admin, with("observes", []string{}), 400},
		"observes null":      {admin, with("observes", nil), 400},
		"observes a text":    {admin, with("observes", kit.CodeRequestedEvent), 400},
		"no URL":             {admin, with("configuration", kit.Object{"secret_key": "x"}), 400},
		"another scheme":     {admin, with("configuration", kit.Object{"url": "ftp://shop.example"}), 400},
		"a relative URL":     {admin, with("configuration", kit.Object{"url": "/notify"}), 400},
		"a password in it":   {admin, with("configuration", kit.Object{"url": "https://u:p@shop.example"}), 400},
		"a line in the key":  {admin, with("configuration", kit.Object{"url": r.URL, "secret_key": "a\r\nX-Injected: b"}), 400},
		"a list for an item": {admin, with("configuration", []string{}), 400},
	} {
		kit.MustRefuseV2(t, what, test.who.Try(http.MethodPost, "/v2/integrations", test.body), test.status, "*")
	}
	without := with("observes", nil)
	delete(without, "observes")
	kit.MustRefuseV2(t, "without observes", admin.Try(http.MethodPost, "/v2/integrations", without), 400, "Validation failed: field 'observes' on the 'required' tag.")
	id := admin.Send(t, 201, http.MethodPost, "/v2/integrations", with("enabled", false)).Text("data", "id")
	kit.MustRefuseV2(t, "a change to nothing", admin.Try(http.MethodPut, "/v2/integrations/"+id, kit.Object{"type": "integration", "observes": []string{}}), 400, "*")
	kept := admin.Send(t, 200, http.MethodPut, "/v2/integrations/"+id, kit.Object{"type": "integration", "name": "Renamed", "observes": nil})
	if got := kept.Text("data", "observes", 0); got != kit.CodeRequestedEvent {
		t.Errorf("observes %q, want %q", got, kit.CodeRequestedEvent)
	}
	admin.Send(t, 200, http.MethodDelete, "/v2/integrations/"+id, nil)
}

// failingReceiver tests that an event that a receiver refuses is logged and sent again until
// the receiver accepts it.
func failingReceiver(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("patient")
	admin := m.Admin()
	hooks := admin.Send(t, 200, http.MethodGet, "/v2/integrations", nil)
	path := "/v2/integrations/" + hooks.Text("data", 0, "id") + "/logs"
	m.Receiver.SetFailing(true)
	if got := m.Storefront().RequestCode("default", p.Username, "reset_password"); got.Status != http.StatusAccepted {
		t.Fatalf("got %d %s, want 202", got.Status, got.Body)
	}
	newest := func() kit.JSON { return admin.Send(t, 200, http.MethodGet, path+"?page[limit]=1", nil) }
	kit.Eventually(t, "it was tried", func() bool {
		return m.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "1"
	})
	if newest().At("data", 0, "succeeded") != false {
		t.Errorf("got the logs %v", newest().Value)
	}
	if detail := newest().Text("data", 0, "error_detail"); detail == "" || strings.Contains(detail, "127.0.0.1") {
		t.Errorf("got error_detail %q", detail)
	}
	m.Receiver.SetFailing(false)
	m.Clock.Advance(time.Minute)
	e := m.Receiver.Next(t)
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, e.Payload.Code))
	m.AwaitMessages()
	if logs := newest(); logs.At("data", 0, "succeeded") != true || logs.At("data", 0, "attempt") == 1.0 {
		t.Errorf("got the logs %v", logs.Value)
	}
}

// otherOrigins tests that pages of the configured origins may call the API with the headers of
// the libraries. Pages of other origins may not.
func otherOrigins(t *testing.T, m *kit.ElasticPath) {
	const shop = "https://shop.example"
	n := m.StartServer("LATCHKEY_CORS_ORIGINS=" + shop)
	wanted := "authorization,content-type,ep-account-management-authentication-token,x-moltin-sdk-language,x-moltin-sdk-version,x-moltin-application,x-moltin-customer-token"
	preflight := func(n *kit.Server, origin, path string) kit.Response {
		return n.Do(http.MethodOptions, path, "", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", wanted)
	}
	for _, path := range []string{kit.AccountTokensPath, kit.SettingsPath, "/oauth/access_token", "/oauth/token", kit.RealmPath + "/password-profiles/default/one-time-password-token-request"} {
		got := preflight(n, shop, path)
		if got.Status != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Origin") != shop || got.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: got %d %v, want 204", path, got.Status, got.Header)
		}
		allowed := strings.ToLower(got.Header.Get("Access-Control-Allow-Headers"))
		for name := range strings.SplitSeq(wanted, ",") {
			if !strings.Contains(", "+allowed+", ", ", "+name+", ") {
				t.Errorf("%s: %s is not allowed: %s", path, name, allowed)
			}
		}
		if methods := got.Header.Get("Access-Control-Allow-Methods"); !strings.Contains(methods, "POST") || !strings.Contains(methods, "PUT") {
			t.Errorf("%s: got the methods %s", path, methods)
		}
		for _, origin := range []string{"https://evil.example", "http://shop.example", shop + ".evil.example", "https://shop.example:8443", "null", "*"} {
			isClosed(t, path+" to "+origin, preflight(n, origin, path))
		}
		isClosed(t, path+" where no origin is configured", preflight(m.Server, shop, path))
	}
	called := n.Do(http.MethodPost, "/oauth/access_token", kit.FormMedia, kit.EncodeForm("grant_type", "implicit", "client_id", "front"), "Origin", shop)
	if called.Status != http.StatusOK || called.Header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(called.Header.Get("Vary"), "Origin") {
		t.Errorf("call: got %d %v, want 200", called.Status, called.Header)
	}
	// A page must be able to read a refusal too. Otherwise it could not inform its user.
	refusal := n.Do(http.MethodPost, kit.AccountTokensPath, "application/json", "{}", "Origin", shop)
	if refusal.Status != http.StatusUnauthorized || refusal.Header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("refusal: got %d %v, want 401", refusal.Status, refusal.Header)
	}
	foreign := n.Do(http.MethodPost, kit.AccountTokensPath, "application/json", "{}", "Origin", "https://evil.example")
	isClosed(t, "foreign call", foreign)
}

func isClosed(t *testing.T, what string, a kit.Response) {
	t.Helper()
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: got %s: %s, want no such header", what, name, a.Header.Get(name))
		}
	}
}

// asJSON encodes any value as JSON.
func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
