package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exactPasswords are permanent passwords that a careless server would cut,
// trim, fold or normalise, each with others that must not pass for it.
var exactPasswords = []struct {
	user, right string
	wrong       []string
}{
	{"exact-long", strings.Repeat("0123456789", 10), []string{strings.Repeat("0123456789", 10)[:64], strings.Repeat("0123456789", 10) + "0"}},
	{"exact-73", strings.Repeat("x", 72) + "y", []string{strings.Repeat("x", 72) + "z", strings.Repeat("x", 72)}},
	{"exact-space", " two  spaces ", []string{" two  spaces", "two  spaces", " two spaces "}},
	{"exact-utf8", "Zürich-Ω-密码-🔑", []string{"Zurich-Ω-密码-🔑", "Zürich-Ω-密码-", "zürich-Ω-密码-🔑"}},
	{"exact-nul", "before\x00after", []string{"before", "before\x00other", "before\uFFFDafter"}},
	{"exact-ascii", "p&a=s+s%20;w\"o\\r/d", []string{"p&a=s s ;w\"o\\r/d", "p&a=s+s ;w\"o\\r/d"}},
}

// oddSecret holds every character that means something in Basic credentials or
// in a form.
const oddSecret = `o:d+d %41&=é/?"\ secret of at least 32 bytes`

// tokenDocument adds to the world what the tests of the token endpoint need.
func tokenDocument(t *testing.T) string {
	t.Helper()
	var users []map[string]any
	for _, p := range exactPasswords {
		users = append(users, map[string]any{"ID": p.user, "Username": p.user, "Password": p.right, "FirstName": "E", "LastName": "X", "Active": true})
	}
	for _, name := range []string{"plain", "barred", "lapsed", "spent"} {
		users = append(users, map[string]any{
			"ID": name, "Username": name, "Password": janesPassword, "FirstName": "P", "LastName": "N", "Active": true, "Email": name + "@example.com",
		})
	}
	document, err := json.Marshal(map[string]any{
		"SecurityProfiles": []any{map[string]any{
			"ID": "exact", "Name": "Exact", "Roles": []string{"MeAdmin", "Shopper"}, "Assignments": []any{map[string]any{"BuyerID": "exact"}},
		}},
		"Buyers": []any{map[string]any{"ID": "exact", "Name": "Exact Ltd", "Active": true, "Users": users}},
		"ApiClients": []any{map[string]any{
			"ID": "odd", "AppName": "Odd", "ClientSecret": oddSecret, "Active": true, "AccessTokenDuration": 60, "AllowAnyBuyer": true,
			"GrantTypes": []string{"client_credentials", "password"}, "AllowedCredentials": []string{"password"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

func TestTokenEndpoint(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(tokenDocument(t))
		n := w.serve()
		t.Run("parallel", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, *node){
				"malformed": testMalformedRequests, "repeated": testRepeatedParameters, "methods": testQueryIsNotRead,
				"basic": testBasicAuthentication, "two ways": testTwoAuthentications, "media types": testMediaTypes,
				"sizes": testSizes, "fuzz": testErrorCharacters, "bytes": testHostileBytes, "passwords": testExactPasswords,
				"answer": testTokenAnswer, "scope": testRequestedScope,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t, n) })
			}
		})
		spent, lapsed := w.code(n, "spent"), w.code(n, "lapsed")
		n.signIn("spent", spent).mustIssue(t)
		w.clock.advance(11 * time.Minute)
		testAlikeRefusals(t, n, spent, lapsed)
	})
}

// plainGrant is a sign-in that works; the tests change it.
func plainGrant() []string {
	return []string{"grant_type", "password", "client_id", "shop", "client_secret", shopSecret, "username", "plain", "password", janesPassword}
}

