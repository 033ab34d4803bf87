package tokens

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
	"latchkey/test/e2e/kit"
)

// forged tests that introspection answers only {"active":false} for a forged token, and that
// its revocation answers 200 and has no effect.
func (c *tokenTest) forged(t *testing.T) {
	c.WithRing(t, func(ring *keys.Ring) {
		f := &kit.TokenForger{T: t, Ring: ring, Real: c.node.SignIn("jane", kit.Password).AccessToken(t)}
		trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.Fetched.Add(1) }))
		defer trap.Close()
		_, f.Claims = verifyEverywhere(c.node, t, f.Real, jose.ES256)
		f.ES256KeyID, f.RS256KeyID = f.Key("ES256").KID, f.Key("RS256").KID

		for what, token := range genuine(f) {
			if a := c.node.Introspect(token); a.Field("username") != "jane" {
				t.Errorf("%s: the genuine token is not active: got %d %s", what, a.Status, a.Body)
			}
		}
		for what, token := range otherClaims(f) {
			t.Run(what, func(t *testing.T) { c.mustBeInactive(t, token) })
		}
		for _, forgeries := range []map[string]string{otherHeaders(f, trap.URL), otherKeys(f), otherText(f)} {
			for what, token := range forgeries {
				t.Run(what, func(t *testing.T) {
					c.mustBeInactive(t, token)
					if a := c.node.Form("/oauth/revoke", "client_id", "shop", "client_secret", kit.ClientSecret, "token", token); a.Status != http.StatusOK || a.Body != "" {
						t.Errorf("revocation: got %d %s, want 200", a.Status, a.Body)
					}
				})
			}
		}
		if a := c.node.Introspect(f.Real); a.Field("username") != "jane" {
			t.Errorf("the genuine token after the revocation of a forgery: got %s", a.Body)
		}
		if n := f.Fetched.Load(); n != 0 {
			t.Errorf("got %d requests to the address in a header, want none", n)
		}
	})
}

func (c *tokenTest) mustBeInactive(t *testing.T, token string) {
	t.Helper()
	if a := c.node.Introspect(token); a.Status != http.StatusOK || a.Body != `{"active":false}` {
		t.Errorf("introspection: got %d %s, want 200", a.Status, a.Body)
	}
}

// genuine returns valid tokens that are made as the forgeries are.
func genuine(f *kit.TokenForger) map[string]string {
	return map[string]string{
		"as issued":         f.Real,
		"signed here":       f.Signed(nil),
		"long typ":          f.Signed(map[string]any{"typ": "application/at+jwt"}),
		"of a clock ahead":  f.Signed(nil, "nbf", f.Claims["iat"].(float64)+120, "iat", f.Claims["iat"].(float64)+120),
		"signed with RS256": f.Sign(jose.RS256, f.Key("RS256").Private, f.Claims, map[string]any{"kid": f.RS256KeyID}),
	}
}

// otherHeaders returns tokens with a header that tokens of the server never have.
func otherHeaders(f *kit.TokenForger, trap string) map[string]string {
	public := jose.JSONWebKey{Key: f.Key("ES256").Public, KeyID: f.ES256KeyID, Algorithm: "ES256", Use: "sig"}
	forgeries := map[string]string{
		"typ JWT":        f.Signed(map[string]any{"typ": "JWT"}),
		"typ id_token":   f.Signed(map[string]any{"typ": "id_token+jwt"}),
		"typ empty":      f.Signed(map[string]any{"typ": ""}),
		"typ missing":    f.Signed(map[string]any{"typ": nil}),
		"typ a number":   f.Signed(map[string]any{"typ": 1}),
		"kid missing":    f.Signed(map[string]any{"kid": nil}),
		"kid empty":      f.Signed(map[string]any{"kid": ""}),
		"kid unknown":    f.Signed(map[string]any{"kid": "unknown"}),
		"kid a path":     f.Signed(map[string]any{"kid": "../../../../../../dev/null"}),
		"kid beside":     f.Signed(map[string]any{"kid": "./" + f.ES256KeyID}),
		"kid in SQL":     f.Signed(map[string]any{"kid": "' OR '1'='1"}),
		"kid with NUL":   f.Signed(map[string]any{"kid": f.ES256KeyID + "\x00"}),
		"kid an address": f.Signed(map[string]any{"kid": trap}),
		"kid of another": f.Signed(map[string]any{"kid": f.RS256KeyID}),
		"own jwk":        f.Signed(map[string]any{"jwk": public}),
		"jku":            f.Signed(map[string]any{"jku": trap}),
		"x5u":            f.Signed(map[string]any{"x5u": trap}),
		"x5c":            f.Signed(map[string]any{"x5c": []string{"AAAA"}}),
		"crit":           f.Signed(map[string]any{"crit": []string{"exp"}, "exp": 1}),
	}
	payload := strings.Split(f.Real, ".")[1]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "ES384", "ES256 "} {
		header, err := json.Marshal(map[string]string{"alg": alg, "typ": "at+jwt", "kid": f.ES256KeyID})
		if err != nil {
			f.T.Fatal(err)
		}
		forgeries["alg "+alg+" unsigned"] = base64.RawURLEncoding.EncodeToString(header) + "." + payload + "."
		forgeries["alg "+alg+" with a signature"] = base64.RawURLEncoding.EncodeToString(header) + "." + payload + "." + strings.Split(f.Real, ".")[2]
	}
	return forgeries
}

