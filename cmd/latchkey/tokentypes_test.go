package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// kindTests presents tokens of every kind everywhere that a token is read.
func kindTests() []mallTest {
	return []mallTest{
		{"every kind at every place", everyKindEverywhere},
		{"revocation", everyKindRevoked},
		{"forged account tokens", forgedAccountTokens},
	}
}

// The kinds of token.
const (
	plainAccess   = "access token"
	scopedAccess  = "access token of an account"
	clientAccess  = "access token of the client"
	vendorAccount = "account token"
	choiceToken   = "selection token"
	refreshToken  = "refresh token"
	messageToken  = "token in a message"
)

// kinds makes a token of each kind for the shopper, all through client "front".
func (m *mall) kinds(p shopper, account string) map[string]string {
	m.t.Helper()
	plain := pairOf(m.t, plainAccess, m.n.signInTo("front", p.name, m.planted(p)))
	scoped := granted(m.t, scopedAccess, m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", account))
	choice := m.mustSelect(choiceToken, m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p)))
	if got := m.n.askForCodeThrough("front", p.name, ""); got.status != http.StatusNoContent {
		m.t.Fatalf("asked for a message: %d %s", got.status, got.body)
	}
	message := m.inbox.next(m.t).UserToken // the code in it comes before those that are planted later
	m.receiver.next(m.t)
	return map[string]string{
		plainAccess: plain.access, refreshToken: plain.refresh, scopedAccess: scoped.field("access_token"),
		clientAccess: m.front().bearer, choiceToken: choice.Token,
		vendorAccount: m.accountTokens(p).text("data", 0, "token"), messageToken: message,
	}
}

// place is where a token is read: a request with one, and which kinds it takes
// with which status. Every other kind gets the refusal.
type place struct {
	send    func(token string) answer
	takes   map[string]int
	refusal int
	body    string // of the refusal; "": any
}

// places are all but revocation, which ends what it reads.
func (m *mall) places(p shopper, account string) map[string]place {
	get := func(path string) func(string) answer {
		return func(token string) answer { return visitor{n: m.n, bearer: token}.try(http.MethodGet, path, nil) }
	}
	accesses := map[string]int{plainAccess: 200, scopedAccess: 200, messageToken: 200, clientAccess: 200}
	ofUsers := map[string]int{plainAccess: 200, scopedAccess: 200, messageToken: 200, clientAccess: 403}
	front := m.front()
	return map[string]place{
		"Bearer below /v1": {send: get("/v1/me"), takes: ofUsers, refusal: 401},
		"Bearer below /v2": {send: get(settingsV2), takes: accesses, refusal: 401},
		"account token header": {send: func(token string) answer {
			return front.as(token).try(http.MethodGet, "/v2/account-members/"+p.uid, nil)
		}, takes: map[string]int{vendorAccount: 200}, refusal: 401},
		"renewal below /v2": {send: func(token string) answer {
			return front.as(token).tokens(byHeld())
		}, takes: map[string]int{vendorAccount: 201}, refusal: 400},
		"member_token": {send: func(token string) answer {
			return m.n.memberGrant("front", "member_token", token, "account_id", account)
		}, takes: map[string]int{plainAccess: 200, scopedAccess: 200, vendorAccount: 200}, refusal: 400, body: refusedHeld},
		"selection_token": {send: func(token string) answer {
			return m.n.memberGrant("front", "selection_token", token, "account_id", account)
		}, takes: map[string]int{choiceToken: 200}, refusal: 400, body: refusedHeld},
		"subject_token": {send: func(token string) answer {
			return m.n.exchange("front", token)
		}, takes: map[string]int{plainAccess: 200, scopedAccess: 200}, refusal: 400, body: refusedSubject},
		"refresh_token": {send: func(token string) answer {
			return m.n.refreshAt("front", token)
		}, takes: map[string]int{refreshToken: 200}, refusal: 400, body: refusedRefresh},
		"password": {send: func(token string) answer {
			return m.n.signInTo("otponly", p.name+"-none", token)
		}, refusal: 400, body: refusedSignIn},
	}
}

