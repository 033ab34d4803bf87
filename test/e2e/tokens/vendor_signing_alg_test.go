package tokens

import (
	"net/http"
	"testing"

	"latchkey/keys"
	"latchkey/test/e2e/kit"
)

// TestSigningAlgOfRegisteredClients tests that a client that was created without an algorithm
// gets tokens with the expected algorithm, whichever way it was created.
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
			kit.EachOrderCloud(t, []string{c.setting}, func(t *testing.T, m *kit.OrderCloud) { signingAlgs(m, t, c.v1, c.otherwise) })
		})
	}
}

func signingAlgs(m *kit.OrderCloud, t *testing.T, v1, otherwise string) {
	m.Do(t, 201, http.MethodPost, "/v1/adminusers", `{"ID":"ann","Username":"ann","Password":"`+kit.TedPassword+`","Active":true}`)
	const seller = `"Active":true,"AllowSeller":true`
	for id, want := range map[string]string{"unnamed": v1, "null": v1, "es256": keys.ES256, "eddsa": keys.EdDSA, "rs256": keys.RS256} {
		named := map[string]string{"unnamed": "", "null": `,"SigningAlg":null`}
		member, ok := named[id]
		if !ok {
			member = `,"SigningAlg":"` + want + `"`
		}
		body := `{"ID":"` + id + `","AppName":"A",` + seller + member + `}`
		m.Do(t, 201, http.MethodPost, "/v1/apiclients", body)
		hasAlg(m, t, "POST "+id, id, want)

		// A client that OrderCloud's software reads and writes back keeps its algorithm.
		m.Do(t, 200, http.MethodPut, "/v1/apiclients/"+id, `{"AppName":"B",`+seller+`}`)
		hasAlg(m, t, "PUT "+id, id, want)
		m.Do(t, 200, http.MethodPatch, "/v1/apiclients/"+id, `{"AppName":"C"}`)
		hasAlg(m, t, "PATCH "+id, id, want)
	}
	m.Do(t, 200, http.MethodPut, "/v1/apiclients/by-put", `{"AppName":"A",`+seller+`}`)
	hasAlg(m, t, "PUT of a new client", "by-put", v1)
	m.Do(t, 200, http.MethodPatch, "/v1/apiclients/by-put", `{"SigningAlg":"EdDSA"}`)
	hasAlg(m, t, "PATCH to EdDSA", "by-put", keys.EdDSA)

	m.CreateClient(t, "--name", "Made", "--id", "made", "--public", "--grant", "password", "--role", "FullAccess")
	hasAlg(m, t, "client create", "made", otherwise)
	m.Do(t, 200, http.MethodPut, "/v1/apiclients/made", `{"AppName":"B",`+seller+`,"MaximumGrantedRoles":["FullAccess"]}`)
	hasAlg(m, t, "PUT of a client of the command line", "made", otherwise)
	m.Apply(`ApiClients: [{ID: applied, AppName: A, Active: true, AllowSeller: true}]`)
	hasAlg(m, t, "apply", "applied", otherwise)
}

// hasAlg signs ann in through the client and checks the header of the token.
func hasAlg(m *kit.OrderCloud, t *testing.T, what, clientID, want string) {
	t.Helper()
	signedIn := m.SignIn(m.First, clientID, "ann", kit.TedPassword).AccessToken(t)
	if header, _ := kit.DecodeJWT(t, signedIn); header["alg"] != want {
		t.Errorf("%s: got alg %v, want %s", what, header["alg"], want)
	}
}
