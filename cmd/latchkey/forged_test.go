package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
)

// forge makes tokens that are almost ours.
type forge struct {
	t       *testing.T
	ring    *keys.Ring
	kid     string // of the server's ES256 key
	rsaKID  string // of its RS256 key
	made    int
	claims  map[string]any // of a token that is active
	real    string         // that token
	fetched atomic.Int64   // requests at the address that forged headers name
}

// forged is F5 and F12: introspection answers {"active":false} and nothing
// else, revocation 200 and does nothing.
func (c *tokenTest) forged(t *testing.T) {
	c.wireRing(t, func(ring *keys.Ring) {
		f := &forge{t: t, ring: ring, real: c.node.signIn("jane", janesPassword).mustIssue(t)}
		trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.fetched.Add(1) }))
		defer trap.Close()
		_, f.claims = c.node.verifyEverywhere(t, f.real, jose.ES256)
		f.kid, f.rsaKID = f.key("ES256").KID, f.key("RS256").KID

		for what, token := range f.genuine() {
			if a := c.node.introspect(token); a.field("username") != "jane" {
				t.Errorf("%s: not active, so the forgeries prove nothing: %d %s", what, a.status, a.body)
			}
		}
		for what, token := range f.otherClaims() {
			t.Run(what, func(t *testing.T) { c.mustBeInactive(t, token) })
		}
		for _, forgeries := range []map[string]string{f.otherHeaders(trap.URL), f.otherKeys(), f.otherText()} {
			for what, token := range forgeries {
				t.Run(what, func(t *testing.T) {
					c.mustBeInactive(t, token)
					if a := c.node.form("/oauth/revoke", "client_id", "shop", "client_secret", shopSecret, "token", token); a.status != http.StatusOK || a.body != "" {
						t.Errorf("revocation: %d %s", a.status, a.body)
					}
				})
			}
		}
		if a := c.node.introspect(f.real); a.field("username") != "jane" {
			t.Errorf("a forgery revoked the real token: %s", a.body)
		}
		if n := f.fetched.Load(); n != 0 {
			t.Errorf("%d requests to the address in a header", n)
		}
	})
}

func (c *tokenTest) mustBeInactive(t *testing.T, token string) {
	t.Helper()
	if a := c.node.introspect(token); a.status != http.StatusOK || a.body != `{"active":false}` {
		t.Errorf("introspection: %d %s", a.status, a.body)
	}
}

