package resource

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestForgeries tests that forged tokens are refused with 401 (RFC 8725, RFC 9068 §4), and that
// no key is fetched from a URL in a token.
func TestForgeries(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.publish(es256Key(t).public("k1"), rs256Key(t).public("rsa"))
	v := i.verifier(t, nil)
	h := v.Require()(showTokens)
	var trapRequests atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { trapRequests.Add(1) }))
	t.Cleanup(trap.Close)
	for name, token := range i.validTokens(t) {
		if w := get(h, "Authorization", "Bearer "+token); w.Code != http.StatusOK {
			t.Fatalf("%s: got %d for a valid token, want 200", name, w.Code)
		}
	}
	for _, forgeries := range []map[string]string{i.wrongHeaders(t, trap.URL), i.wrongKeys(t), i.wrongClaims(t), i.malformed(t)} {
		for name, token := range forgeries {
			w := get(h, "Authorization", "Bearer "+token)
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s: got %d %s, want 401", name, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
	}
	if n := trapRequests.Load(); n != 0 {
		t.Errorf("got %d requests to a URL in a token, want none", n)
	}
	if n := i.keyRequests.Load(); n != 1 {
		t.Errorf("got %d fetches of the keys, want 1", n)
	}
}

// TestKeyDecidesOnAlgorithm tests that a token with an allowed algorithm is refused if the key
// is published for another algorithm.
func TestKeyDecidesOnAlgorithm(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.publish(rs256Key(t).public("rsa"))
	v := i.verifier(t, func(cfg *Config) { cfg.Algorithms = []string{"RS256", "PS256"} })
	for alg, want := range map[jose.SignatureAlgorithm]error{jose.RS256: nil, jose.PS256: ErrInvalidToken} {
		token := signWith(t, jose.SigningKey{Algorithm: alg, Key: rs256Key(t).private}, i.claims(), object{"typ": "at+jwt", "kid": "rsa"})
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s with a key for RS256: got %v, want %v", alg, err, want)
		}
	}
}

// validTokens returns tokens that must be accepted. They are built like the forged ones.
func (i *issuer) validTokens(t *testing.T) map[string]string {
	now := i.clock.now().Unix()
	leeway := int64(DefaultLeeway / time.Second)
	return map[string]string{
		"plain":          i.sign(t, i.claims(), nil),
		"long typ":       i.sign(t, i.claims(), object{"typ": "application/AT+jwt"}),
		"RS256":          sign(t, rs256Key(t), i.claims(), object{"typ": "at+jwt", "kid": "rsa"}),
		"clock ahead":    i.sign(t, with(i.claims(), object{"iat": now + leeway, "nbf": now + leeway}), nil),
		"clock behind":   i.sign(t, with(i.claims(), object{"exp": now - leeway + 1}), nil),
		"no nbf":         i.sign(t, with(i.claims(), object{"nbf": nil}), nil),
		"several aud":    i.sign(t, with(i.claims(), object{"aud": []string{"x", audience}}), nil),
		"without scopes": i.sign(t, with(i.claims(), object{"scope": nil}), nil),
	}
}