// otherKeys returns tokens that are signed by another key, or by a key of the server for
// another purpose.
func otherKeys(f *kit.TokenForger) map[string]string {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.T.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: own.Public(), KeyID: "mine", Algorithm: "ES256", Use: "sig"}
	forgeries := map[string]string{
		"another key":               f.Sign(jose.ES256, own, f.Claims, nil),
		"another key, its jwk":      f.Sign(jose.ES256, own, f.Claims, map[string]any{"jwk": jwk, "kid": nil}),
		"another key, jwk and kid":  f.Sign(jose.ES256, own, f.Claims, map[string]any{"jwk": jwk}),
		"another key, its own kid":  f.Sign(jose.ES256, own, f.Claims, map[string]any{"jwk": jwk, "kid": "mine"}),
		"PS256 with the RS256 key":  f.Sign(jose.PS256, f.Key("RS256").Private, f.Claims, map[string]any{"kid": f.RS256KeyID}),
		"RS512 with the RS256 key":  f.Sign(jose.RS512, f.Key("RS256").Private, f.Claims, map[string]any{"kid": f.RS256KeyID}),
		"RS256 with the ES256 kid":  f.Sign(jose.RS256, f.Key("RS256").Private, f.Claims, nil),
		"HS256 with nothing as key": f.Sign(jose.HS256, make([]byte, 32), f.Claims, nil),
	}
	for name, kid := range map[string]string{"ES256": f.ES256KeyID, "RS256": f.RS256KeyID} {
		der, err := x509.MarshalPKIXPublicKey(f.Key(name).Public)
		if err != nil {
			f.T.Fatal(err)
		}
		published, _ := f.Ring.Public(kid)
		for form, key := range map[string][]byte{
			"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": published,
			"PEM without its end": bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		} {
			forgeries["HS256 with the public "+name+" key as "+form] = f.Sign(jose.HS256, key, f.Claims, map[string]any{"kid": kid})
		}
	}
	return forgeries
}

// otherClaims returns tokens that are signed by the server's key and have wrong or expired
// claims.
func otherClaims(f *kit.TokenForger) map[string]string {
	now := f.Claims["iat"].(float64)
	return map[string]string{
		"expired":               f.Signed(nil, "exp", now-1),
		"expires now":           f.Signed(nil, "exp", now),
		"without exp":           f.Signed(nil, "exp", nil),
		"exp in words":          f.Signed(nil, "exp", "tomorrow"),
		"exp zero":              f.Signed(nil, "exp", 0),
		"not yet":               f.Signed(nil, "nbf", now+600),
		"without iat":           f.Signed(nil, "iat", nil),
		"other issuer":          f.Signed(nil, "iss", "https://evil.example.com"),
		"issuer with a slash":   f.Signed(nil, "iss", "https://login.example.com/"),
		"issuer in capitals":    f.Signed(nil, "iss", "https://LOGIN.example.com"),
		"issuer missing":        f.Signed(nil, "iss", nil),
		"issuer a list":         f.Signed(nil, "iss", []string{"https://login.example.com"}),
		"another client":        f.Signed(nil, "client_id", "vendor"),
		"client gone":           f.Signed(nil, "client_id", "gone"),
		"client missing":        f.Signed(nil, "client_id", nil),
		"user gone":             f.Signed(nil, "u", "usr_gone"),
		"login gone":            f.Signed(nil, "login_id", "lgn_gone"),
		"user with NUL":         f.Signed(nil, "u", "usr_\x00"),
		"token id with NUL":     f.Signed(nil, "jti", "\x00", "u", "\x00", "login_id", "\x00", "sid", "\x00"),
		"claims in a string":    f.Sign(jose.ES256, f.Key("ES256").Private, "claims", nil),
		"claims in a list":      f.Sign(jose.ES256, f.Key("ES256").Private, []any{f.Claims}, nil),
		"signed with no claims": f.Sign(jose.ES256, f.Key("ES256").Private, map[string]any{}, nil),
	}
}

// otherText returns texts that are not a JWS of the server.
func otherText(f *kit.TokenForger) map[string]string {
	parts := strings.Split(f.Real, ".")
	flip := func(s string, i int) string {
		c := byte('A')
		if s[i] == c {
			c = 'B'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	claims := maps.Clone(f.Claims)
	claims["scope"] = "FullAccess"
	tampered, err := json.Marshal(claims)
	if err != nil {
		f.T.Fatal(err)
	}
	asJSON, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	if err != nil {
		f.T.Fatal(err)
	}
	return map[string]string{
		"claims exchanged":   parts[0] + "." + base64.RawURLEncoding.EncodeToString(tampered) + "." + parts[2],
		"signature changed":  parts[0] + "." + parts[1] + "." + flip(parts[2], 10),
		"header changed":     flip(parts[0], 5) + "." + parts[1] + "." + parts[2],
		"spelled otherwise":  f.Real[:len(f.Real)-1] + string(f.Real[len(f.Real)-1]+1), // the last bits are unused
		"signature missing":  parts[0] + "." + parts[1] + ".",
		"signature of zeros": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         f.Real + ".x",
		"five parts":         f.Real + ".x.y",
		"padded":             f.Real + "=",
		"with a line break":  f.Real + "\n",
		"with a space":       " " + f.Real,
		"two tokens":         f.Real + " " + f.Real,
		"JSON serialization": string(asJSON),
		"dots":               "..",
		"words":              "no token",
		"NUL":                "\x00",
		"not UTF-8":          "\xff\xfe",
		"long":               strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000),
		"nested":             strings.Repeat("eyJhbGciOiJub25lIn0.", 1000),
		"refresh token":      "lkr_" + f.Real,
		"refresh token, NUL": "lkr_\x00.1.\x00.\x00.\x00",
	}
}
