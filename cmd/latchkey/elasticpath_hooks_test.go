package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// integrations are made, shown, changed, used and deleted.
func integrations(t *testing.T, m *mall) {
	const all = "/v2/integrations"
	admin, front := m.admin(), m.front()
	extra := newReceiver(t, "another-secret")
	made := admin.send(t, 201, http.MethodPost, all, extra.integration("Extra"))
	id := made.text("data", "id")
	if diff := cmp.Diff("http://latchkey.test"+all+"/"+id, made.text("links", "self")); diff != "" {
		t.Errorf("links: %s", diff)
	}
	want := extra.integration("Extra")
	for _, name := range []string{"type", "name", "description", "enabled", "integration_type"} {
		if got := made.at("data", name); got != want[name] {
			t.Errorf("%s is %v, want %v", name, got, want[name])
		}
	}
	if key := made.text("data", "configuration", "secret_key"); key != "another-secret" {
		t.Errorf("secret key %q", key)
	}

	p := m.shopper("hooked")
	code := m.codeOf(p, "reset_password")
	if e := extra.next(t); e.Payload.Code != code {
		t.Errorf("code %q at one receiver, %q at the other", code, e.Payload.Code)
	}
	m.settled()
	logs := admin.send(t, 200, http.MethodGet, all+"/"+id+"/logs", nil)
	job := logs.text("data", 0, "relationships", "job", "data", "id")
	if logs.at("data", 0, "succeeded") != true || logs.at("data", 0, "attempt") != 1.0 || logs.text("data", 0, "type") != "integration-log" ||
		logs.text("data", 0, "relationships", "integration", "data", "id") != id || strings.Contains(fmt.Sprint(logs), code) {
		t.Errorf("logs %v", logs.value)
	}
	for _, path := range []string{all + "/logs", all + "/" + id + "/jobs/" + job + "/logs"} {
		if got := admin.send(t, 200, http.MethodGet, path, nil); got.text("data", 0, "type") != "integration-log" {
			t.Errorf("%s: %v", path, got.value)
		}
	}

	// A change is partial; what is off gets nothing.
	changed := admin.send(t, 200, http.MethodPut, all+"/"+id, jsonObject{"type": "integration", "enabled": false})
	if changed.text("data", "name") != "Extra" || changed.at("data", "enabled") != false {
		t.Errorf("changed %v", changed.value)
	}
	m.codeOf(p, "reset_password")
	m.settled()
	if n := len(extra.events); n != 0 {
		t.Errorf("%d events at an integration that is off", n)
	}
	gone := admin.try(http.MethodDelete, all+"/"+id, nil)
	if want := `{"data":{"id":"` + id + `","type":"integration"}}`; gone.status != 200 || gone.body != want {
		t.Errorf("deleted: %d %s", gone.status, gone.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		got := admin.try(method, all+"/"+id, nil)
		refusedV2(t, method+" what is gone", got, http.StatusNotFound, "integration not found")
		if !strings.Contains(got.body, `"status":404`) { // a number, unlike everywhere else
			t.Errorf("status of an integration's refusal: %s", got.body)
		}
	}
	m.badIntegrations(t, admin, front, extra)
}

func (m *mall) badIntegrations(t *testing.T, admin, front visitor, r *receiver) {
	t.Helper()
	with := func(name string, value any) jsonObject {
		body := r.integration("Bad")
		body[name] = value
		return body
	}
	six := []string{codeRequested, codeRequested, codeRequested, codeRequested, codeRequested, codeRequested}
	for what, test := range map[string]struct {
		who    visitor
		body   jsonObject
		status int
	}{
		"a storefront":       {front, r.integration("Bad"), 403},
		"no such token":      {visitor{n: m.n, bearer: "x"}, r.integration("Bad"), 401},
		"empty name":         {admin, with("name", " "), 400},
		"number as name":     {admin, with("name", 1), 400},
		"text as enabled":    {admin, with("enabled", "yes"), 400},
		"another type":       {admin, with("type", "account"), 400},
		"a queue":            {admin, with("integration_type", "aws_sqs"), 422},
		"an unknown event":   {admin, with("observes", []string{"order.created"}), 422},
		"six events":         {admin, with("observes", six), 422},
		"one unknown event":  {admin, with("observes", []string{codeRequested, "order.created"}), 422},
		"observes nothing":   {admin, with("observes", []string{}), 400},
		"observes null":      {admin, with("observes", nil), 400},
		"observes a text":    {admin, with("observes", codeRequested), 400},
		"no URL":             {admin, with("configuration", jsonObject{"secret_key": "x"}), 400},
		"another scheme":     {admin, with("configuration", jsonObject{"url": "ftp://shop.example"}), 400},
		"a relative URL":     {admin, with("configuration", jsonObject{"url": "/notify"}), 400},
		"a password in it":   {admin, with("configuration", jsonObject{"url": "https://u:p@shop.example"}), 400},
		"a line in the key":  {admin, with("configuration", jsonObject{"url": r.url, "secret_key": "a\r\nX-Injected: b"}), 400},
		"a list for an item": {admin, with("configuration", []string{}), 400},
	} {
		refusedV2(t, what, test.who.try(http.MethodPost, "/v2/integrations", test.body), test.status, "*")
	}
	without := with("observes", nil)
	delete(without, "observes")
	refusedV2(t, "without observes", admin.try(http.MethodPost, "/v2/integrations", without), 400, "Validation failed: field 'observes' on the 'required' tag.")
	id := admin.send(t, 201, http.MethodPost, "/v2/integrations", with("enabled", false)).text("data", "id")
	refusedV2(t, "a change to nothing", admin.try(http.MethodPut, "/v2/integrations/"+id, jsonObject{"type": "integration", "observes": []string{}}), 400, "*")
	kept := admin.send(t, 200, http.MethodPut, "/v2/integrations/"+id, jsonObject{"type": "integration", "name": "Renamed", "observes": nil})
	if got := kept.text("data", "observes", 0); got != codeRequested {
		t.Errorf("observes %q", got)
	}
	admin.send(t, 200, http.MethodDelete, "/v2/integrations/"+id, nil)
}

// failingReceiver: what a receiver refuses is tried again and logged, and comes
// once it takes it.
func failingReceiver(t *testing.T, m *mall) {
	p := m.shopper("patient")
	admin := m.admin()
	hooks := admin.send(t, 200, http.MethodGet, "/v2/integrations", nil)
	path := "/v2/integrations/" + hooks.text("data", 0, "id") + "/logs"
	m.receiver.failing(true)
	if got := m.front().askFor("default", p.name, "reset_password"); got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.body)
	}
	newest := func() paper { return admin.send(t, 200, http.MethodGet, path+"?page[limit]=1", nil) }
	awaitThat(t, "it was tried", func() bool {
		return m.one("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "1"
	})
	if newest().at("data", 0, "succeeded") != false {
		t.Errorf("logs %v", newest().value)
	}
	if detail := newest().text("data", 0, "error_detail"); detail == "" || strings.Contains(detail, "127.0.0.1") {
		t.Errorf("error_detail %q", detail)
	}
	m.receiver.failing(false)
	m.clock.advance(time.Minute)
	e := m.receiver.next(t)
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, e.Payload.Code))
	m.settled()
	if logs := newest(); logs.at("data", 0, "succeeded") != true || logs.at("data", 0, "attempt") == 1.0 {
		t.Errorf("logs %v", logs.value)
	}
}