// testMalformedRequests is the table of A6, A7, A9 and of what lacks a part.
func testMalformedRequests(t *testing.T, n *node) {
	plain := plainGrant()
	grant := func(value string) string { return encode(wireWith(plain, "grant_type", value)...) }
	scope := func(value string) string { return encode(wireWith(plain, "scope", value)...) }
	tests := map[string]struct {
		body   string
		status int
		want   map[string]any
	}{
		"nothing":                      {"", 400, wireGrantMissing},
		"grant type missing":           {encode(wireWithout(plain, "grant_type")...), 400, wireGrantMissing},
		"grant type empty":             {grant(""), 400, wireGrantMissing},
		"grant type unknown":           {grant("urn:nope"), 400, wireUnsupportedGrant},
		"grant type padded in front":   {grant(" password"), 400, wireUnsupportedGrant},
		"grant type padded behind":     {grant("password "), 400, wireUnsupportedGrant},
		"grant type twice in one":      {grant("password password"), 400, wireUnsupportedGrant},
		"grant type in capitals":       {grant("PASSWORD"), 400, wireUnsupportedGrant},
		"grant type with NUL":          {grant("password\x00"), 400, wireUnsupportedGrant},
		"grant type implicit":          {grant("implicit"), 400, wireUnsupportedGrant},
		"grant type code":              {grant("authorization_code"), 400, wireUnsupportedGrant},
		"grant not the client's":       {grant("client_credentials"), 400, wireUnauthorizedClient},
		"refresh not the client's":     {encode("grant_type", "refresh_token", "client_id", "codes-only", "refresh_token", "x"), 400, wireUnauthorizedClient},
		"client missing":               {encode(wireWithout(plain, "client_id")...), 400, wireInvalidClient},
		"client unknown":               {encode(wireWith(plain, "client_id", "nobody")...), 400, wireInvalidClient},
		"secret missing":               {encode(wireWithout(plain, "client_secret")...), 400, wireInvalidClient},
		"secret wrong":                 {encode(wireWith(plain, "client_secret", shopSecret+"x")...), 400, wireInvalidClient},
		"secret cut":                   {encode(wireWith(plain, "client_secret", shopSecret[:34])...), 400, wireInvalidClient},
		"secret of a public client":    {encode("grant_type", "password", "client_id", "codes-only", "client_secret", "x"), 400, wireInvalidClient},
		"username missing":             {encode(wireWithout(plain, "username")...), 400, wireCredentialsMissing},
		"password missing":             {encode(wireWithout(plain, "password")...), 400, wireCredentialsMissing},
		"password empty":               {encode(wireWith(plain, "password", "")...), 400, wireCredentialsMissing},
		"refresh token missing":        {encode("grant_type", "refresh_token", "client_id", "shop", "client_secret", shopSecret), 400, wireRefusal("invalid_request", "Auth.OauthError", "The parameter 'refresh_token' is missing.")},
		"refresh token not ours":       {encode("grant_type", "refresh_token", "client_id", "shop", "client_secret", shopSecret, "refresh_token", "lkr_a.1.b.c.d"), 400, wireRefreshToken},
		"scope of nobody":              {scope("Nothing"), 400, wireNoRoleFits},
		"scope with a quote":           {scope(`Shopper"`), 400, wireMalformedScope},
		"scope with a backslash":       {scope(`Shop\per`), 400, wireMalformedScope},
		"scope beyond ASCII":           {scope("Shoppér"), 400, wireMalformedScope},
		"scope with a line break":      {scope("Shopper\r\nMeAdmin"), 400, wireMalformedScope},
		"percent sign alone":           {encode(plain...) + "&scope=%", 400, wireMalformedForm},
		"percent without hexadecimals": {"grant_type=%zz", 400, wireMalformedForm},
		"semicolons are data":          {"grant_type=password;client_id=shop", 400, wireUnsupportedGrant},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n.do(http.MethodPost, "/oauth/token", formMedia, tt.body).mustRefuse(t, tt.status, tt.want)
		})
	}
}

