package keys_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
)

const issuer = "https://id.example"

var allAlgs = []string{keys.ES256, keys.RS256, keys.EdDSA}

func claimsAt(now time.Time) map[string]any {
	return map[string]any{
		"iss": issuer, "sub": "usr_1", "aud": []string{"api"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
}

func mustSign(t testing.TB, r *keys.Ring, alg string, claims any) string {
	t.Helper()
	token, err := r.Sign(alg, keys.TypeAccessToken, claims)
	if err != nil {
		t.Fatalf("Sign(%s): %v", alg, err)
	}
	return token
}

func TestTokensVerifyIndependently(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := replica(t, &fakeStore{}, c, allAlgs...)
	set := r.PublicSet()
	for _, alg := range allAlgs {
		token := mustSign(t, r, alg, claimsAt(c.Now()))
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: go-jose does not read the token: %v", alg, err)
		}
		head := parsed.Signatures[0].Protected
		if typ := head.ExtraHeaders["typ"]; typ != "at+jwt" {
			t.Errorf("%s: typ: got %v", alg, typ)
		}
		found := set.Key(head.KeyID)
		if len(found) != 1 {
			t.Fatalf("%s: got %d keys with kid %q in the published set, want 1", alg, len(found), head.KeyID)
		}
		payload, err := parsed.Verify(found[0].Key)
		if err != nil {
			t.Fatalf("%s: go-jose refuses the signature: %v", alg, err)
		}
		want, _ := json.Marshal(claimsAt(c.Now()))
		if diff := cmp.Diff(string(want), string(payload)); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", alg, diff)
		}
	}
}

func TestTokensOfAnotherLibraryParse(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := replica(t, &fakeStore{}, c, allAlgs...)
	for _, alg := range allAlgs {
		k, err := r.SigningKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: k.Private, KeyID: k.KID}},
			(&jose.SignerOptions{}).WithType("application/AT+JWT"))
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := json.Marshal(claimsAt(c.Now()))
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.RegisteredClaims
		if err := r.Parse(token, keys.TypeAccessToken, &claims, issuer); err != nil || claims.Subject != "usr_1" {
			t.Errorf("%s: Parse: %v, subject %q", alg, err, claims.Subject)
		}
	}
}

func TestParseFillsClaims(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := replica(t, &fakeStore{}, c, keys.ES256)
	token := mustSign(t, r, "", claimsAt(c.Now()))
	var typed struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	if err := r.Parse(token, keys.TypeAccessToken, &typed, issuer); err != nil {
		t.Fatalf("Parse into a struct: %v", err)
	}
	untyped := jwt.MapClaims{}
	if err := r.Parse(token, keys.TypeAccessToken, untyped, issuer); err != nil {
		t.Fatalf("Parse into a map: %v", err)
	}
	if typed.Subject != "usr_1" || untyped["sub"] != "usr_1" || typed.Audience[0] != "api" {
		t.Errorf("claims: got %+v and %v", typed, untyped)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	r := replica(t, &fakeStore{}, newClock(), keys.ES256)
	for name, claims := range map[string]any{"null": nil, "array": []int{1}, "string": "x", "channel": make(chan int)} {
		if token, err := r.Sign("", keys.TypeAccessToken, claims); err == nil {
			t.Errorf("%s as claims: got the token %s, want an error", name, token)
		}
	}
	for _, alg := range []string{keys.EdDSA, "none", "HS256", "es256"} {
		if _, err := r.Sign(alg, keys.TypeAccessToken, map[string]any{}); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("alg %q: got %v, want ErrNoKey", alg, err)
		}
	}
}

// forge returns a token with any header and claims, signed with any key and the method of
// golang-jwt.
func forge(t testing.TB, method string, key any, head, claims map[string]any) string {
	t.Helper()
	token := &jwt.Token{Method: jwt.GetSigningMethod(method), Header: head, Claims: jwt.MapClaims(claims)}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatalf("forge %s: %v", method, err)
	}
	return signed
}

// forger forges tokens for a ring with the ring's own ES256 key.
type forger struct {
	t     *testing.T
	ring  *keys.Ring
	clock *clock
	key   keys.Key
}