func (f *forge) key(alg string) keys.Key {
	f.t.Helper()
	key, err := f.ring.SigningKey(alg)
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// sign signs the claims with a header of any shape. A nil header parameter is
// left out.
func (f *forge) sign(alg jose.SignatureAlgorithm, key any, claims any, header map[string]any) string {
	f.t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "at+jwt", "kid": f.kid}}
	for name, value := range header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
		if value == nil {
			delete(options.ExtraHeaders, jose.HeaderKey(name))
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		f.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// signed is sign with the server's own key, which no forger has: what is wrong
// is the rest.
func (f *forge) signed(header map[string]any, changes ...any) string {
	f.t.Helper()
	claims := maps.Clone(f.claims)
	f.made++
	claims["jti"] = fmt.Sprintf("forged %d", f.made) // so that no revocation hides another reason
	for i := 0; i+1 < len(changes); i += 2 {
		name, _ := changes[i].(string)
		claims[name] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return f.sign(jose.ES256, f.key("ES256").Private, claims, header)
}

// genuine are made as the forgeries are, with nothing wrong.
func (f *forge) genuine() map[string]string {
	return map[string]string{
		"as issued":         f.real,
		"signed here":       f.signed(nil),
		"long typ":          f.signed(map[string]any{"typ": "application/at+jwt"}),
		"of a clock ahead":  f.signed(nil, "nbf", f.claims["iat"].(float64)+120, "iat", f.claims["iat"].(float64)+120),
		"signed with RS256": f.sign(jose.RS256, f.key("RS256").Private, f.claims, map[string]any{"kid": f.rsaKID}),
	}
}

// otherHeaders have a header that a token of ours never has.
func (f *forge) otherHeaders(trap string) map[string]string {
	public := jose.JSONWebKey{Key: f.key("ES256").Public, KeyID: f.kid, Algorithm: "ES256", Use: "sig"}
	forgeries := map[string]string{
		"typ JWT":        f.signed(map[string]any{"typ": "JWT"}),
		"typ id_token":   f.signed(map[string]any{"typ": "id_token+jwt"}),
		"typ empty":      f.signed(map[string]any{"typ": ""}),
		"typ missing":    f.signed(map[string]any{"typ": nil}),
		"typ a number":   f.signed(map[string]any{"typ": 1}),
		"kid missing":    f.signed(map[string]any{"kid": nil}),
		"kid empty":      f.signed(map[string]any{"kid": ""}),
		"kid unknown":    f.signed(map[string]any{"kid": "unknown"}),
		"kid a path":     f.signed(map[string]any{"kid": "../../../../../../dev/null"}),
		"kid beside":     f.signed(map[string]any{"kid": "./" + f.kid}),
		"kid in SQL":     f.signed(map[string]any{"kid": "' OR '1'='1"}),
		"kid with NUL":   f.signed(map[string]any{"kid": f.kid + "\x00"}),
		"kid an address": f.signed(map[string]any{"kid": trap}),
		"kid of another": f.signed(map[string]any{"kid": f.rsaKID}),
		"own jwk":        f.signed(map[string]any{"jwk": public}),
		"jku":            f.signed(map[string]any{"jku": trap}),
		"x5u":            f.signed(map[string]any{"x5u": trap}),
		"x5c":            f.signed(map[string]any{"x5c": []string{"AAAA"}}),
		"crit":           f.signed(map[string]any{"crit": []string{"exp"}, "exp": 1}),
	}
	payload := strings.Split(f.real, ".")[1]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "ES384", "ES256 "} {
		header, err := json.Marshal(map[string]string{"alg": alg, "typ": "at+jwt", "kid": f.kid})
		if err != nil {
			f.t.Fatal(err)
		}
		forgeries["alg "+alg+" unsigned"] = base64.RawURLEncoding.EncodeToString(header) + "." + payload + "."
		forgeries["alg "+alg+" with a signature"] = base64.RawURLEncoding.EncodeToString(header) + "." + payload + "." + strings.Split(f.real, ".")[2]
	}
	return forgeries
}

// otherKeys are signed by a key that is not ours, or not for that.
func (f *forge) otherKeys() map[string]string {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: own.Public(), KeyID: "mine", Algorithm: "ES256", Use: "sig"}
	forgeries := map[string]string{
		"another key":               f.sign(jose.ES256, own, f.claims, nil),
		"another key, its jwk":      f.sign(jose.ES256, own, f.claims, map[string]any{"jwk": jwk, "kid": nil}),
		"another key, jwk and kid":  f.sign(jose.ES256, own, f.claims, map[string]any{"jwk": jwk}),
		"another key, its own kid":  f.sign(jose.ES256, own, f.claims, map[string]any{"jwk": jwk, "kid": "mine"}),
		"PS256 with the RS256 key":  f.sign(jose.PS256, f.key("RS256").Private, f.claims, map[string]any{"kid": f.rsaKID}),
		"RS512 with the RS256 key":  f.sign(jose.RS512, f.key("RS256").Private, f.claims, map[string]any{"kid": f.rsaKID}),
		"RS256 with the ES256 kid":  f.sign(jose.RS256, f.key("RS256").Private, f.claims, nil),
		"HS256 with nothing as key": f.sign(jose.HS256, make([]byte, 32), f.claims, nil),
	}
	for name, kid := range map[string]string{"ES256": f.kid, "RS256": f.rsaKID} {
		der, err := x509.MarshalPKIXPublicKey(f.key(name).Public)
		if err != nil {
			f.t.Fatal(err)
		}
		published, _ := f.ring.Public(kid)
		for form, key := range map[string][]byte{
			"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": published,
			"PEM without its end": bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		} {
			forgeries["HS256 with the public "+name+" key as "+form] = f.sign(jose.HS256, key, f.claims, map[string]any{"kid": kid})
		}
	}
	return forgeries
}