// everyKindEverywhere: each place takes its own kinds only.
func everyKindEverywhere(t *testing.T, m *mall) {
	// Of the server itself, so that it knows the sender at once.
	sink := `{"ID":"sink","Name":"Sink","MessageTypes":["OneTimePassword"],"URL":"` + m.inbox.url + `/{messagetype}","SharedKey":"` + sharedKey + `","AllowAllBuyers":true}`
	if got := m.admin().ask(http.MethodPost, "/v1/messagesenders", sink); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	one, two := m.company("Kinds one"), m.company("Kinds two")
	p := m.shopper("kinds", one, two)
	kinds := m.kinds(p, one.ID)
	m.takenByClocksBehind(t, kinds)
	for where, place := range m.places(p, one.ID) {
		for kind, token := range kinds {
			got := place.send(token)
			want, taken := place.takes[kind]
			if !taken {
				want = place.refusal
			}
			if got.status != want || !taken && place.body != "" && got.body != place.body {
				t.Errorf("%s as %s: %d %s, want %d %s", kind, where, got.status, got.body, want, place.body)
			}
		}
	}
	for kind, token := range kinds {
		switch got := m.n.introspectAs("front", token); kind {
		case choiceToken, vendorAccount:
			isInactive(t, kind, got)
		case refreshToken: // used above, so it is not the latest any more
			isInactive(t, kind, got)
		default:
			isActive(t, kind, got)
		}
	}
}

// takenByClocksBehind: a verifier that allows no leeway takes a fresh token of
// every kind although its clock is a few seconds behind.
func (m *mall) takenByClocksBehind(t *testing.T, kinds map[string]string) {
	t.Helper()
	vendor := m.n.form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "admin", "client_secret", m.adminSecret)
	for kind, token := range kinds {
		if kind == refreshToken { // which is no JWT
			token = granted(t, "client credentials", vendor).field("access_token")
		}
		_, claims := decoded(t, token)
		issued, _ := claims["iat"].(float64)
		for _, behind := range []time.Duration{time.Second, 5 * time.Second} {
			clock := func() time.Time { return time.Unix(int64(issued), 0).Add(-behind) }
			if err := jwt.NewValidator(jwt.WithTimeFunc(clock)).Validate(jwt.MapClaims(claims)); err != nil {
				t.Errorf("%s, %s behind: %v", kind, behind, err)
			}
		}
	}
}

// everyKindRevoked: whatever the kind, its client can end it and no other can.
func everyKindRevoked(t *testing.T, m *mall) {
	one, two := m.company("Ended one"), m.company("Ended two")
	p := m.shopper("ended", one, two)
	kinds := m.kinds(p, one.ID)
	places := m.places(p, one.ID)
	for kind, where := range map[string]string{
		scopedAccess: "member_token", messageToken: "Bearer below /v1", clientAccess: "Bearer below /v2",
		vendorAccount: "account token header", choiceToken: "selection_token", plainAccess: "subject_token", refreshToken: "refresh_token",
	} {
		token, place := kinds[kind], places[where]
		if kind == refreshToken {
			token = pairOf(t, "another sign-in", m.n.signInTo("front", p.name, m.planted(p))).refresh
		}
		if got := m.n.revokeFor("till", token); got.status != http.StatusBadRequest || got.field("error") != "unauthorized_client" {
			t.Errorf("%s revoked by another client: %d %s", kind, got.status, got.body)
		}
		if kind != refreshToken { // whose use would rotate it
			if got := place.send(token); got.status != place.takes[kind] {
				t.Errorf("%s before its revocation: %d %s", kind, got.status, got.body)
			}
		}
		if got := m.n.revokeFor("front", token); got.status != http.StatusOK || got.body != "" {
			t.Errorf("%s revoked: %d %s", kind, got.status, got.body)
		}
		if got := place.send(token); got.status != place.refusal {
			t.Errorf("%s after its revocation: %d %s", kind, got.status, got.body)
		}
	}
	failedV2(t, "a revoked account token renewed", m.front().as(kinds[vendorAccount]).tokens(byHeld()))
}

// accountForge is a forge for account tokens.
func (m *mall) accountForge(t *testing.T, p shopper) *forge {
	t.Helper()
	m.must(m.app.openRing(t.Context()))
	f := &forge{t: t, ring: m.app.ring, real: m.accountTokens(p).text("data", 0, "token")}
	_, f.claims = decoded(t, f.real)
	f.kid, f.rsaKID = f.key("ES256").KID, f.key("RS256").KID
	return f
}