// wrongHeaders returns tokens that are signed with the issuer's key and have a header that the
// issuer never uses.
func (i *issuer) wrongHeaders(t *testing.T, trap string) map[string]string {
	c := i.claims()
	public := es256Key(t).public("k1")
	forgeries := map[string]string{
		"typ JWT":              i.sign(t, c, object{"typ": "JWT"}),
		"typ missing":          i.sign(t, c, object{"typ": nil}),
		"typ a number":         i.sign(t, c, object{"typ": 1}),
		"typ with parameters":  i.sign(t, c, object{"typ": "at+jwt;x=y"}),
		"typ twice":            i.sign(t, c, object{"typ": "application/application/at+jwt"}),
		"account token":        i.sign(t, c, object{"typ": "account+jwt"}),
		"selection token":      i.sign(t, c, object{"typ": "selection+jwt"}),
		"DPoP proof":           i.sign(t, c, object{"typ": "dpop+jwt"}),
		"id token":             i.sign(t, with(c, object{"aud": "shop", "nonce": "n"}), object{"typ": "JWT"}),
		"client assertion":     i.sign(t, with(c, object{"iss": "shop", "sub": "shop"}), object{"typ": "JWT"}),
		"logout token":         i.sign(t, c, object{"typ": "logout+jwt"}),
		"kid missing":          i.sign(t, c, object{"kid": nil}),
		"kid empty":            i.sign(t, c, object{"kid": ""}),
		"kid a number":         i.sign(t, c, object{"kid": 1}),
		"kid a path":           i.sign(t, c, object{"kid": "../../etc/passwd"}),
		"kid a relative path":  i.sign(t, c, object{"kid": "./k1"}),
		"kid an SQL injection": i.sign(t, c, object{"kid": "x' OR '1'='1"}),
		"kid a URL":            i.sign(t, c, object{"kid": trap}),
		"kid with NUL":         i.sign(t, c, object{"kid": "k1\x00"}),
		"kid in upper case":    i.sign(t, c, object{"kid": "K1"}),
		"kid of another key":   i.sign(t, c, object{"kid": "rsa"}),
		"own jwk":              i.sign(t, c, object{"jwk": public}),
		"jku":                  i.sign(t, c, object{"jku": trap}),
		"x5u":                  i.sign(t, c, object{"x5u": trap}),
		"x5c":                  i.sign(t, c, object{"x5c": []string{"AAAA"}}),
		"x5t":                  i.sign(t, c, object{"x5t": "AAAA"}),
		"crit":                 i.sign(t, c, object{"crit": []string{"exp"}, "exp": 1}),
		"crit empty":           i.sign(t, c, object{"crit": []string{}}),
	}
	parts := strings.Split(i.sign(t, c, nil), ".")
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "ES384", "ES256 ", "es256"} {
		header := must[[]byte](t)(json.Marshal(object{"alg": alg, "typ": "at+jwt", "kid": "k1"}))
		head := base64.RawURLEncoding.EncodeToString(header)
		forgeries["alg "+alg+" unsigned"] = head + "." + parts[1] + "."
		forgeries["alg "+alg+" with a signature"] = head + "." + parts[1] + "." + parts[2]
	}
	return forgeries
}

// wrongKeys returns tokens that are signed with a key of an attacker, or with a key of the
// issuer in the wrong algorithm.
func (i *issuer) wrongKeys(t *testing.T) map[string]string {
	c, own := i.claims(), anotherKey(t)
	mine := own.public("mine")
	header := object{"typ": "at+jwt", "kid": "k1"}
	forgeries := map[string]string{
		"another key":              sign(t, own, c, header),
		"another key, its own kid": sign(t, own, c, with(header, object{"kid": "mine"})),
		"another key, its jwk":     sign(t, own, c, with(header, object{"jwk": mine})),
		"only its jwk":             sign(t, own, c, object{"typ": "at+jwt", "jwk": mine}),
		"PS256 with the RS256 key": signWith(t, jose.SigningKey{Algorithm: jose.PS256, Key: rs256Key(t).private}, c, with(header, object{"kid": "rsa"})),
		"RS512 with the RS256 key": signWith(t, jose.SigningKey{Algorithm: jose.RS512, Key: rs256Key(t).private}, c, with(header, object{"kid": "rsa"})),
		"RS256 with the ES256 kid": sign(t, rs256Key(t), c, header),
		"HS256 with zeros":         signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, c, header),
	}
	for kid, k := range map[string]signingKey{"k1": es256Key(t), "rsa": rs256Key(t)} {
		der := must[[]byte](t)(x509.MarshalPKIXPublicKey(k.private.Public()))
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		public := k.public(kid)
		for form, secret := range map[string][]byte{
			"DER": der, "PEM": block, "PEM without its end": bytes.TrimSpace(block), "JWK": must[[]byte](t)(public.MarshalJSON()),
		} {
			forgeries["HS256 with the public key "+kid+" as "+form] = signWith(t,
				jose.SigningKey{Algorithm: jose.HS256, Key: secret}, c, with(header, object{"kid": kid}))
		}
	}
	return forgeries
}

