package accounts

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

	"latchkey/test/e2e/kit"
)

// kindTests present tokens of every type at every place that reads a token.
func kindTests() []storefrontTest {
	return []storefrontTest{
		{"every kind at every place", everyKindEverywhere},
		{"revocation", everyKindRevoked},
		{"forged account tokens", forgedAccountTokens},
	}
}

// These are the types of tokens.
const (
	plainAccess   = "access token"
	scopedAccess  = "access token of an account"
	clientAccess  = "access token of the client"
	vendorAccount = "account token"
	choiceToken   = "selection token"
	refreshToken  = "refresh token"
	messageToken  = "token in a message"
)

// kinds returns a token of each type for the shopper, all through client "front".
func kinds(m *kit.ElasticPath, p kit.Shopper, account string) map[string]string {
	m.T.Helper()
	plain := kit.TokenPairOf(m.T, plainAccess, m.Server.SignInThrough("front", p.Username, addKnownCode(m, p)))
	scoped := kit.MustIssue(m.T, scopedAccess, m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", account))
	choice := mustSelect(m, choiceToken, m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p)))
	if got := m.Server.RequestCodeThrough("front", p.Username, ""); got.Status != http.StatusNoContent {
		m.T.Fatalf("request for a message: got %d %s, want 204", got.Status, got.Body)
	}
	message := m.Inbox.Next(m.T).UserToken // its code is older than the codes that the test adds later
	m.Receiver.Next(m.T)
	return map[string]string{
		plainAccess: plain.Access, refreshToken: plain.Refresh, scopedAccess: scoped.Field("access_token"),
		clientAccess: m.Storefront().AccessToken, choiceToken: choice.Token,
		vendorAccount: accountTokens(m, p).Text("data", 0, "token"), messageToken: message,
	}
}

// tokenConsumer is a request with a token. takes lists the accepted types with their statuses.
// Every other type gets the refusal.
type tokenConsumer struct {
	send    func(token string) kit.Response
	takes   map[string]int
	refusal int
	body    string // of the refusal; "": any
}

// places are all requests that read a token, except revocation, which ends it.
func places(m *kit.ElasticPath, p kit.Shopper, account string) map[string]tokenConsumer {
	get := func(path string) func(string) kit.Response {
		return func(token string) kit.Response {
			return kit.Caller{Server: m.Server, AccessToken: token}.Try(http.MethodGet, path, nil)
		}
	}
	accesses := map[string]int{plainAccess: 200, scopedAccess: 200, messageToken: 200, clientAccess: 200}
	ofUsers := map[string]int{plainAccess: 200, scopedAccess: 200, messageToken: 200, clientAccess: 403}
	front := m.Storefront()
	return map[string]tokenConsumer{
		"Bearer below /v1": {send: get("/v1/me"), takes: ofUsers, refusal: 401},
		"Bearer below /v2": {send: get(kit.SettingsPath), takes: accesses, refusal: 401},
		"account token header": {send: func(token string) kit.Response {
			return front.WithAccountToken(token).Try(http.MethodGet, "/v2/account-members/"+p.UID, nil)
		}, takes: map[string]int{vendorAccount: 200}, refusal: 401},
		"renewal below /v2": {send: func(token string) kit.Response {
			return front.WithAccountToken(token).AccountTokens(kit.ByAccountToken())
		}, takes: map[string]int{vendorAccount: 201}, refusal: 400},
		"member_token": {send: func(token string) kit.Response {
			return m.Server.MemberGrant("front", "member_token", token, "account_id", account)
		}, takes: map[string]int{plainAccess: 200, scopedAccess: 200, vendorAccount: 200}, refusal: 400, body: refusedMemberToken},
		"selection_token": {send: func(token string) kit.Response {
			return m.Server.MemberGrant("front", "selection_token", token, "account_id", account)
		}, takes: map[string]int{choiceToken: 200}, refusal: 400, body: refusedMemberToken},
		"subject_token": {send: func(token string) kit.Response {
			return m.Server.ExchangeToken("front", token)
		}, takes: map[string]int{plainAccess: 200, scopedAccess: 200}, refusal: 400, body: refusedSubject},
		"refresh_token": {send: func(token string) kit.Response {
			return m.Server.RefreshThrough("front", token)
		}, takes: map[string]int{refreshToken: 200}, refusal: 400, body: kit.InvalidRefreshTokenBody},
		"password": {send: func(token string) kit.Response {
			return m.Server.SignInThrough("otponly", p.Username+"-none", token)
		}, refusal: 400, body: kit.WrongCredentialsBody},
	}
}

