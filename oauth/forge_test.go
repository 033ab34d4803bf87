package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// issue returns an access token of Jane with a refresh family. If member is not nil, the token
// is for its account.
func (w *fixture) issue(t *testing.T, member *storage.Member) string {
	t.Helper()
	w.families["fam"] = &storage.TokenFamily{ID: "fam", ClientID: "shop", UserUID: "usr_jane", LoginID: "lgn_jane", CreatedAt: start}
	issued, err := w.endpoints.tokens.Mint(t.Context(), grants.AccessToken{
		Client: w.clients["shop"], Principal: &w.login, Member: member, Scope: []string{"Shopper"},
		AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: start, FamilyID: "fam", IssuedAt: start, ExpiresAt: start.Truncate(time.Second).Add(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// issueAccount returns an account token of Jane for the first account.
func (w *fixture) issueAccount(t *testing.T) string {
	t.Helper()
	issued, err := w.endpoints.tokens.MintAccountToken(t.Context(), token.AccountTokenRequest{
		AccountSession: token.AccountSession{
			Client: w.clients["shop"], Principal: &w.login, SessionID: "ses",
			AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: start, IssuedAt: start,
		},
		Member: w.members[0], StoreID: "store", Realm: storage.Realm{ID: "realm", SelfManagement: storage.SelfManagementUpdate},
		ExpiresAt: start.Truncate(time.Second).Add(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// issueSelection returns a selection token of Jane.
func (w *fixture) issueSelection(t *testing.T) string {
	t.Helper()
	issued, _, err := w.endpoints.tokens.MintSelection(t.Context(), grants.SelectionToken{
		Client: w.clients["shop"], Principal: &w.login, AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: start, IssuedAt: start,
	})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// claimsIn returns the claims of a token without verifying it.
func claimsIn(t *testing.T, issued string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(issued, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// forge makes tokens that differ a little from a genuine one.
type forge struct {
	t      *testing.T
	key    keys.Key
	typ    string
	real   string
	claims map[string]any
}

func (w *fixture) forge(t *testing.T, typ, genuine string) *forge {
	t.Helper()
	key, err := w.ring.SigningKey(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return &forge{t: t, key: key, typ: typ, real: genuine, claims: claimsIn(t, genuine)}
}

// signed signs claims with a header of that typ. It omits an empty typ.
func (f *forge) signed(alg jose.SignatureAlgorithm, key any, typ string, claims map[string]any) string {
	f.t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": f.key.KID}}
	if typ != "" {
		options.ExtraHeaders["typ"] = typ
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		f.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		f.t.Fatal(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	issued, err := signature.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return issued
}

// with signs the genuine claims with one changed claim, with the server's own key. A nil value
// omits the claim.
func (f *forge) with(name string, value any) string {
	claims := maps.Clone(f.claims)
	claims[name] = value
	if value == nil {
		delete(claims, name)
	}
	return f.signed(jose.ES256, f.key.Private, f.typ, claims)
}

// as signs the genuine claims as a token of another type.
func (f *forge) as(typ string) string {
	return f.signed(jose.ES256, f.key.Private, typ, f.claims)
}

// unsigned returns a token with that algorithm in its header and that signature.
func (f *forge) unsigned(alg, signature string) string {
	header, err := json.Marshal(map[string]string{"alg": alg, "typ": f.typ, "kid": f.key.KID})
	if err != nil {
		f.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(header) + "." + strings.Split(f.real, ".")[1] + "." + signature
}

// forgeries are tokens that no reader of the genuine type may accept. audience is the audience
// of another type.
func (f *forge) forgeries(audience string) map[string]string {
	f.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	parts := strings.Split(f.real, ".")
	changed := maps.Clone(f.claims)
	changed["sub"] = "usr_eve"
	forgeries := map[string]string{
		"empty":                       "",
		"no token":                    "token",
		"two parts":                   parts[0] + "." + parts[1],
		"four parts":                  f.real + "." + parts[2],
		"line break":                  parts[0] + ".\n" + parts[1] + "." + parts[2],
		"padding":                     f.real + "=",
		"too long":                    f.real + strings.Repeat("A", keys.MaxTokenSize),
		"signature cut":               f.real[:len(f.real)-4],
		"signature gone":              parts[0] + "." + parts[1] + ".",
		"alg none":                    f.unsigned("none", ""),
		"alg None, old signature":     f.unsigned("None", parts[2]),
		"alg empty":                   f.unsigned("", parts[2]),
		"alg ES384":                   f.unsigned("ES384", parts[2]),
		"another key":                 f.signed(jose.ES256, own, f.typ, f.claims),
		"payload of another":          parts[0] + "." + strings.Split(f.signed(jose.ES256, own, f.typ, changed), ".")[1] + "." + parts[2],
		"typ JWT":                     f.as("JWT"),
		"typ missing":                 f.as(""),
		"audience of another type":    f.with("aud", audience),
		"audience missing":            f.with("aud", nil),
		"audience somebody else's":    f.with("aud", "https://other.example"),
		"audiences":                   f.with("aud", []string{f.claims["aud"].(string), audience}),
		"issuer somebody else's":      f.with("iss", "https://evil.example"),
		"issuer missing":              f.with("iss", nil),
		"expiry missing":              f.with("exp", nil),
		"expired":                     f.with("exp", start.Unix()),
		"issue missing":               f.with("iat", nil),
		"from a clock far ahead":      f.with("nbf", start.Add(5*time.Minute+2*time.Second).Unix()),
		"client unknown":              f.with("client_id", "nobody"),
		"client missing":              f.with("client_id", nil),
		"login of nobody":             f.with("login_id", "lgn_eve"),
		"outdated by its iat_us":      f.with("iat_us", 1),
		"outdated by its iat, no _us": f.withoutMicros(),
	}
	for _, typ := range []string{keys.TypeAccessToken, "account+jwt", "selection+jwt"} {
		if typ != f.typ {
			forgeries["typ "+typ] = f.as(typ)
		}
	}
	for name, secret := range f.publicKeyTexts() {
		forgeries["HS256 with "+name] = f.signed(jose.HS256, secret, f.typ, f.claims)
	}
	return forgeries
}

// withoutMicros returns a token without iat_us that is older than the tokens of its user may
// be.
func (f *forge) withoutMicros() string {
	claims := maps.Clone(f.claims)
	delete(claims, "iat_us")
	claims["iat"] = start.Add(-time.Hour).Unix()
	return f.signed(jose.ES256, f.key.Private, f.typ, claims)
}

// publicKeyTexts are texts of the public key that an attacker could use as the secret of HS256.
func (f *forge) publicKeyTexts() map[string][]byte {
	f.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(f.key.Public)
	if err != nil {
		f.t.Fatal(err)
	}
	jwk, err := (jose.JSONWebKey{Key: f.key.Public, KeyID: f.key.KID}).MarshalJSON()
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string][]byte{
		"the DER": der, "the JWK": jwk, "the PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "zeros": make([]byte, 32),
	}
}
