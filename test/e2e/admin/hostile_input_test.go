package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestHostileInput tests that invalid input is answered with the documented refusal and the
// path of each fault, and that nothing is stored.
func TestHostileInput(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.CheckDocument(t)
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
		t.Run("bodies", func(t *testing.T) { hostileBodies(m, t) })
		t.Run("every resource", func(t *testing.T) { hostileEverywhere(m, t) })
		t.Run("text that is only text", func(t *testing.T) { harmlessText(m, t) })
		t.Run("no bodies", func(t *testing.T) { notBodies(m, t) })
		t.Run("paths", func(t *testing.T) { hostilePaths(m, t) })
	})
}

const controlCharacters = "must not contain control characters"

func hostileBodies(m *kit.OrderCloud, t *testing.T) {
	long := strings.Repeat("x", 101)
	const id = "must be 1 to 100 of the characters A-Z, a-z, 0-9, - and _"
	for body, want := range map[string]string{
		`{"ID":"a","Name":"a\u0000b"}`:                                           kit.InvalidBody("Name", controlCharacters),
		`{"ID":"a","Name":"a\r\nBcc: b"}`:                                        kit.InvalidBody("Name", controlCharacters),
		`{"ID":"a","Name":"a\u001b[31m"}`:                                        kit.InvalidBody("Name", controlCharacters),
		`{"ID":"a","Name":"a\u0085b"}`:                                           kit.InvalidBody("Name", controlCharacters),
		`{"ID":"a","Name":"` + strings.Repeat("é", 257) + `"}`:                   kit.InvalidBody("Name", "longer than 512 bytes"),
		`{"ID":"a","Name":" "}`:                                                  kit.InvalidBody("Name", "is required"),
		`{"ID":"a"}`:                                                             kit.InvalidBody("Name", "is required"),
		`{"ID":"` + long + `","Name":"a"}`:                                       kit.InvalidBody("ID", id),
		`{"ID":"a b","Name":"a"}`:                                                kit.InvalidBody("ID", id),
		`{"ID":"../a","Name":"a"}`:                                               kit.InvalidBody("ID", id),
		`{"ID":"<script>","Name":"a"}`:                                           kit.InvalidBody("ID", id),
		`{"ID":"{{.}}","Name":"a"}`:                                              kit.InvalidBody("ID", id),
		`{"ID":"ä","Name":"a"}`:                                                  kit.InvalidBody("ID", id),
		`{"ID":1,"Name":"a"}`:                                                    kit.InvalidBody("ID", "must be a string (in YAML, quote what looks like a number)"),
		`{"ID":"a","Name":["a"]}`:                                                kit.InvalidBody("Name", "must be a string (in YAML, quote what looks like a number)"),
		`{"ID":"a","Name":"a","Active":"true"}`:                                  kit.InvalidBody("Active", "must be true or false"),
		`{"ID":"a","Name":"a","Active":1}`:                                       kit.InvalidBody("Active", "must be true or false"),
		`{"ID":"a","Name":"a","xp":[1]}`:                                         kit.InvalidBody("xp", "must be an object"),
		`{"ID":"a","Name":"a","xp":{"a":"\u0000"}}`:                              kit.InvalidBody("xp", "is nested more than 32 deep, or has a number or a character that cannot be kept"),
		`{"ID":"a","Name":"a","xp":{"a":1e999}}`:                                 kit.InvalidBody("xp", "is nested more than 32 deep, or has a number or a character that cannot be kept"),
		`{"ID":"a","Name":"a","DateCreated":"tomorrow"}`:                         kit.InvalidBody("DateCreated", "must be a time of RFC 3339"),
		`{"ID":"a","Name":"a","Actvie":false}`:                                   kit.InvalidBody("Actvie", "unknown member; did you mean Active?"),
		`{"ID":"a","Name":"a","name":"b"}`:                                       kit.InvalidBody("name", "unknown member; did you mean Name?"),
		`{"ID":"a","Name":"a","Name":"b"}`:                                       kit.InvalidBody("Name", "occurs twice"),
		`{"ID":"a","Name":"a","xp":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`: kit.InvalidBody("xp", "longer than 65536 bytes"),
		`{"ID":"a b","Name":"\t","Active":0}`:                                    `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"Active: must be true or false","Data":{"Path":"Active"}}]}`,
		`{"ID":"a b","Name":"a\tb"}`: `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"ID: ` + id + `","Data":{"Path":"ID"}},` +
			`{"ErrorCode":"ValidationFailure","Message":"Name: ` + controlCharacters + `","Data":{"Path":"Name"}}]}`,
	} {
		m.Send(m.First, m.AdminToken, "POST", "/v1/buyers", body).MustRefuseV1(t, 400, want)
	}
	if got := m.Do(t, 200, "GET", "/v1/buyers", nil); !strings.Contains(got.Body, `"TotalCount":1,`) {
		t.Errorf("after the refusals: got %s", got.Body)
	}
}