// otherOrigins: pages of the configured origins may call, with the libraries'
// headers; others may not, and nothing is for everybody.
func otherOrigins(t *testing.T, m *mall) {
	const shop = "https://shop.example"
	n := m.another("LATCHKEY_CORS_ORIGINS=" + shop)
	wanted := "authorization,content-type,ep-account-management-authentication-token,x-moltin-sdk-language,x-moltin-sdk-version,x-moltin-application,x-moltin-customer-token"
	preflight := func(n *node, origin, path string) answer {
		return n.do(http.MethodOptions, path, "", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", wanted)
	}
	for _, path := range []string{tokensV2, settingsV2, "/oauth/access_token", "/oauth/token", realmV2 + "/password-profiles/default/one-time-password-token-request"} {
		got := preflight(n, shop, path)
		if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != shop || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
		allowed := strings.ToLower(got.header.Get("Access-Control-Allow-Headers"))
		for name := range strings.SplitSeq(wanted, ",") {
			if !strings.Contains(", "+allowed+", ", ", "+name+", ") {
				t.Errorf("%s: %s is not allowed: %s", path, name, allowed)
			}
		}
		if methods := got.header.Get("Access-Control-Allow-Methods"); !strings.Contains(methods, "POST") || !strings.Contains(methods, "PUT") {
			t.Errorf("%s: methods %s", path, methods)
		}
		for _, origin := range []string{"https://evil.example", "http://shop.example", shop + ".evil.example", "https://shop.example:8443", "null", "*"} {
			isClosed(t, path+" to "+origin, preflight(n, origin, path))
		}
		isClosed(t, path+" where no origin is configured", preflight(m.n, shop, path))
	}
	called := n.do(http.MethodPost, "/oauth/access_token", formMedia, encode("grant_type", "implicit", "client_id", "front"), "Origin", shop)
	if called.status != http.StatusOK || called.header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(called.header.Get("Vary"), "Origin") {
		t.Errorf("call: %d %v", called.status, called.header)
	}
	// A refusal is readable as well, else the page could not tell its user.
	refusal := n.do(http.MethodPost, tokensV2, "application/json", "{}", "Origin", shop)
	if refusal.status != http.StatusUnauthorized || refusal.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("refusal: %d %v", refusal.status, refusal.header)
	}
	foreign := n.do(http.MethodPost, tokensV2, "application/json", "{}", "Origin", "https://evil.example")
	isClosed(t, "foreign call", foreign)
}

func isClosed(t *testing.T, what string, a answer) {
	t.Helper()
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s: %s", what, name, a.header.Get(name))
		}
	}
}

// asJSON is a body of any shape.
func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