// otherClaims are signed by our key and say what no token of ours says, or not
// now.
func (f *forge) otherClaims() map[string]string {
	now := f.claims["iat"].(float64)
	return map[string]string{
		"expired":               f.signed(nil, "exp", now-1),
		"expires now":           f.signed(nil, "exp", now),
		"without exp":           f.signed(nil, "exp", nil),
		"exp in words":          f.signed(nil, "exp", "tomorrow"),
		"exp zero":              f.signed(nil, "exp", 0),
		"not yet":               f.signed(nil, "nbf", now+600),
		"without iat":           f.signed(nil, "iat", nil),
		"other issuer":          f.signed(nil, "iss", "https://evil.example.com"),
		"issuer with a slash":   f.signed(nil, "iss", "https://login.example.com/"),
		"issuer in capitals":    f.signed(nil, "iss", "https://LOGIN.example.com"),
		"issuer missing":        f.signed(nil, "iss", nil),
		"issuer a list":         f.signed(nil, "iss", []string{"https://login.example.com"}),
		"another client":        f.signed(nil, "client_id", "vendor"),
		"client gone":           f.signed(nil, "client_id", "gone"),
		"client missing":        f.signed(nil, "client_id", nil),
		"user gone":             f.signed(nil, "u", "usr_gone"),
		"login gone":            f.signed(nil, "login_id", "lgn_gone"),
		"user with NUL":         f.signed(nil, "u", "usr_\x00"),
		"token id with NUL":     f.signed(nil, "jti", "\x00", "u", "\x00", "login_id", "\x00", "sid", "\x00"),
		"claims in a string":    f.sign(jose.ES256, f.key("ES256").Private, "claims", nil),
		"claims in a list":      f.sign(jose.ES256, f.key("ES256").Private, []any{f.claims}, nil),
		"signed with no claims": f.sign(jose.ES256, f.key("ES256").Private, map[string]any{}, nil),
	}
}

// otherText is what is no JWS of ours to begin with.
func (f *forge) otherText() map[string]string {
	parts := strings.Split(f.real, ".")
	flip := func(s string, i int) string {
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	claims := maps.Clone(f.claims)
	claims["scope"] = "FullAccess"
	tampered, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	asJSON, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string]string{
		"claims exchanged":   parts[0] + "." + base64.RawURLEncoding.EncodeToString(tampered) + "." + parts[2],
		"signature changed":  parts[0] + "." + parts[1] + "." + flip(parts[2], 10),
		"header changed":     flip(parts[0], 5) + "." + parts[1] + "." + parts[2],
		"spelled otherwise":  f.real[:len(f.real)-1] + string(f.real[len(f.real)-1]+1), // the last bits mean nothing
		"signature missing":  parts[0] + "." + parts[1] + ".",
		"signature of zeros": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         f.real + ".x",
		"five parts":         f.real + ".x.y",
		"padded":             f.real + "=",
		"with a line break":  f.real + "\n",
		"with a space":       " " + f.real,
		"two tokens":         f.real + " " + f.real,
		"JSON serialization": string(asJSON),
		"dots":               "..",
		"words":              "no token",
		"NUL":                "\x00",
		"not UTF-8":          "\xff\xfe",
		"long":               strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000),
		"nested":             strings.Repeat("eyJhbGciOiJub25lIn0.", 1000),
		"refresh token":      "lkr_" + f.real,
		"refresh token, NUL": "lkr_\x00.1.\x00.\x00.\x00",
	}
}