// everyKindEverywhere tests that each place accepts only its own types.
func everyKindEverywhere(t *testing.T, m *kit.ElasticPath) {
	// The server itself creates the sender, so that it knows the sender at once.
	sink := `{"ID":"sink","Name":"Sink","MessageTypes":["OneTimePassword"],"URL":"` + m.Inbox.URL + `/{messagetype}","SharedKey":"` + kit.SharedKey + `","AllowAllBuyers":true}`
	if got := m.Admin().SendText(http.MethodPost, "/v1/messagesenders", sink); got.Status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", got.Status, got.Body)
	}
	one, two := m.AddAccount("Kinds one"), m.AddAccount("Kinds two")
	p := m.AddShopper("kinds", one, two)
	kinds := kinds(m, p, one.ID)
	takenByClocksBehind(m, t, kinds)
	for where, place := range places(m, p, one.ID) {
		for kind, token := range kinds {
			got := place.send(token)
			want, taken := place.takes[kind]
			if !taken {
				want = place.refusal
			}
			if got.Status != want || !taken && place.body != "" && got.Body != place.body {
				t.Errorf("%s as %s: got %d %s, want %d %s", kind, where, got.Status, got.Body, want, place.body)
			}
		}
	}
	for kind, token := range kinds {
		switch got := m.Server.IntrospectThrough("front", token); kind {
		case choiceToken, vendorAccount:
			kit.MustBeInactive(t, kind, got)
		case refreshToken: // it was used above, so it is no longer the latest
			kit.MustBeInactive(t, kind, got)
		default:
			kit.MustBeActive(t, kind, got)
		}
	}
}

// takenByClocksBehind tests that a verifier without leeway accepts a fresh token of every type
// although its clock is a few seconds behind.
func takenByClocksBehind(m *kit.ElasticPath, t *testing.T, kinds map[string]string) {
	t.Helper()
	vendor := m.Server.Form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "admin", "client_secret", m.AdminSecret)
	for kind, token := range kinds {
		if kind == refreshToken { // a refresh token is not a JWT
			token = kit.MustIssue(t, "client credentials", vendor).Field("access_token")
		}
		_, claims := kit.DecodeJWT(t, token)
		issued, _ := claims["iat"].(float64)
		for _, behind := range []time.Duration{time.Second, 5 * time.Second} {
			clock := func() time.Time { return time.Unix(int64(issued), 0).Add(-behind) }
			if err := jwt.NewValidator(jwt.WithTimeFunc(clock)).Validate(jwt.MapClaims(claims)); err != nil {
				t.Errorf("%s, %s behind: got %v, want no error", kind, behind, err)
			}
		}
	}
}

// everyKindRevoked tests that a client can revoke its own tokens of every type, and that
// another client cannot.
func everyKindRevoked(t *testing.T, m *kit.ElasticPath) {
	one, two := m.AddAccount("Ended one"), m.AddAccount("Ended two")
	p := m.AddShopper("ended", one, two)
	kinds := kinds(m, p, one.ID)
	places := places(m, p, one.ID)
	for kind, where := range map[string]string{
		scopedAccess: "member_token", messageToken: "Bearer below /v1", clientAccess: "Bearer below /v2",
		vendorAccount: "account token header", choiceToken: "selection_token", plainAccess: "subject_token", refreshToken: "refresh_token",
	} {
		token, place := kinds[kind], places[where]
		if kind == refreshToken {
			token = kit.TokenPairOf(t, "another sign-in", m.Server.SignInThrough("front", p.Username, addKnownCode(m, p))).Refresh
		}
		if got := m.Server.RevokeThrough("till", token); got.Status != http.StatusBadRequest || got.Field("error") != "unauthorized_client" {
			t.Errorf("%s revoked by another client: got %d %s, want 400", kind, got.Status, got.Body)
		}
		if kind != refreshToken { // using it would rotate it
			if got := place.send(token); got.Status != place.takes[kind] {
				t.Errorf("%s before its revocation: got %d %s", kind, got.Status, got.Body)
			}
		}
		if got := m.Server.RevokeThrough("front", token); got.Status != http.StatusOK || got.Body != "" {
			t.Errorf("%s revoked: got %d %s, want 200", kind, got.Status, got.Body)
		}
		if got := place.send(token); got.Status != place.refusal {
			t.Errorf("%s after its revocation: got %d %s, want %d", kind, got.Status, got.Body, place.refusal)
		}
	}
	kit.MustFailV2(t, "a revoked account token renewed", m.Storefront().WithAccountToken(kinds[vendorAccount]).AccountTokens(kit.ByAccountToken()))
}

// accountForge returns a forger of account tokens.
func accountForge(m *kit.ElasticPath, t *testing.T, p kit.Shopper) *kit.TokenForger {
	t.Helper()
	m.Must(m.App.OpenRing(t.Context()))
	f := &kit.TokenForger{T: t, Ring: m.App.Ring, Real: accountTokens(m, p).Text("data", 0, "token")}
	_, f.Claims = kit.DecodeJWT(t, f.Real)
	f.ES256KeyID, f.RS256KeyID = f.Key("ES256").KID, f.Key("RS256").KID
	return f
}