// wrongClaims returns tokens that are signed with the issuer's key and have wrong claims.
func (i *issuer) wrongClaims(t *testing.T) map[string]string {
	now := i.clock.now().Unix()
	leeway := int64(DefaultLeeway / time.Second)
	forgeries := map[string]string{}
	for name, changes := range map[string]object{
		"another issuer":       {"iss": "https://attacker.example"},
		"issuer with a slash":  {"iss": i.url + "/"},
		"issuer in upper case": {"iss": strings.ToUpper(i.url)},
		"issuer missing":       {"iss": nil},
		"issuer a list":        {"iss": []string{i.url}},
		"issuer as ISS": {
			"iss": nil, "ISS": i.url, // encoding/json would decode it as iss
		},
		"another audience":     {"aud": "https://other.example"},
		"part of the audience": {"aud": audience + "/v2"},
		"audience missing":     {"aud": nil},
		"audience empty":       {"aud": []string{}},
		"audience of numbers":  {"aud": []any{1, audience}},
		"audience an object":   {"aud": object{audience: true}},
		"expired":              {"exp": now - leeway},
		"without exp":          {"exp": nil},
		"exp zero":             {"exp": 0},
		"exp a word":           {"exp": "tomorrow"},
		"exp too large":        {"exp": 1e300},
		"not yet":              {"nbf": now + leeway + 1},
		"issued in the future": {"iat": now + leeway + 1},
		"without iat":          {"iat": nil},
		"without sub":          {"sub": nil},
		"sub empty":            {"sub": ""},
		"sub a number":         {"sub": 7},
		"without client_id":    {"client_id": nil},
		"without jti":          {"jti": nil},
		"scope a list":         {"scope": []string{"Shopper"}},
		"amr a string":         {"amr": "otp"},
		"bound to a key":       {"cnf": object{"jkt": "abc"}},
		"bound to a cert":      {"cnf": object{"x5t#S256": "abc"}},
		"cnf empty":            {"cnf": object{}},
		"cnf a string":         {"cnf": "jkt"},
		"cnf null":             {"cnf": json.RawMessage("null")},
	} {
		forgeries[name] = i.sign(t, with(i.claims(), changes), nil)
	}
	key := jose.SigningKey{Algorithm: jose.ES256, Key: es256Key(t).private}
	header := object{"typ": "at+jwt", "kid": "k1"}
	forgeries["claims in a list"] = signWith(t, key, []any{i.claims()}, header)
	forgeries["claims in a string"] = signWith(t, key, "claims", header)
	forgeries["claims null"] = signWith(t, key, nil, header)
	forgeries["no claims"] = signWith(t, key, object{}, header)
	return forgeries
}

// malformed returns texts that are not a JWS of the issuer.
func (i *issuer) malformed(t *testing.T) map[string]string {
	good := i.sign(t, i.claims(), nil)
	parts := strings.Split(good, ".")
	tampered := base64.RawURLEncoding.EncodeToString(must[[]byte](t)(json.Marshal(with(i.claims(), object{"scope": "FullAccess"}))))
	return map[string]string{
		"claims replaced":      parts[0] + "." + tampered + "." + parts[2],
		"signature truncated":  good[:len(good)-4],
		"signature missing":    parts[0] + "." + parts[1] + ".",
		"signature of zeros":   parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"two parts":            parts[0] + "." + parts[1],
		"four parts":           good + ".x",
		"five parts":           good + ".x.y",
		"padded":               good + "=",
		"line break":           parts[0] + ".\n" + parts[1] + "." + parts[2],
		"line break, signed":   parts[0] + "." + parts[1] + "." + parts[2][:7] + "\n" + parts[2][7:], // the signature does not cover it
		"signed, but too long": i.sign(t, with(i.claims(), object{"padding": strings.Repeat("x", maxTokenSize)}), nil),
		"wrong alphabet":       strings.Replace(good, ".", "+.", 1),
		"other unused bits":    good[:len(good)-1] + string(good[len(good)-1]+1), // the decoder ignores the last bits
		"incomplete base64":    "A." + parts[1] + "." + parts[2],
		"header no JSON":       "AAAA." + parts[1] + "." + parts[2],
		"dots":                 "..",
		"refresh token":        "lkr_p5ak7fs2eq3tn0964pp54sbr64.1.abc.def.ghi",
		"one-time password":    "8BM3SYBG",
		"long":                 strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000),
		"valid token and more": good + strings.Repeat("A", maxTokenSize),
		"nested":               strings.Repeat("eyJhbGciOiJub25lIn0.", 500),
		"not UTF-8":            "\xff\xfe.\xff.\xff",
	}
}

// FuzzVerify tests that no text causes a panic, and that only the tokens that the issuer signed
// are accepted.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(f, nil)
	good, account := i.sign(f, i.claims(), nil), i.account(f, nil)
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, account, "", "..", good + "=", parts[0] + "." + parts[1] + ".", "a.b.c", strings.ToUpper(good),
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"k1"}`)) + "." + parts[1] + ".",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); err == nil && token != good {
			t.Errorf("accepted as an access token: %q", token)
		}
		if _, err := v.VerifyAccountMember(t.Context(), token); err == nil && token != account {
			t.Errorf("accepted as an account token: %q", token)
		}
	})
}
