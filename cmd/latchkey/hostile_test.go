package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestHostileInput is what an administrator, or somebody who sends what another
// typed, may send amiss: the documented refusal comes, each fault with its
// path, and nothing is stored.
func TestHostileInput(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		m.observe(t)
		m.do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
		t.Run("bodies", m.hostileBodies)
		t.Run("every resource", m.hostileEverywhere)
		t.Run("text that is only text", m.harmlessText)
		t.Run("no bodies", m.notBodies)
		t.Run("paths", m.hostilePaths)
	})
}

const controlCharacters = "must not contain control characters"

func (m *market) hostileBodies(t *testing.T) {
	long := strings.Repeat("x", 101)
	const id = "must be 1 to 100 of the characters A-Z, a-z, 0-9, - and _"
	for body, want := range map[string]string{
		`{"ID":"a","Name":"a\u0000b"}`:                                           invalid("Name", controlCharacters),
		`{"ID":"a","Name":"a\r\nBcc: b"}`:                                        invalid("Name", controlCharacters),
		`{"ID":"a","Name":"a\u001b[31m"}`:                                        invalid("Name", controlCharacters),
		`{"ID":"a","Name":"a\u0085b"}`:                                           invalid("Name", controlCharacters),
		`{"ID":"a","Name":"` + strings.Repeat("é", 257) + `"}`:                   invalid("Name", "longer than 512 bytes"),
		`{"ID":"a","Name":" "}`:                                                  invalid("Name", "is required"),
		`{"ID":"a"}`:                                                             invalid("Name", "is required"),
		`{"ID":"` + long + `","Name":"a"}`:                                       invalid("ID", id),
		`{"ID":"a b","Name":"a"}`:                                                invalid("ID", id),
		`{"ID":"../a","Name":"a"}`:                                               invalid("ID", id),
		`{"ID":"<script>","Name":"a"}`:                                           invalid("ID", id),
		`{"ID":"{{.}}","Name":"a"}`:                                              invalid("ID", id),
		`{"ID":"ä","Name":"a"}`:                                                  invalid("ID", id),
		`{"ID":1,"Name":"a"}`:                                                    invalid("ID", "must be a string (in YAML, quote what looks like a number)"),
		`{"ID":"a","Name":["a"]}`:                                                invalid("Name", "must be a string (in YAML, quote what looks like a number)"),
		`{"ID":"a","Name":"a","Active":"true"}`:                                  invalid("Active", "must be true or false"),
		`{"ID":"a","Name":"a","Active":1}`:                                       invalid("Active", "must be true or false"),
		`{"ID":"a","Name":"a","xp":[1]}`:                                         invalid("xp", "must be an object"),
		`{"ID":"a","Name":"a","xp":{"a":"\u0000"}}`:                              invalid("xp", "is nested more than 32 deep, or has a number or a character that cannot be kept"),
		`{"ID":"a","Name":"a","xp":{"a":1e999}}`:                                 invalid("xp", "is nested more than 32 deep, or has a number or a character that cannot be kept"),
		`{"ID":"a","Name":"a","DateCreated":"tomorrow"}`:                         invalid("DateCreated", "must be a time of RFC 3339"),
		`{"ID":"a","Name":"a","Actvie":false}`:                                   invalid("Actvie", "unknown member; did you mean Active?"),
		`{"ID":"a","Name":"a","name":"b"}`:                                       invalid("name", "unknown member; did you mean Name?"),
		`{"ID":"a","Name":"a","Name":"b"}`:                                       invalid("Name", "occurs twice"),
		`{"ID":"a","Name":"a","xp":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`: invalid("xp", "longer than 65536 bytes"),
		`{"ID":"a b","Name":"\t","Active":0}`:                                    `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"Active: must be true or false","Data":{"Path":"Active"}}]}`,
		`{"ID":"a b","Name":"a\tb"}`: `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"ID: ` + id + `","Data":{"Path":"ID"}},` +
			`{"ErrorCode":"ValidationFailure","Message":"Name: ` + controlCharacters + `","Data":{"Path":"Name"}}]}`,
	} {
		m.send(m.first, m.root, "POST", "/v1/buyers", body).mustBeErrors(t, 400, want)
	}
	if got := m.do(t, 200, "GET", "/v1/buyers", nil); !strings.Contains(got.body, `"TotalCount":1,`) {
		t.Errorf("something was kept: %s", got.body)
	}
}