// account is forger.signed for an account token, with the right key.
func account(f *kit.TokenForger, header map[string]any, changes ...any) string {
	all := map[string]any{"typ": "account+jwt"}
	maps.Copy(all, header)
	return f.Signed(all, changes...)
}

// forgedAccounts are tokens that differ from an account token in one thing.
func forgedAccounts(f *kit.TokenForger) map[string]string {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.T.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(f.Key("ES256").Public)
	if err != nil {
		f.T.Fatal(err)
	}
	typ := map[string]any{"typ": "account+jwt"}
	parts := strings.Split(f.Real, ".")
	encode := base64.RawURLEncoding.EncodeToString
	none := encode([]byte(`{"alg":"none","typ":"account+jwt","kid":"` + f.ES256KeyID + `"}`))
	other := strings.Split(account(f, nil, "sub", "usr_other", "account_id", "other"), ".")
	published, _ := f.Ring.Public(f.ES256KeyID)
	return map[string]string{
		"alg none":                       none + "." + parts[1] + ".",
		"alg none with a signature":      none + "." + parts[1] + "." + parts[2],
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"claims of another":              parts[0] + "." + other[1] + "." + parts[2],
		"another key":                    f.Sign(jose.ES256, own, f.Claims, typ),
		"another key, its jwk":           f.Sign(jose.ES256, own, f.Claims, map[string]any{"typ": "account+jwt", "jwk": jose.JSONWebKey{Key: own.Public()}}),
		"HS256 with the public key, DER": f.Sign(jose.HS256, der, f.Claims, typ),
		"HS256 with the public key, PEM": f.Sign(jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), f.Claims, typ),
		"HS256 with the public key, JWK": f.Sign(jose.HS256, published, f.Claims, typ),
		"HS256 as the vendor does":       f.Sign(jose.HS256, []byte(strings.Repeat("s", 32)), f.Claims, map[string]any{"typ": "JWT", "kid": nil}),
		"typ JWT":                        account(f, map[string]any{"typ": "JWT"}),
		"typ of an access token":         account(f, map[string]any{"typ": "at+jwt"}),
		"typ of a selection token":       account(f, map[string]any{"typ": "selection+jwt"}),
		"no typ":                         account(f, map[string]any{"typ": nil}),
		"kid unknown":                    account(f, map[string]any{"kid": "unknown"}),
		"aud of an access token":         account(f, nil, "aud", "http://latchkey.test"),
		"aud of a selection token":       account(f, nil, "aud", "http://latchkey.test/oauth/token"),
		"no aud":                         account(f, nil, "aud", nil),
		"aud a list":                     account(f, nil, "aud", []string{"http://latchkey.test/v2"}),
		"other issuer":                   account(f, nil, "iss", "http://evil.test"),
		"expired":                        account(f, nil, "exp", time.Now().Add(-time.Hour).Unix()),
		"without end":                    account(f, nil, "exp", nil),
		"another user's account":         account(f, nil, "account_uid", "acc_other"),
		"no account":                     account(f, nil, "account_uid", nil),
		"no login":                       account(f, nil, "login_id", nil),
		"unknown client":                 account(f, nil, "client_id", "nobody"),
		"unknown user":                   account(f, nil, "sub", "usr_nobody"),
	}
}

// forgedAccountTokens tests that forged tokens are refused as account tokens and as member
// tokens, with the answer to any other text.
func forgedAccountTokens(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("forged", m.AddAccount("Forged"))
	f := accountForge(m, t, p)
	front := m.Storefront()
	use := func(token string) kit.Response {
		return front.WithAccountToken(token).Try(http.MethodGet, "/v2/account-members/"+p.UID, nil)
	}
	for what, token := range map[string]string{"as issued": f.Real, "made here": account(f, nil)} {
		if got := use(token); got.Status != http.StatusOK {
			t.Fatalf("%s: got %d %s for a genuine token, want 200", what, got.Status, got.Body)
		}
		kit.MustIssue(t, what, m.Server.MemberGrant("front", "member_token", token))
	}
	for what, token := range forgedAccounts(f) {
		kit.MustRefuseV2(t, what, use(token), http.StatusUnauthorized, "")
		kit.MustFailV2(t, what+", renewed", front.WithAccountToken(token).AccountTokens(kit.ByAccountToken()))
		kit.MustRefuse(t, what+", held", m.Server.MemberGrant("front", "member_token", token), refusedMemberToken)
		kit.MustRefuse(t, what+", exchanged", m.Server.ExchangeToken("front", token), refusedSubject)
	}
	// The account token of one client cannot be the member token of another.
	kit.MustRefuse(t, "another client", m.Server.MemberGrant("till", "member_token", f.Real), refusedMemberToken)
	if got := use(f.Real); got.Status != http.StatusOK {
		t.Errorf("afterwards: got %d %s, want 200", got.Status, got.Body)
	}
}