// account is forge.signed for an account token: what is wrong is not the key.
func (f *forge) account(header map[string]any, changes ...any) string {
	all := map[string]any{"typ": "account+jwt"}
	maps.Copy(all, header)
	return f.signed(all, changes...)
}

// forgedAccounts are tokens that differ from an account token in one thing.
func (f *forge) forgedAccounts() map[string]string {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(f.key("ES256").Public)
	if err != nil {
		f.t.Fatal(err)
	}
	typ := map[string]any{"typ": "account+jwt"}
	parts := strings.Split(f.real, ".")
	encode := base64.RawURLEncoding.EncodeToString
	none := encode([]byte(`{"alg":"none","typ":"account+jwt","kid":"` + f.kid + `"}`))
	other := strings.Split(f.account(nil, "sub", "usr_other", "account_id", "other"), ".")
	published, _ := f.ring.Public(f.kid)
	return map[string]string{
		"alg none":                       none + "." + parts[1] + ".",
		"alg none with a signature":      none + "." + parts[1] + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"claims of another":              parts[0] + "." + other[1] + "." + parts[2],
		"another key":                    f.sign(jose.ES256, own, f.claims, typ),
		"another key, its jwk":           f.sign(jose.ES256, own, f.claims, map[string]any{"typ": "account+jwt", "jwk": jose.JSONWebKey{Key: own.Public()}}),
		"HS256 with the public key, DER": f.sign(jose.HS256, der, f.claims, typ),
		"HS256 with the public key, PEM": f.sign(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), f.claims, typ),
		"HS256 with the public key, JWK": f.sign(jose.HS256, published, f.claims, typ),
		"HS256 as the vendor does":       f.sign(jose.HS256, []byte(strings.Repeat("s", 32)), f.claims, map[string]any{"typ": "JWT", "kid": nil}),
		"typ JWT":                        f.account(map[string]any{"typ": "JWT"}),
		"typ of an access token":         f.account(map[string]any{"typ": "at+jwt"}),
		"typ of a selection token":       f.account(map[string]any{"typ": "selection+jwt"}),
		"no typ":                         f.account(map[string]any{"typ": nil}),
		"kid unknown":                    f.account(map[string]any{"kid": "unknown"}),
		"aud of an access token":         f.account(nil, "aud", "http://latchkey.test"),
		"aud of a selection token":       f.account(nil, "aud", "http://latchkey.test/oauth/token"),
		"no aud":                         f.account(nil, "aud", nil),
		"aud a list":                     f.account(nil, "aud", []string{"http://latchkey.test/v2"}),
		"other issuer":                   f.account(nil, "iss", "http://evil.test"),
		"expired":                        f.account(nil, "exp", time.Now().Add(-time.Hour).Unix()),
		"without end":                    f.account(nil, "exp", nil),
		"another user's account":         f.account(nil, "account_uid", "acc_other"),
		"no account":                     f.account(nil, "account_uid", nil),
		"no login":                       f.account(nil, "login_id", nil),
		"unknown client":                 f.account(nil, "client_id", "nobody"),
		"unknown user":                   f.account(nil, "sub", "usr_nobody"),
	}
}

// forgedAccountTokens are refused as account token and as member token, with the
// answer of any nonsense.
func forgedAccountTokens(t *testing.T, m *mall) {
	p := m.shopper("forged", m.company("Forged"))
	f := m.accountForge(t, p)
	front := m.front()
	use := func(token string) answer {
		return front.as(token).try(http.MethodGet, "/v2/account-members/"+p.uid, nil)
	}
	for what, token := range map[string]string{"as issued": f.real, "made here": f.account(nil)} {
		if got := use(token); got.status != http.StatusOK {
			t.Fatalf("%s: %d %s, so the forgeries prove nothing", what, got.status, got.body)
		}
		granted(t, what, m.n.memberGrant("front", "member_token", token))
	}
	for what, token := range f.forgedAccounts() {
		refusedV2(t, what, use(token), http.StatusUnauthorized, "")
		failedV2(t, what+", renewed", front.as(token).tokens(byHeld()))
		refused(t, what+", held", m.n.memberGrant("front", "member_token", token), refusedHeld)
		refused(t, what+", exchanged", m.n.exchange("front", token), refusedSubject)
	}
	// The account token of one client is no member token of another.
	refused(t, "another client", m.n.memberGrant("till", "member_token", f.real), refusedHeld)
	if got := use(f.real); got.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}
