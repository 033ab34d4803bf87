package kit

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
)

// TokenForger makes forged tokens from the claims of a real one.
type TokenForger struct {
	T          *testing.T
	Ring       *keys.Ring
	ES256KeyID string // kid of the server's ES256 key
	RS256KeyID string // kid of the server's RS256 key
	made       int
	Claims     map[string]any // claims of an active token
	Real       string         // the active token
	Fetched    atomic.Int64   // number of requests to the URL in forged headers
}

func (f *TokenForger) Key(alg string) keys.Key {
	f.T.Helper()
	key, err := f.Ring.SigningKey(alg)
	if err != nil {
		f.T.Fatal(err)
	}
	return key
}

// Sign signs the claims with any header. It omits a header parameter that is nil.
func (f *TokenForger) Sign(alg jose.SignatureAlgorithm, key any, claims any, header map[string]any) string {
	f.T.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "at+jwt", "kid": f.ES256KeyID}}
	for name, value := range header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
		if value == nil {
			delete(options.ExtraHeaders, jose.HeaderKey(name))
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		f.T.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		f.T.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		f.T.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		f.T.Fatal(err)
	}
	return token
}

// Signed is Sign with the server's own key. So only the header or the claims are wrong.
func (f *TokenForger) Signed(header map[string]any, changes ...any) string {
	f.T.Helper()
	claims := maps.Clone(f.Claims)
	f.made++
	claims["jti"] = fmt.Sprintf("forged %d", f.made) // otherwise the revocation of one token would cause the refusal of another
	for i := 0; i+1 < len(changes); i += 2 {
		name, _ := changes[i].(string)
		claims[name] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return f.Sign(jose.ES256, f.Key("ES256").Private, claims, header)
}
