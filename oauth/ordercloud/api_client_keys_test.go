package ordercloud

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/token"
	"latchkey/storage"
)

// keyPair returns the JWK Sets of a new private key and of its public key.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var sets [2]string
	for i, k := range []any{key, key.Public()} {
		encoded, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "one"}}})
		if err != nil {
			t.Fatal(err)
		}
		sets[i] = string(encoded)
	}
	return sets[0], sets[1]
}

// TestApiClientsWithKeys tests that a client that signs assertions has keys instead of a
// secret. Its other members stay the same, whether PUT or PATCH changes it.
func TestApiClientsWithKeys(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	_, set := keyPair(t)
	const path = "/v1/apiclients/signer"
	members := `"TokenEndpointAuthMethod":"private_key_jwt","JWKS":` + set +
		`,"Resources":["https://b.example/api","urn:example:a"],"DPoPBoundAccessTokens":true,"TrustEndUserAddress":true,"RedirectUris":[],"PostLogoutRedirectUris":[],"BackchannelLogoutUri":null,"ThirdParty":false,"IDTokenSigningAlg":null,"RequirePushedAuthorizationRequests":false`
	created := srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"signer","AppName":"Signer",`+members+`}`)
	if !strings.HasSuffix(created.body, members+"}") {
		t.Errorf("created: got %s", created.body)
	}
	stored := func() storage.Client {
		t.Helper()
		c, err := srv.store.Client(srv.ctx, "signer")
		srv.must(err)
		return c
	}
	first := stored()
	if first.Public || first.AuthMethod != storage.AuthMethodPrivateKeyJWT || !first.DPoPBound || !first.TrustAddress || string(first.JWKS) != set {
		t.Errorf("got the stored client %+v", first)
	}
	srv.expect(200, "root", "PATCH", path, `{"AppName":"Other"}`)
	back := srv.expect(200, "root", "GET", path, "")
	srv.expect(200, "root", "PUT", path, back.body)
	last := stored()
	last.Name, last.Version, last.UpdatedAt = first.Name, first.Version, first.UpdatedAt
	var before, after any
	if json.Unmarshal(first.JWKS, &before) != nil || json.Unmarshal(last.JWKS, &after) != nil || !cmp.Equal(before, after) {
		t.Errorf("got the keys %s, want no change", last.JWKS)
	}
	last.JWKS = first.JWKS
	if diff := cmp.Diff(first, last); diff != "" {
		t.Errorf("after PATCH and PUT of what was read (-before +after):\n%s", diff)
	}

	srv.expect(200, "root", "PATCH", path, `{"TokenEndpointAuthMethod":null,"JWKS":null,"Resources":[],"DPoPBoundAccessTokens":false}`)
	if c := stored(); c.AuthMethod != "" || len(c.JWKS) != 0 || c.Resources != nil || c.DPoPBound || !c.TrustAddress || c.Public {
		t.Errorf("without keys: got %+v", c)
	}
}

func TestApiClientsWithBadKeys(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	private, public := keyPair(t)
	const method = `"TokenEndpointAuthMethod":"private_key_jwt"`
	for what, members := range map[string]string{
		"private keys":             method + `,"JWKS":` + private,
		"no keys":                  method,
		"empty set":                method + `,"JWKS":{"keys":[]}`,
		"keys in a text":           method + `,"JWKS":"x"`,
		"keys without method":      `"JWKS":` + public,
		"a secret besides":         method + `,"JWKS":` + public + `,"ClientSecret":"shop-secret-shop-secret-shop-secret"`,
		"another method":           `"TokenEndpointAuthMethod":"client_secret_jwt"`,
		"resource without scheme":  `"Resources":["api.example"]`,
		"resource with a fragment": `"Resources":["https://api.example#x"]`,
		"resource with a space":    `"Resources":["https://api.example/a b"]`,
		"resource without a name":  `"Resources":["https:"]`,
	} {
		got := srv.refuses(400, "ValidationFailure", "root", "POST", "/v1/apiclients", `{"AppName":"n",`+members+`}`)
		var pair struct{ Keys []struct{ D string } }
		if err := json.Unmarshal([]byte(private), &pair); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.body, pair.Keys[0].D) {
			t.Errorf("%s: the answer contains the private key: %s", what, got.body)
		}
	}
}

// TestKeysOfClientsBeyondTheCaller tests that a caller cannot set the keys of a client with
// more roles. With its keys, the caller could act as that client.
func TestKeysOfClientsBeyondTheCaller(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	_, set := keyPair(t)
	srv.client("boss", func(c *storage.Client) { c.Roles = []string{token.RoleFullAccess} })
	srv.clientToken("registrar", "back-office", "ApiClientAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "registrar", "PATCH", "/v1/apiclients/boss",
		`{"TokenEndpointAuthMethod":"private_key_jwt","JWKS":`+set+`}`)
	if c, err := srv.store.Client(srv.ctx, "boss"); err != nil || c.AuthMethod != "" {
		t.Errorf("got %+v, error %v, want no keys", c, err)
	}
}