// hostileEverywhere tries the texts of every resource.
func hostileEverywhere(m *kit.OrderCloud, t *testing.T) {
	bodies := map[string]string{
		"/v1/suppliers": `{"ID":"x","Name":%s}`, "/v1/securityprofiles": `{"ID":"x","Name":%s}`, "/v1/apiclients": `{"ID":"x","AppName":%s}`,
		"/v1/buyers/acme/users": `{"ID":"x","Username":%s}`, "/v1/adminusers": `{"ID":"x","Username":"x","LastName":%s}`,
		"/v1/messagesenders":              `{"ID":"x","Name":%s,"MessageTypes":["OneTimePassword"],"URL":"http://127.0.0.1/","SharedKey":"k"}`,
		"/v1/integrations/deliveryconfig": `{"ID":"x","Name":%s,"DeliveryTargets":{"MessageSender":{"Endpoint":"http://127.0.0.1/","Secret":"k"}}}`,
	}
	for path, body := range bodies {
		for _, text := range []string{`"a\r\nb"`, `"\u0000"`, `"` + strings.Repeat("x", 513) + `"`, `7`, `{}`} {
			got := m.Send(m.First, m.AdminToken, "POST", path, fmt.Sprintf(body, text))
			if got.Status != 400 || !strings.HasPrefix(got.Body, `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"`) {
				t.Errorf("%s %s: got %d %s, want 400", path, text, got.Status, got.Body)
			}
		}
		m.Do(t, 404, "GET", path+"/x", nil)
	}
	for path, body := range map[string]string{
		"/v1/securityprofiles": `{"ID":"x","Name":"x","Roles":["a b"]}`, "/v1/apiclients": `{"ID":"x","AppName":"x","AccessTokenDuration":601}`,
		"/v1/buyers/acme/users": `{"ID":"x","Username":"x","Email":"a@b.c\r\nBcc: d@e.f"}`, "/v1/adminusers": `{"ID":"x","Username":"x","Email":"A <a@b.c>"}`,
		"/v1/messagesenders":              `{"ID":"x","Name":"x","MessageTypes":["Nothing"],"URL":"http://127.0.0.1/","SharedKey":"k"}`,
		"/v1/integrations/deliveryconfig": `{"ID":"x","Name":"x","DeliveryTargets":{"MessageSender":{"Endpoint":"file:///etc/passwd","Secret":"k"}}}`,
	} {
		got := m.Send(m.First, m.AdminToken, "POST", path, body)
		if got.Status != 400 || !strings.HasPrefix(got.Body, `{"Errors":[{"ErrorCode":"ValidationFailure","Message":"`) {
			t.Errorf("%s %s: got %d %s, want 400", path, body, got.Status, got.Body)
		}
		m.Do(t, 404, "GET", path+"/x", nil)
	}
}