// testRepeatedParameters is A2: no parameter may come twice but resource and
// audience, even with one value, and even if one is empty.
func testRepeatedParameters(t *testing.T, n *node) {
	complete := append(plainGrant(), "scope", "Shopper", "refresh_token", "x", "unknown", "y")
	for i := 0; i < len(complete); i += 2 {
		for what, second := range map[string]string{"same": complete[i+1], "other": "other", "empty": ""} {
			t.Run(complete[i]+" "+what, func(t *testing.T) {
				body := encode(append(slices.Clone(complete), complete[i], second)...)
				n.do(http.MethodPost, "/oauth/token", formMedia, body).mustRefuse(t, 400, wireRepeated)
			})
		}
	}
	t.Run("resource", func(t *testing.T) { // known ones: TestResources
		got := n.form("/oauth/token", append(plainGrant(), "resource", "https://a.example", "resource", "https://b.example")...)
		mustFail(t, "unknown resources", got, "invalid_target")
	})
	t.Run("audience", func(t *testing.T) { // of token exchange, and nothing elsewhere
		n.form("/oauth/token", append(plainGrant(), "audience", "https://a.example", "audience", "https://b.example")...).mustIssue(t)
	})
}

// testQueryIsNotRead is A1.
func testQueryIsNotRead(t *testing.T, n *node) {
	plain := plainGrant()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		n.do(method, "/oauth/token?"+encode(plain...), "", "").mustRefuse(t, 405, wireMethod)
		n.do(method, "/oauth/token", formMedia, encode(plain...)).mustRefuse(t, 405, wireMethod)
	}
	for name, want := range map[string]map[string]any{
		"grant_type": wireGrantMissing, "client_id": wireInvalidClient, "client_secret": wireInvalidClient,
		"username": wireCredentialsMissing, "password": wireCredentialsMissing,
	} {
		t.Run(name, func(t *testing.T) {
			value := plain[slices.Index(plain, name)+1]
			n.form("/oauth/token?"+encode(name, value), wireWithout(plain, name)...).mustRefuse(t, 400, want)
		})
	}
	n.form("/oauth/token?"+encode(plain...)).mustRefuse(t, 400, wireGrantMissing)
	t.Run("no harm either", func(t *testing.T) {
		n.form("/oauth/token?grant_type=nope&client_id=other&scope=Nothing&password=x", plain...).mustIssue(t)
	})
}

// testBasicAuthentication is A3, A5 and A13.
func testBasicAuthentication(t *testing.T, n *node) {
	user := []string{"grant_type", "password", "username", "plain", "password", janesPassword}
	refused := map[string][]string{
		"wrong secret":         wireBasic("shop", "wrong"),
		"no secret":            wireBasic("shop", ""),
		"unknown client":       wireBasic("nobody", shopSecret),
		"no client":            wireBasic("", shopSecret),
		"nothing":              wireBasicRaw("Basic", ""),
		"no colon":             wireBasicRaw("Basic", "shop"),
		"not base64":           {"Authorization", "Basic !!!"},
		"bad escape":           wireBasicRaw("Basic", "shop:%zz"),
		"NUL in the client":    wireBasic("shop\x00", shopSecret),
		"bytes in the client":  wireBasic("\xff\xfe", shopSecret),
		"NUL in the secret":    wireBasic("shop", shopSecret+"\x00"),
		"other scheme":         wireBasicRaw("Bearer", "shop:"+shopSecret),
		"no scheme":            {"Authorization", "c2hvcDp4"},
		"empty header":         {"Authorization", ""},
		"two headers":          append(wireBasic("shop", shopSecret), wireBasic("shop", shopSecret)...),
		"secret not encoded":   wireBasicRaw("Basic", "odd:"+oddSecret),
		"secret of the public": wireBasic("codes-only", "x"),
	}
	for name, header := range refused {
		t.Run(name, func(t *testing.T) {
			n.do(http.MethodPost, "/oauth/token", formMedia, encode(user...), header...).mustRefuse(t, 401, wireInvalidClient)
		})
	}
	accepted := map[string]struct {
		header []string
		more   string
	}{
		"plain":                 {wireBasic("shop", shopSecret), ""},
		"every byte encoded":    {wireBasicRaw("Basic", "%73%68%6F%70:"+strings.ReplaceAll(shopSecret, "s", "%73")), ""},
		"special characters":    {wireBasic("odd", oddSecret), ""},
		"scheme in small":       {wireBasicRaw("basic", "shop:"+shopSecret), ""},
		"scheme in capitals":    {wireBasicRaw("BASIC", "shop:"+shopSecret), ""},
		"empty form parameters": {wireBasic("shop", shopSecret), "&client_id=&client_secret=&scope="}, // as Dovecot sends them
		"unknown parameters":    {wireBasic("shop", shopSecret), "&nonsense=1&code_verifier=x&%00=%ff"},
		"same client in form":   {wireBasic("shop", shopSecret), "&client_id=shop"},
	}
	for name, tt := range accepted {
		t.Run(name, func(t *testing.T) {
			n.do(http.MethodPost, "/oauth/token", formMedia, encode(user...)+tt.more, tt.header...).mustIssue(t)
		})
	}
}

