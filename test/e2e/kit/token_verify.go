package kit

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// ClientAlgsDocument contains a client for each signing algorithm.
const ClientAlgsDocument = `
ApiClients:
  - {ID: shop-rs256, AppName: RS256, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, SigningAlg: RS256, GrantTypes: [password], AllowedCredentials: [password]}
  - {ID: shop-eddsa, AppName: EdDSA, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, SigningAlg: EdDSA, GrantTypes: [password], AllowedCredentials: [password]}
`

// JanesToken returns an access token of user "jane" from a public client.
func (n *Server) JanesToken(t *testing.T, clientID string) string {
	t.Helper()
	return n.Form("/oauth/token", "grant_type", "password", "client_id", clientID, "username", "jane", "password", Password).AccessToken(t)
}

// FetchKeys returns a published key set.
func (n *Server) FetchKeys(t *testing.T, path string) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	a := n.Do(http.MethodGet, path, "", "")
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%s: got %d %v %s", path, a.Status, err, a.Body)
	}
	return set
}

// VerifyToken verifies a token as a resource server does that accepts the keys of the set
// and one algorithm. It returns the header and the claims.
func VerifyToken(t *testing.T, token string, alg jose.SignatureAlgorithm, set jose.JSONWebKeySet) (jose.Header, map[string]any) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatalf("parse token %s: %v", token, err)
	}
	header := signed.Signatures[0].Protected
	found := set.Key(header.KeyID)
	if len(found) != 1 {
		t.Fatalf("got %d keys of the kid %q in the set, want 1", len(found), header.KeyID)
	}
	payload, err := signed.Verify(found[0])
	if err != nil {
		t.Fatalf("verify token %s: %v", token, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return header, claims
}

// KeyID returns the kid of a token. It does not verify the token.
func KeyID(t *testing.T, token string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Protected.KeyID
}
