package main

import (
	"net/http"
	"testing"

	"latchkey/keys"
)

// TestSigningAlgOfRegisteredClients looks at the algorithm of tokens that clients
// get which were registered without one, on each way to register a client.
func TestSigningAlgOfRegisteredClients(t *testing.T) {
	for _, c := range []struct {
		name, setting string
		v1, otherwise string
	}{
		{"setting names none", "LATCHKEY_SIGNING_ALG=", keys.RS256, keys.ES256},
		{"setting names EdDSA", "LATCHKEY_SIGNING_ALG=EdDSA", keys.EdDSA, keys.EdDSA},
		{"setting names ES256", "LATCHKEY_SIGNING_ALG=ES256", keys.ES256, keys.ES256},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachMarket(t, []string{c.setting}, func(t *testing.T, m *market) { m.signingAlgs(t, c.v1, c.otherwise) })
		})
	}
}

func (m *market) signingAlgs(t *testing.T, v1, otherwise string) {
	m.do(t, 201, http.MethodPost, "/v1/adminusers", `{"ID":"ann","Username":"ann","Password":"`+tedPassword+`","Active":true}`)
	const seller = `"Active":true,"AllowSeller":true`
	for id, want := range map[string]string{"unnamed": v1, "null": v1, "es256": keys.ES256, "eddsa": keys.EdDSA, "rs256": keys.RS256} {
		named := map[string]string{"unnamed": "", "null": `,"SigningAlg":null`}
		member, ok := named[id]
		if !ok {
			member = `,"SigningAlg":"` + want + `"`
		}
		body := `{"ID":"` + id + `","AppName":"A",` + seller + member + `}`
		m.do(t, 201, http.MethodPost, "/v1/apiclients", body)
		m.hasAlg(t, "POST "+id, id, want)

		// A client that OrderCloud's software reads and writes back loses no algorithm.
		m.do(t, 200, http.MethodPut, "/v1/apiclients/"+id, `{"AppName":"B",`+seller+`}`)
		m.hasAlg(t, "PUT "+id, id, want)
		m.do(t, 200, http.MethodPatch, "/v1/apiclients/"+id, `{"AppName":"C"}`)
		m.hasAlg(t, "PATCH "+id, id, want)
	}
	m.do(t, 200, http.MethodPut, "/v1/apiclients/by-put", `{"AppName":"A",`+seller+`}`)
	m.hasAlg(t, "PUT of a new client", "by-put", v1)
	m.do(t, 200, http.MethodPatch, "/v1/apiclients/by-put", `{"SigningAlg":"EdDSA"}`)
	m.hasAlg(t, "PATCH to EdDSA", "by-put", keys.EdDSA)

	m.adminClient(t, "--name", "Made", "--id", "made", "--public", "--grant", "password", "--role", "FullAccess")
	m.hasAlg(t, "client create", "made", otherwise)
	m.do(t, 200, http.MethodPut, "/v1/apiclients/made", `{"AppName":"B",`+seller+`,"MaximumGrantedRoles":["FullAccess"]}`)
	m.hasAlg(t, "PUT of a client of the command line", "made", otherwise)
	m.apply(`ApiClients: [{ID: applied, AppName: A, Active: true, AllowSeller: true}]`)
	m.hasAlg(t, "apply", "applied", otherwise)
}

// hasAlg signs ann in through the client and looks at the token's header.
func (m *market) hasAlg(t *testing.T, what, clientID, want string) {
	t.Helper()
	signedIn := m.signIn(m.first, clientID, "ann", tedPassword).mustIssue(t)
	if header, _ := decoded(t, signedIn); header["alg"] != want {
		t.Errorf("%s: alg is %v, want %s", what, header["alg"], want)
	}
}