// hostileEverywhere tries the texts of every resource.
func (m *market) hostileEverywhere(t *testing.T) {
	bodies := map[string]string{
		"/v1/suppliers": `{"ID":"x","Name":%s}`, "/v1/securityprofiles": `{"ID":"x","Name":%s}`, "/v1/apiclients": `{"ID":"x","AppName":%s}`,
		"/v1/buyers/acme/users": `{"ID":"x","Username":%s}`, "/v1/adminusers": `{"ID":"x","Username":"x","LastName":%s}`,
		"/v1/messagesenders":              `{"ID":"x","Name":%s,"MessageTypes":["OneTimePassword"],"URL":"http://127.0.0.1/","SharedKey":"k"}`,
		"/v1/integrations/deliveryconfig": `{"ID":"x","Name":%s,"DeliveryTargets":{"MessageSender":{"Endpoint":"http://127.0.0.1/","Secret":"k"}}}`,
	}
	for path, body := range bodies {
		for _, text := range []string{`"a\r\nb"`, `"\u0000"`, `"` + strings.Repeat("x", 513) + `"`, `7`, `{}`} {
			got := m.send(m.first, m.root, "POST", path, fmt.Sprintf(body, text))
			if got.status != 400 || !strings.HasPrefix(got.body, `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"`) {
				t.Errorf("%s %s: %d %s", path, text, got.status, got.body)
			}
		}
		m.do(t, 404, "GET", path+"/x", nil)
	}
	for path, body := range map[string]string{
		"/v1/securityprofiles": `{"ID":"x","Name":"x","Roles":["a b"]}`, "/v1/apiclients": `{"ID":"x","AppName":"x","AccessTokenDuration":601}`,
		"/v1/buyers/acme/users": `{"ID":"x","Username":"x","Email":"a@b.c\r\nBcc: d@e.f"}`, "/v1/adminusers": `{"ID":"x","Username":"x","Email":"A <a@b.c>"}`,
		"/v1/messagesenders":              `{"ID":"x","Name":"x","MessageTypes":["Nothing"],"URL":"http://127.0.0.1/","SharedKey":"k"}`,
		"/v1/integrations/deliveryconfig": `{"ID":"x","Name":"x","DeliveryTargets":{"MessageSender":{"Endpoint":"file:///etc/passwd","Secret":"k"}}}`,
	} {
		got := m.send(m.first, m.root, "POST", path, body)
		if got.status != 400 || !strings.HasPrefix(got.body, `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"`) {
			t.Errorf("%s %s: %d %s", path, body, got.status, got.body)
		}
		m.do(t, 404, "GET", path+"/x", nil)
	}
}

// harmlessText: what is syntax elsewhere is kept and shown to the letter, and no
// browser takes it for anything.
func (m *market) harmlessText(t *testing.T) {
	for i, text := range []string{`{{template "x"}}`, `<script>alert(1)</script>`, `${jndi:ldap://x}`, `'; DROP TABLE users; --`, `%s%n`, "ünïcödé 名前"} {
		path := fmt.Sprint("/v1/buyers/text", i)
		m.do(t, 200, "PUT", path, map[string]string{"Name": text})
		got := m.do(t, 200, "GET", path, nil)
		if got.field("Name") != text || strings.Contains(got.body, "<") || got.header.Get("Content-Type") != "application/json;charset=UTF-8" {
			t.Errorf("%q is shown as %s", text, got.body)
		}
	}
}

func (m *market) notBodies(t *testing.T) {
	noObject := vendorError("Request.InvalidRequestBody", "The request body is not a JSON object of the expected shape.", "null")
	for _, body := range []string{`[`, `[]`, `null`, `"a"`, `{"Name":"a"}{}`, `{"Name":"a",}`, "{\"Name\":\"\xff\"}", "\ufeff{}", ` `} {
		m.send(m.first, m.root, "POST", "/v1/buyers", body).mustBeErrors(t, 400, noObject)
	}
	for _, depth := range []int{40, 100_000} {
		nested := `{"Name":"a","xp":` + strings.Repeat(`{"a":`, depth) + `1` + strings.Repeat(`}`, depth) + `}`
		m.send(m.first, m.root, "POST", "/v1/buyers", nested[:min(len(nested), 200<<10)]).mustBeErrors(t, 400, noObject)
	}
	media := vendorError("Request.InvalidContentType", "Invalid content type. Please use application/json.", "null")
	for _, kind := range []string{"text/plain", formMedia, "application/xml", "application/json-patch+json", "json"} {
		m.send(m.first, m.root, "POST", "/v1/buyers", `{"Name":"a"}`, "Content-Type", kind).mustBeErrors(t, http.StatusUnsupportedMediaType, media)
	}
	large := vendorError("Request.InvalidRequestBody", "The request body is too large.", "null")
	m.send(m.first, m.root, "POST", "/v1/buyers", `{"Name":"`+strings.Repeat("x", 300<<10)+`"}`).mustBeErrors(t, http.StatusRequestEntityTooLarge, large)
	m.send(m.first, "", "POST", "/v1/password/reset", `{"ClientID":"`+strings.Repeat("x", 20<<10)+`"}`).mustBeErrors(t, http.StatusRequestEntityTooLarge, large)
	m.do(t, 201, "POST", "/v1/buyers", `{"ID":"media","Name":"a"}`, "Content-Type", `Application/JSON; charset="utf-8"`)
}

func (m *market) hostilePaths(t *testing.T) {
	for id, shown := range map[string]string{
		"a%00b": "a\ufffdb", "a%0d%0ab": "a\ufffd\ufffdb", "%ff": "\ufffd", "%3Cscript%3E": `\u003cscript\u003e`, "..%2Facme": "../acme", "acme%20": "acme ",
		strings.Repeat("x", 300): strings.Repeat("x", 100),
	} {
		for _, method := range []string{"GET", "DELETE"} {
			m.send(m.first, m.root, method, "/v1/buyers/"+id, nil).mustBeErrors(t, 404, missing("Buyer", shown))
		}
	}
	m.send(m.first, m.root, "GET", "/v1/nothing/here", nil).mustBeErrors(t, 404, missing("Route", "/v1/nothing/here"))
	m.send(m.first, m.root, "PUT", "/v1/buyers/a%20b", `{"Name":"a"}`).mustBeErrors(t, 400,
		invalid("ID", "must be 1 to 100 of the characters A-Z, a-z, 0-9, - and _"))
}