// harmlessText tests that text that is syntax elsewhere is stored and shown unchanged, and that
// no browser interprets it.
func harmlessText(m *kit.OrderCloud, t *testing.T) {
	for i, text := range []string{`{{template "x"}}`, `<script>alert(1)</script>`, `${jndi:ldap://x}`, `'; DROP TABLE users; --`, `%s%n`, "ünïcödé 名前"} {
		path := fmt.Sprint("/v1/buyers/text", i)
		m.Do(t, 200, "PUT", path, map[string]string{"Name": text})
		got := m.Do(t, 200, "GET", path, nil)
		if got.Field("Name") != text || strings.Contains(got.Body, "<") || got.Header.Get("Content-Type") != "application/json;charset=UTF-8" {
			t.Errorf("%q: got %s", text, got.Body)
		}
	}
}

func notBodies(m *kit.OrderCloud, t *testing.T) {
	noObject := kit.ErrorBody("Request.InvalidRequestBody", "The request body is not a JSON object of the expected shape.", "null")
	for _, body := range []string{`[`, `[]`, `null`, `"a"`, `{"Name":"a"}{}`, `{"Name":"a",}`, "{\"Name\":\"\xff\"}", "\ufeff{}", ` `} {
		m.Send(m.First, m.AdminToken, "POST", "/v1/buyers", body).MustRefuseV1(t, 400, noObject)
	}
	for _, depth := range []int{40, 100_000} {
		nested := `{"Name":"a","xp":` + strings.Repeat(`{"a":`, depth) + `1` + strings.Repeat(`}`, depth) + `}`
		m.Send(m.First, m.AdminToken, "POST", "/v1/buyers", nested[:min(len(nested), 200<<10)]).MustRefuseV1(t, 400, noObject)
	}
	media := kit.ErrorBody("Request.InvalidContentType", "Invalid content type. Please use application/json.", "null")
	for _, kind := range []string{"text/plain", kit.FormMedia, "application/xml", "application/json-patch+json", "json"} {
		m.Send(m.First, m.AdminToken, "POST", "/v1/buyers", `{"Name":"a"}`, "Content-Type", kind).MustRefuseV1(t, http.StatusUnsupportedMediaType, media)
	}
	large := kit.ErrorBody("Request.InvalidRequestBody", "The request body is too large.", "null")
	m.Send(m.First, m.AdminToken, "POST", "/v1/buyers", `{"Name":"`+strings.Repeat("x", 300<<10)+`"}`).MustRefuseV1(t, http.StatusRequestEntityTooLarge, large)
	m.Send(m.First, "", "POST", "/v1/password/reset", `{"ClientID":"`+strings.Repeat("x", 20<<10)+`"}`).MustRefuseV1(t, http.StatusRequestEntityTooLarge, large)
	m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"media","Name":"a"}`, "Content-Type", `Application/JSON; charset="utf-8"`)
}

func hostilePaths(m *kit.OrderCloud, t *testing.T) {
	for id, shown := range map[string]string{
		"a%00b": "a\ufffdb", "a%0d%0ab": "a\ufffd\ufffdb", "%ff": "\ufffd", "%3Cscript%3E": `\u003cscript\u003e`, "..%2Facme": "../acme", "acme%20": "acme ",
		strings.Repeat("x", 300): strings.Repeat("x", 100),
	} {
		for _, method := range []string{"GET", "DELETE"} {
			m.Send(m.First, m.AdminToken, method, "/v1/buyers/"+id, nil).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", shown))
		}
	}
	m.Send(m.First, m.AdminToken, "GET", "/v1/nothing/here", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Route", "/v1/nothing/here"))
	m.Send(m.First, m.AdminToken, "PUT", "/v1/buyers/a%20b", `{"Name":"a"}`).MustRefuseV1(t, 400,
		kit.InvalidBody("ID", "must be 1 to 100 of the characters A-Z, a-z, 0-9, - and _"))
}