// with returns a correctly signed token with changes in the header and the claims. A nil value
// removes a member.
func (f forger) with(head, claims map[string]any) string {
	h := map[string]any{"alg": keys.ES256, "kid": f.key.KID, "typ": "at+jwt"}
	return forge(f.t, keys.ES256, f.key.Private, change(h, head), change(claimsAt(f.clock.Now()), claims))
}

func change(base, with map[string]any) map[string]any {
	maps.Copy(base, with)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}

// signedBy returns a token that is signed with another algorithm or key.
func (f forger) signedBy(alg string, key any) string {
	return forge(f.t, alg, key,
		map[string]any{"alg": alg, "kid": f.key.KID, "typ": "at+jwt"}, claimsAt(f.clock.Now()))
}

func newForger(t *testing.T) forger {
	c := newClock()
	r := replica(t, &fakeStore{}, c, allAlgs...)
	k, err := r.SigningKey(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return forger{t, r, c, k}
}

func (f forger) parse(token string) error {
	return f.ring.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer)
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	for name, token := range map[string]string{
		"unchanged":         f.with(nil, nil),
		"typ in other case": f.with(map[string]any{"typ": "AT+JWT"}, nil),
		"typ in full":       f.with(map[string]any{"typ": "Application/at+jwt"}, nil),
		"no nbf":            f.with(nil, map[string]any{"nbf": nil}),
		"fractional exp":    f.with(nil, map[string]any{"exp": float64(f.clock.Now().Unix()) + 1.5}),
		"harmless header":   f.with(map[string]any{"cty": "x"}, nil),
	} {
		if err := f.parse(token); err != nil {
			t.Errorf("%s: Parse: got %v, want no error", name, err)
		}
	}
}