// testTwoAuthentications is A4.
func testTwoAuthentications(t *testing.T, n *node) {
	user := []string{"grant_type", "password", "username", "plain", "password", janesPassword}
	for name, more := range map[string][]string{
		"same secret twice": {"client_secret", shopSecret},
		"all of it twice":   {"client_id", "shop", "client_secret", shopSecret},
		"wrong in the form": {"client_secret", "wrong"},
		"other client":      {"client_id", "other"},
		"public client":     {"client_id", "codes-only"},
		"nobody":            {"client_id", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			body := encode(append(slices.Clone(user), more...)...)
			n.do(http.MethodPost, "/oauth/token", formMedia, body, wireBasic("shop", shopSecret)...).mustRefuse(t, 400, wireTwoWays)
		})
	}
}

// testMediaTypes is A14.
func testMediaTypes(t *testing.T, n *node) {
	plain := plainGrant()
	var parts bytes.Buffer
	writer := multipart.NewWriter(&parts)
	object := map[string]string{}
	for i := 0; i < len(plain); i += 2 {
		object[plain[i]] = plain[i+1]
		if err := writer.WriteField(plain[i], plain[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ media, body string }{
		{writer.FormDataContentType(), parts.String()},
		{"multipart/form-data", encode(plain...)},
		{"application/json", string(asJSON)},
		{"application/json", encode(plain...)},
		{"text/plain", encode(plain...)},
		{"", encode(plain...)},
		{"application/x-www-form-urlencoded-not", encode(plain...)},
		{"application/x-www-form-urlencoded, text/plain", encode(plain...)},
	} {
		t.Run("refused "+tt.media, func(t *testing.T) {
			n.do(http.MethodPost, "/oauth/token", tt.media, tt.body).mustRefuse(t, 415, wireMediaType)
		})
	}
	for _, media := range []string{
		formMedia + ";", formMedia + "; charset=UTF-8", formMedia + ";charset=utf-8;", "Application/X-WWW-Form-URLencoded",
	} {
		t.Run("accepted "+media, func(t *testing.T) {
			n.do(http.MethodPost, "/oauth/token", media, encode(plain...)).mustIssue(t)
		})
	}
}

// testSizes is A15.
func testSizes(t *testing.T, n *node) {
	plain := encode(plainGrant()...)
	huge := plain + "&unknown=" + strings.Repeat("x", 1<<20)
	n.do(http.MethodPost, "/oauth/token", formMedia, huge).mustRefuse(t, 413, wireTooLarge)
	n.do(http.MethodPost, "/oauth/token", formMedia, plain+"&unknown="+strings.Repeat("x", 64<<10)).mustRefuse(t, 413, wireTooLarge)
	n.do(http.MethodPost, "/oauth/token", formMedia, plain+strings.Repeat("&a=1", 10_000)).mustRefuse(t, 400, wireTooMany)
	n.do(http.MethodPost, "/oauth/token", formMedia, plain+strings.Repeat("&", 10_000)).mustRefuse(t, 400, wireTooMany)
	n.do(http.MethodPost, "/oauth/token", formMedia, "grant_type="+strings.Repeat("%25", 20_000)).mustRefuse(t, 400, wireUnsupportedGrant)
	n.form("/oauth/token", wireWith(plainGrant(), "username", strings.Repeat("x", 513))...).mustRefuse(t, 400, wireMalformedName)
	n.form("/oauth/token", wireWith(wireWith(plainGrant(), "username", "nobody"), "password", strings.Repeat("x", 60_000))...).mustRefuse(t, 400, wireWrongCredentials)
	n.form("/oauth/token", wireWith(plainGrant(), "client_secret", strings.Repeat("x", 60_000))...).mustRefuse(t, 400, wireInvalidClient)
	t.Run("without a length", func(t *testing.T) {
		request, err := http.NewRequest(http.MethodPost, n.url+"/oauth/token", struct{ *strings.Reader }{strings.NewReader(huge)})
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", formMedia)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // only its status counts
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", response.StatusCode)
		}
	})
}

// testErrorCharacters is A12: whatever is sent, error and error_description
// keep to %x20-21 / %x23-5B / %x5D-7E (RFC 6749 §5.2).
func testErrorCharacters(t *testing.T, n *node) {
	random := rand.New(rand.NewPCG(6749, 52)) //nolint:gosec // the same on each run
	pieces := []string{"é", `"`, `\`, "\x7f", "\x00", "\r\n", "\xff", "密", "\u202e", "<b>", "%", "'", "Shopper", " ", "a", "{", "\u2028"}
	word := func() string {
		var s strings.Builder
		for range random.IntN(6) {
			s.WriteString(pieces[random.IntN(len(pieces))])
		}
		return s.String()
	}
	for i := range 1000 {
		fields := []string{"grant_type", "password", "client_id", "codes-only", "username", "u" + word(), "password", "p" + word(), "scope", word()}
		for _, name := range []string{"grant_type", "client_id", "client_secret", "refresh_token"} {
			if random.IntN(8) == 0 {
				fields = wireWith(fields, name, word())
			}
		}
		a := n.form("/oauth/token", fields...)
		if a.status < 400 || a.status > 499 {
			t.Fatalf("round %d: %q answered %d %s", i, fields, a.status, a.body)
		}
		for _, name := range []string{"error", "error_description"} {
			if text := a.field(name); text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
				t.Fatalf("round %d: %q answered %s %q", i, fields, name, text)
			}
		}
		a.mustNotLeak(t)
	}
}

// testHostileBytes sends NUL, invalid UTF-8 and SQL where a database might
// choke on them.
func testHostileBytes(t *testing.T, n *node) {
	hostile := map[string]string{
		"NUL": "\x00", "NUL behind": "jane\x00", "invalid": "\xff\xfe\xfd", "cut": "jane\xc3", "overlong": "\xc0\x80", "surrogate": "\xed\xa0\x80",
		"escape": "\x1b[31m", "DEL": "\x7f", "C1": "\u0085",
	}
	for what, value := range hostile {
		for name, want := range map[string]map[string]any{
			"username": wireMalformedName, "client_id": wireMalformedName, "scope": wireMalformedScope, "client_secret": wireInvalidClient,
			"grant_type": wireUnsupportedGrant,
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				n.form("/oauth/token", wireWith(plainGrant(), name, value)...).mustRefuse(t, 400, want)
			})
		}
		t.Run("refresh_token "+what, func(t *testing.T) {
			n.refresh("lkr_"+value+".1."+value+".c.d").mustRefuse(t, 400, wireRefreshToken)
		})
		t.Run("password "+what, func(t *testing.T) {
			// The client takes codes only, so that no hash is computed.
			n.form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "nobody "+fmt.Sprintf("%x", value), "password", value).
				mustRefuse(t, 400, wireWrongCredentials)
		})
	}
	for _, name := range []string{"'; DROP TABLE logins; --", "%", "_____", `\`, "\uFFFD", "\uFFFF", "\U0010FFFF", "\u202Eenaj", strings.Repeat("ﷺ", 170)} {
		t.Run(fmt.Sprintf("username %+q", name), func(t *testing.T) {
			n.form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", name, "password", "x").mustRefuse(t, 400, wireWrongCredentials)
		})
	}
}

// testExactPasswords is A16.
func testExactPasswords(t *testing.T, n *node) {
	for _, p := range exactPasswords {
		t.Run(p.user, func(t *testing.T) {
			for _, wrong := range p.wrong {
				n.signIn(p.user, wrong).mustRefuse(t, 400, wireWrongCredentials)
			}
			n.signIn(p.user, p.right).mustIssue(t)
		})
	}
}

// testTokenAnswer is A10 and A11.
func testTokenAnswer(t *testing.T, n *node) {
	a := n.signIn("plain", janesPassword)
	body := a.wireBody(t)
	expires, ok := body["expires_in"].(float64)
	if !ok || expires > 3600 || expires < 3590 {
		t.Errorf("expires_in %v, want about 3600", body["expires_in"])
	}
	for _, name := range []string{"access_token", "refresh_token", "expires_in"} {
		if body[name] == nil || body[name] == "" {
			t.Errorf("no %s in %s", name, a.body)
		}
		delete(body, name)
	}
	if diff := cmp.Diff(map[string]any{"token_type": "bearer", "scope": "MeAdmin Shopper"}, body); diff != "" {
		t.Errorf("further members (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "Pragma": "no-cache", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
}

// testRequestedScope is A9, with what the vendor's SDK makes of no scope.
func testRequestedScope(t *testing.T, n *node) {
	for requested, want := range map[string]string{
		"":                           "MeAdmin Shopper", // all, and the answer says which
		"MeAdmin Shopper":            "",                // what was asked for needs not be said
		"Shopper  MeAdmin":           "",
		"Shopper":                    "",
		"Shopper Shopper":            "",
		"undefined Shopper":          "Shopper",
		"FullAccess Shopper MeAdmin": "MeAdmin Shopper",
	} {
		t.Run(requested, func(t *testing.T) {
			a := n.signIn("plain", janesPassword, "scope", requested)
			a.mustIssue(t)
			if got := a.field("scope"); got != want {
				t.Errorf("scope %q, want %q", got, want)
			}
		})
	}
	for _, requested := range []string{"undefined", "FullAccess", "shopper"} {
		n.signIn("plain", janesPassword, "scope", requested).mustRefuse(t, 400, wireNoRoleFits)
	}
}

// testAlikeRefusals is A8: nobody learns from the answer why a sign-in failed.
func testAlikeRefusals(t *testing.T, n *node, spent, lapsed string) {
	for range 10 {
		n.form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "barred", "password", "wrong")
	}
	wrong := n.signIn("plain", "wrong")
	wrong.mustRefuse(t, 400, wireWrongCredentials)
	for what, other := range map[string]answer{
		"unknown user":            n.signIn("nobody", janesPassword),
		"disabled user":           n.signIn("gone", janesPassword),
		"user of a closed buyer":  n.signIn("carl", janesPassword),
		"user without a password": n.signIn("johnny", janesPassword),
		"user of another kind":    n.signIn("ada", janesPassword),
		"locked user":             n.signIn("barred", janesPassword),
		"used code":               n.signIn("spent", spent),
		"expired code":            n.signIn("lapsed", lapsed),
		"code of another":         n.signIn("plain", lapsed),
	} {
		t.Run(what, func(t *testing.T) { wrong.mustEqual(t, other) })
	}
}