func TestParseRefusesHeaders(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	der, err := x509.MarshalPKIXPublicKey(f.key.Public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	attackerPublic, attacker, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	attackerJWK := jose.JSONWebKey{Key: attackerPublic, KeyID: f.key.KID, Algorithm: "EdDSA"}
	edKey, err := f.ring.SigningKey(keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	publicJWK, _ := f.ring.Public(f.key.KID)

	for name, token := range map[string]string{
		"alg none":                    f.signedBy("none", jwt.UnsafeAllowNoneSignatureType),
		"HS256 with the public PEM":   f.signedBy("HS256", publicPEM),
		"HS256 with the public DER":   f.signedBy("HS256", der),
		"HS256 with the public JWK":   f.signedBy("HS256", publicJWK),
		"HS256 with an empty key":     f.signedBy("HS256", []byte{}),
		"alg None in header only":     f.with(map[string]any{"alg": "None"}, nil),
		"alg unknown":                 f.with(map[string]any{"alg": "ES256K"}, nil),
		"alg missing":                 f.with(map[string]any{"alg": nil}, nil),
		"alg a number":                f.with(map[string]any{"alg": 256}, nil),
		"EdDSA key, kid of ES256":     f.signedBy("EdDSA", edKey.Private),
		"attacker's key, our kid":     f.signedBy("EdDSA", attacker),
		"ES256 key, kid of EdDSA":     f.with(map[string]any{"kid": edKey.KID}, nil),
		"ES256 key, alg RS256":        f.with(map[string]any{"alg": "RS256"}, nil),
		"embedded jwk of attacker":    forge(t, "EdDSA", attacker, map[string]any{"alg": "EdDSA", "kid": f.key.KID, "typ": "at+jwt", "jwk": attackerJWK}, claimsAt(f.clock.Now())),
		"jwk present, well signed":    f.with(map[string]any{"jwk": attackerJWK}, nil),
		"jku":                         f.with(map[string]any{"jku": "https://attacker.example/jwks"}, nil),
		"x5u":                         f.with(map[string]any{"x5u": "https://attacker.example/cert"}, nil),
		"x5c":                         f.with(map[string]any{"x5c": []string{"MIIB"}}, nil),
		"x5t":                         f.with(map[string]any{"x5t": "abc"}, nil),
		"x5t#S256":                    f.with(map[string]any{"x5t#S256": "abc"}, nil),
		"crit":                        f.with(map[string]any{"crit": []string{"exp"}}, nil),
		"crit empty":                  f.with(map[string]any{"crit": []string{}}, nil),
		"b64":                         f.with(map[string]any{"b64": false}, nil),
		"kid missing":                 f.with(map[string]any{"kid": nil}, nil),
		"kid empty":                   f.with(map[string]any{"kid": ""}, nil),
		"kid a list":                  f.with(map[string]any{"kid": []string{f.key.KID}}, nil),
		"kid unknown":                 f.with(map[string]any{"kid": "unknown"}, nil),
		"kid with a path":             f.with(map[string]any{"kid": "./" + f.key.KID}, nil),
		"kid traversal":               f.with(map[string]any{"kid": "../../dev/null"}, nil),
		"kid in a URL":                f.with(map[string]any{"kid": issuer + "#" + f.key.KID}, nil),
		"kid with NUL":                f.with(map[string]any{"kid": f.key.KID + "\x00"}, nil),
		"kid with a space":            f.with(map[string]any{"kid": " " + f.key.KID}, nil),
		"kid in other case":           f.with(map[string]any{"kid": strings.ToLower(f.key.KID)}, nil),
		"kid as SQL":                  f.with(map[string]any{"kid": "' OR 1=1 --"}, nil),
		"typ missing":                 f.with(map[string]any{"typ": nil}, nil),
		"typ JWT":                     f.with(map[string]any{"typ": "JWT"}, nil),
		"typ empty":                   f.with(map[string]any{"typ": ""}, nil),
		"typ the prefix only":         f.with(map[string]any{"typ": "application/"}, nil),
		"typ twice prefixed":          f.with(map[string]any{"typ": "application/application/at+jwt"}, nil),
		"typ of another tree":         f.with(map[string]any{"typ": "text/at+jwt"}, nil),
		"typ a list":                  f.with(map[string]any{"typ": []string{"at+jwt"}}, nil),
		"typ of a client's assertion": f.with(map[string]any{"typ": "client-authentication+jwt"}, nil),
	} {
		if err := f.parse(token); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

// TestKeyDecidesOnAlgorithm tests that a token with another algorithm than that of the key is
// refused before its signature is verified.
func TestKeyDecidesOnAlgorithm(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	edKey, err := f.ring.SigningKey(keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"EdDSA key, kid of ES256": f.signedBy("EdDSA", edKey.Private),
		"ES256 key, kid of EdDSA": f.with(map[string]any{"kid": edKey.KID}, nil),
		"ES256 key, alg RS256":    f.with(map[string]any{"alg": "RS256"}, nil),
	} {
		if err := f.parse(token); !errors.Is(err, jwt.ErrTokenUnverifiable) {
			t.Errorf("%s: got %v, want ErrTokenUnverifiable", name, err)
		}
	}
}

func TestParseRefusesClaims(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	now := f.clock.Now().Unix()
	for name, c := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"expired":        {map[string]any{"exp": now - 1}, jwt.ErrTokenExpired},
		"expires now":    {map[string]any{"exp": now}, jwt.ErrTokenExpired},
		"exp missing":    {map[string]any{"exp": nil}, jwt.ErrTokenRequiredClaimMissing},
		"exp zero":       {map[string]any{"exp": 0}, jwt.ErrTokenRequiredClaimMissing},
		"exp a string":   {map[string]any{"exp": "9999999999"}, jwt.ErrInvalidType},
		"nbf ahead":      {map[string]any{"nbf": now + 1}, jwt.ErrTokenNotValidYet},
		"nbf a string":   {map[string]any{"nbf": "0"}, jwt.ErrInvalidType},
		"iat missing":    {map[string]any{"iat": nil}, jwt.ErrTokenRequiredClaimMissing},
		"iat a string":   {map[string]any{"iat": "1"}, jwt.ErrTokenRequiredClaimMissing},
		"iss missing":    {map[string]any{"iss": nil}, jwt.ErrTokenInvalidIssuer},
		"iss empty":      {map[string]any{"iss": ""}, jwt.ErrTokenInvalidIssuer},
		"iss other":      {map[string]any{"iss": "https://attacker.example"}, jwt.ErrTokenInvalidIssuer},
		"iss with slash": {map[string]any{"iss": issuer + "/"}, jwt.ErrTokenInvalidIssuer},
		"iss a list":     {map[string]any{"iss": []string{issuer}}, jwt.ErrTokenInvalidIssuer},
		"iss other case": {map[string]any{"iss": strings.ToUpper(issuer)}, jwt.ErrTokenInvalidIssuer},
	} {
		if err := f.parse(f.with(nil, c.claims)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := f.ring.Parse(f.with(nil, map[string]any{"iss": ""}), keys.TypeAccessToken, jwt.MapClaims{}, ""); err == nil {
		t.Error("empty issuer: got no error, want one")
	}
	if err := f.ring.Parse(f.with(map[string]any{"typ": ""}, nil), "", jwt.MapClaims{}, issuer); err == nil {
		t.Error("empty typ: got no error, want one")
	}
}

func TestParseRefusesTamperedBytes(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	good := f.with(nil, nil)
	parts := strings.Split(good, ".")
	other := strings.Split(f.with(nil, map[string]any{"sub": "usr_2"}), ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[2])
	flipped := append([]byte{raw[0] ^ 0x80}, raw[1:]...)

	for name, token := range map[string]string{
		"empty":                   "",
		"dots":                    "..",
		"signature missing":       parts[0] + "." + parts[1] + ".",
		"two parts":               parts[0] + "." + parts[1],
		"four parts":              good + ".",
		"five parts":              good + "." + parts[1] + "." + parts[2],
		"claims of another token": parts[0] + "." + other[1] + "." + parts[2],
		"flipped signature":       parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(flipped),
		"zero signature":          parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"short signature":         parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(raw[:63]),
		"long signature":          parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append(raw, 0)),
		"padded signature":        good + "==",
		"trailing data":           good + "A",
		"trailing newline":        good + "\n",
		"newline in signature":    good[:len(good)-4] + "\r\n" + good[len(good)-4:],
		"leading space":           " " + good,
		"trailing NUL":            good + "\x00",
		"standard base64":         strings.NewReplacer("-", "+", "_", "/").Replace(f.withURLUnsafeSignature()),
		"unused bits set":         setUnusedBits(good),
		"null header":             base64.RawURLEncoding.EncodeToString([]byte("null")) + "." + parts[1] + "." + parts[2],
		"array header":            base64.RawURLEncoding.EncodeToString([]byte("[]")) + "." + parts[1] + "." + parts[2],
		"too long":                f.with(nil, map[string]any{"pad": strings.Repeat("x", keys.MaxTokenSize)}),
	} {
		if err := f.parse(token); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

// withURLUnsafeSignature returns a token whose signature contains - or _. These characters
// differ in the two base64 alphabets.
func (f forger) withURLUnsafeSignature() string {
	for i := range 1000 {
		token := f.with(nil, map[string]any{"n": i})
		if strings.ContainsAny(token[strings.LastIndexByte(token, '.'):], "-_") {
			return token
		}
	}
	f.t.Fatal("got no signature with - or _ in 1000 tokens")
	return ""
}

// setUnusedBits changes the bits of the last character that the decoder does not use. A
// signature of 64 bytes has four of them.
func setUnusedBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last|1])
}

func TestSizeLimitIsExact(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	bare := len(f.with(nil, map[string]any{"pad": ""}))
	pad := (keys.MaxTokenSize - bare) / 4 * 3
	longest := f.with(nil, map[string]any{"pad": strings.Repeat("x", pad-3)})
	if err := f.parse(longest); err != nil {
		t.Errorf("%d bytes: got %v, want no error", len(longest), err)
	}
	over := f.with(nil, map[string]any{"pad": strings.Repeat("x", pad+6)})
	if err := f.parse(over); !errors.Is(err, jwt.ErrTokenMalformed) {
		t.Errorf("%d bytes: got %v, want ErrTokenMalformed", len(over), err)
	}
}

func FuzzParse(f *testing.F) {
	c := newClock()
	r := replica(f, &fakeStore{}, c, keys.EdDSA)
	good := mustSign(f, r, "", claimsAt(c.Now()))
	f.Add(good)
	f.Add(good + "\n")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("bnVsbA.bnVsbA.")
	f.Fuzz(func(t *testing.T, token string) {
		err := r.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer)
		if (err == nil) != (token == good) {
			t.Errorf("Parse(%q): got %v", token, err)
		}
	})
}
