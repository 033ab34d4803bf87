package tokens

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

	"latchkey/test/e2e/kit"
)

// exactPasswords are permanent passwords that a careless server would cut, trim, fold or
// normalize. Each has others that must not be accepted for it.
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

// oddSecret contains every character that has a meaning in Basic credentials or in a form.
const oddSecret = `o:d+d %41&=é/?"\ secret of at least 32 bytes`

// tokenDocument contains the clients for the tests of the token endpoint.
func tokenDocument(t *testing.T) string {
	t.Helper()
	var users []map[string]any
	for _, p := range exactPasswords {
		users = append(users, map[string]any{"ID": p.user, "Username": p.user, "Password": p.right, "FirstName": "E", "LastName": "X", "Active": true})
	}
	for _, name := range []string{"plain", "barred", "lapsed", "spent"} {
		users = append(users, map[string]any{
			"ID": name, "Username": name, "Password": kit.Password, "FirstName": "P", "LastName": "N", "Active": true, "Email": name + "@example.com",
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
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(tokenDocument(t))
		n := w.Serve()
		t.Run("parallel", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, *kit.Server){
				"malformed": testMalformedRequests, "repeated": testRepeatedParameters, "methods": testQueryIsNotRead,
				"basic": testBasicAuthentication, "two ways": testTwoAuthentications, "media types": testMediaTypes,
				"sizes": testSizes, "fuzz": testErrorCharacters, "bytes": testHostileBytes, "passwords": testExactPasswords,
				"answer": testTokenAnswer, "scope": testRequestedScope,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t, n) })
			}
		})
		spent, lapsed := w.DeliveredCode(n, "spent"), w.DeliveredCode(n, "lapsed")
		n.SignIn("spent", spent).AccessToken(t)
		w.Clock.Advance(11 * time.Minute)
		testAlikeRefusals(t, n, spent, lapsed)
	})
}

// plainGrant returns the form of a valid sign-in, which the tests change.
func plainGrant() []string {
	return []string{"grant_type", "password", "client_id", "shop", "client_secret", kit.ClientSecret, "username", "plain", "password", kit.Password}
}

// testMalformedRequests tests requests with missing, unknown or malformed parameters.
func testMalformedRequests(t *testing.T, n *kit.Server) {
	plain := plainGrant()
	grant := func(value string) string { return kit.EncodeForm(kit.WithField(plain, "grant_type", value)...) }
	scope := func(value string) string { return kit.EncodeForm(kit.WithField(plain, "scope", value)...) }
	tests := map[string]struct {
		body   string
		status int
		want   map[string]any
	}{
		"nothing":                      {"", 400, kit.GrantMissing},
		"grant type missing":           {kit.EncodeForm(kit.WithoutField(plain, "grant_type")...), 400, kit.GrantMissing},
		"grant type empty":             {grant(""), 400, kit.GrantMissing},
		"grant type unknown":           {grant("urn:nope"), 400, kit.UnsupportedGrant},
		"grant type padded in front":   {grant(" password"), 400, kit.UnsupportedGrant},
		"grant type padded behind":     {grant("password "), 400, kit.UnsupportedGrant},
		"grant type twice in one":      {grant("password password"), 400, kit.UnsupportedGrant},
		"grant type in capitals":       {grant("PASSWORD"), 400, kit.UnsupportedGrant},
		"grant type with NUL":          {grant("password\x00"), 400, kit.UnsupportedGrant},
		"grant type implicit":          {grant("implicit"), 400, kit.UnsupportedGrant},
		"grant type code":              {grant("authorization_code"), 400, kit.UnauthorizedClient},
		"grant not the client's":       {grant("client_credentials"), 400, kit.UnauthorizedClient},
		"refresh not the client's":     {kit.EncodeForm("grant_type", "refresh_token", "client_id", "codes-only", "refresh_token", "x"), 400, kit.UnauthorizedClient},
		"client missing":               {kit.EncodeForm(kit.WithoutField(plain, "client_id")...), 400, kit.InvalidClient},
		"client unknown":               {kit.EncodeForm(kit.WithField(plain, "client_id", "nobody")...), 400, kit.InvalidClient},
		"secret missing":               {kit.EncodeForm(kit.WithoutField(plain, "client_secret")...), 400, kit.InvalidClient},
		"secret wrong":                 {kit.EncodeForm(kit.WithField(plain, "client_secret", kit.ClientSecret+"x")...), 400, kit.InvalidClient},
		"secret cut":                   {kit.EncodeForm(kit.WithField(plain, "client_secret", kit.ClientSecret[:34])...), 400, kit.InvalidClient},
		"secret of a public client":    {kit.EncodeForm("grant_type", "password", "client_id", "codes-only", "client_secret", "x"), 400, kit.InvalidClient},
		"username missing":             {kit.EncodeForm(kit.WithoutField(plain, "username")...), 400, kit.CredentialsMissing},
		"password missing":             {kit.EncodeForm(kit.WithoutField(plain, "password")...), 400, kit.CredentialsMissing},
		"password empty":               {kit.EncodeForm(kit.WithField(plain, "password", "")...), 400, kit.CredentialsMissing},
		"refresh token missing":        {kit.EncodeForm("grant_type", "refresh_token", "client_id", "shop", "client_secret", kit.ClientSecret), 400, kit.Refusal("invalid_request", "Auth.OauthError", "The parameter 'refresh_token' is missing.")},
		"refresh token not ours":       {kit.EncodeForm("grant_type", "refresh_token", "client_id", "shop", "client_secret", kit.ClientSecret, "refresh_token", "lkr_a.1.b.c.d"), 400, kit.InvalidRefreshToken},
		"scope of nobody":              {scope("Nothing"), 400, kit.NoRoleFits},
		"scope with a quote":           {scope(`Shopper"`), 400, kit.MalformedScope},
		"scope with a backslash":       {scope(`Shop\per`), 400, kit.MalformedScope},
		"scope beyond ASCII":           {scope("Shoppér"), 400, kit.MalformedScope},
		"scope with a line break":      {scope("Shopper\r\nMeAdmin"), 400, kit.MalformedScope},
		"percent sign alone":           {kit.EncodeForm(plain...) + "&scope=%", 400, kit.MalformedForm},
		"percent without hexadecimals": {"grant_type=%zz", 400, kit.MalformedForm},
		"semicolons are data":          {"grant_type=password;client_id=shop", 400, kit.UnsupportedGrant},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, tt.body).MustRefuse(t, tt.status, tt.want)
		})
	}
}

// testRepeatedParameters tests that no parameter except resource and audience may be repeated,
// even with the same value or an empty one.
func testRepeatedParameters(t *testing.T, n *kit.Server) {
	complete := append(plainGrant(), "scope", "Shopper", "refresh_token", "x", "unknown", "y")
	for i := 0; i < len(complete); i += 2 {
		for what, second := range map[string]string{"same": complete[i+1], "other": "other", "empty": ""} {
			t.Run(complete[i]+" "+what, func(t *testing.T) {
				body := kit.EncodeForm(append(slices.Clone(complete), complete[i], second)...)
				n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, body).MustRefuse(t, 400, kit.RepeatedParameter)
			})
		}
	}
	t.Run("resource", func(t *testing.T) { // known resources are in TestResources
		got := n.Form("/oauth/token", append(plainGrant(), "resource", "https://a.example", "resource", "https://b.example")...)
		mustFail(t, "unknown resources", got, "invalid_target")
	})
	t.Run("audience", func(t *testing.T) { // a parameter of token exchange, ignored in other requests
		n.Form("/oauth/token", append(plainGrant(), "audience", "https://a.example", "audience", "https://b.example")...).AccessToken(t)
	})
}

// testQueryIsNotRead tests that parameters in the query of the URL are ignored, and that only
// POST is allowed.
func testQueryIsNotRead(t *testing.T, n *kit.Server) {
	plain := plainGrant()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		n.Do(method, "/oauth/token?"+kit.EncodeForm(plain...), "", "").MustRefuse(t, 405, kit.MethodNotAllowed)
		n.Do(method, "/oauth/token", kit.FormMedia, kit.EncodeForm(plain...)).MustRefuse(t, 405, kit.MethodNotAllowed)
	}
	for name, want := range map[string]map[string]any{
		"grant_type": kit.GrantMissing, "client_id": kit.InvalidClient, "client_secret": kit.InvalidClient,
		"username": kit.CredentialsMissing, "password": kit.CredentialsMissing,
	} {
		t.Run(name, func(t *testing.T) {
			value := plain[slices.Index(plain, name)+1]
			n.Form("/oauth/token?"+kit.EncodeForm(name, value), kit.WithoutField(plain, name)...).MustRefuse(t, 400, want)
		})
	}
	n.Form("/oauth/token?"+kit.EncodeForm(plain...)).MustRefuse(t, 400, kit.GrantMissing)
	t.Run("no harm either", func(t *testing.T) {
		n.Form("/oauth/token?grant_type=nope&client_id=other&scope=Nothing&password=x", plain...).AccessToken(t)
	})
}

// testBasicAuthentication tests credentials in the Authorization header, their encoding, and
// the challenge of a refusal.
func testBasicAuthentication(t *testing.T, n *kit.Server) {
	user := []string{"grant_type", "password", "username", "plain", "password", kit.Password}
	refused := map[string][]string{
		"wrong secret":         kit.BasicAuth("shop", "wrong"),
		"no secret":            kit.BasicAuth("shop", ""),
		"unknown client":       kit.BasicAuth("nobody", kit.ClientSecret),
		"no client":            kit.BasicAuth("", kit.ClientSecret),
		"nothing":              kit.AuthorizationHeader("Basic", ""),
		"no colon":             kit.AuthorizationHeader("Basic", "shop"),
		"not base64":           {"Authorization", "Basic !!!"},
		"bad escape":           kit.AuthorizationHeader("Basic", "shop:%zz"),
		"NUL in the client":    kit.BasicAuth("shop\x00", kit.ClientSecret),
		"bytes in the client":  kit.BasicAuth("\xff\xfe", kit.ClientSecret),
		"NUL in the secret":    kit.BasicAuth("shop", kit.ClientSecret+"\x00"),
		"other scheme":         kit.AuthorizationHeader("Bearer", "shop:"+kit.ClientSecret),
		"no scheme":            {"Authorization", "c2hvcDp4"},
		"empty header":         {"Authorization", ""},
		"two headers":          append(kit.BasicAuth("shop", kit.ClientSecret), kit.BasicAuth("shop", kit.ClientSecret)...),
		"secret not encoded":   kit.AuthorizationHeader("Basic", "odd:"+oddSecret),
		"secret of the public": kit.BasicAuth("codes-only", "x"),
	}
	for name, header := range refused {
		t.Run(name, func(t *testing.T) {
			n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(user...), header...).MustRefuse(t, 401, kit.InvalidClient)
		})
	}
	accepted := map[string]struct {
		header []string
		more   string
	}{
		"plain":                 {kit.BasicAuth("shop", kit.ClientSecret), ""},
		"every byte encoded":    {kit.AuthorizationHeader("Basic", "%73%68%6F%70:"+strings.ReplaceAll(kit.ClientSecret, "s", "%73")), ""},
		"special characters":    {kit.BasicAuth("odd", oddSecret), ""},
		"scheme in small":       {kit.AuthorizationHeader("basic", "shop:"+kit.ClientSecret), ""},
		"scheme in capitals":    {kit.AuthorizationHeader("BASIC", "shop:"+kit.ClientSecret), ""},
		"empty form parameters": {kit.BasicAuth("shop", kit.ClientSecret), "&client_id=&client_secret=&scope="}, // Dovecot sends such forms
		"unknown parameters":    {kit.BasicAuth("shop", kit.ClientSecret), "&nonsense=1&code_verifier=x&%00=%ff"},
		"same client in form":   {kit.BasicAuth("shop", kit.ClientSecret), "&client_id=shop"},
	}
	for name, tt := range accepted {
		t.Run(name, func(t *testing.T) {
			n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(user...)+tt.more, tt.header...).AccessToken(t)
		})
	}
}

// testTwoAuthentications tests that a request with two kinds of client authentication is
// refused.
func testTwoAuthentications(t *testing.T, n *kit.Server) {
	user := []string{"grant_type", "password", "username", "plain", "password", kit.Password}
	for name, more := range map[string][]string{
		"same secret twice": {"client_secret", kit.ClientSecret},
		"all of it twice":   {"client_id", "shop", "client_secret", kit.ClientSecret},
		"wrong in the form": {"client_secret", "wrong"},
		"other client":      {"client_id", "other"},
		"public client":     {"client_id", "codes-only"},
		"nobody":            {"client_id", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			body := kit.EncodeForm(append(slices.Clone(user), more...)...)
			n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, body, kit.BasicAuth("shop", kit.ClientSecret)...).MustRefuse(t, 400, kit.TwoAuthentications)
		})
	}
}

// testMediaTypes tests which media types are accepted for forms.
func testMediaTypes(t *testing.T, n *kit.Server) {
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
		{"multipart/form-data", kit.EncodeForm(plain...)},
		{"application/json", string(asJSON)},
		{"application/json", kit.EncodeForm(plain...)},
		{"text/plain", kit.EncodeForm(plain...)},
		{"", kit.EncodeForm(plain...)},
		{"application/x-www-form-urlencoded-not", kit.EncodeForm(plain...)},
		{"application/x-www-form-urlencoded, text/plain", kit.EncodeForm(plain...)},
	} {
		t.Run("refused "+tt.media, func(t *testing.T) {
			n.Do(http.MethodPost, "/oauth/token", tt.media, tt.body).MustRefuse(t, 415, kit.WrongMediaType)
		})
	}
	for _, media := range []string{
		kit.FormMedia + ";", kit.FormMedia + "; charset=UTF-8", kit.FormMedia + ";charset=utf-8;", "Application/X-WWW-Form-URLencoded",
	} {
		t.Run("accepted "+media, func(t *testing.T) {
			n.Do(http.MethodPost, "/oauth/token", media, kit.EncodeForm(plain...)).AccessToken(t)
		})
	}
}

// testSizes tests the limits of bodies and parameters.
func testSizes(t *testing.T, n *kit.Server) {
	plain := kit.EncodeForm(plainGrant()...)
	huge := plain + "&unknown=" + strings.Repeat("x", 1<<20)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, huge).MustRefuse(t, 413, kit.BodyTooLarge)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, plain+"&unknown="+strings.Repeat("x", 64<<10)).MustRefuse(t, 413, kit.BodyTooLarge)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, plain+strings.Repeat("&a=1", 10_000)).MustRefuse(t, 400, kit.TooManyParameters)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, plain+strings.Repeat("&", 10_000)).MustRefuse(t, 400, kit.TooManyParameters)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, "grant_type="+strings.Repeat("%25", 20_000)).MustRefuse(t, 400, kit.UnsupportedGrant)
	n.Form("/oauth/token", kit.WithField(plainGrant(), "username", strings.Repeat("x", 513))...).MustRefuse(t, 400, kit.MalformedName)
	n.Form("/oauth/token", kit.WithField(kit.WithField(plainGrant(), "username", "nobody"), "password", strings.Repeat("x", 60_000))...).MustRefuse(t, 400, kit.WrongCredentials)
	n.Form("/oauth/token", kit.WithField(plainGrant(), "client_secret", strings.Repeat("x", 60_000))...).MustRefuse(t, 400, kit.InvalidClient)
	t.Run("without a length", func(t *testing.T) {
		request, err := http.NewRequest(http.MethodPost, n.URL+"/oauth/token", struct{ *strings.Reader }{strings.NewReader(huge)})
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", kit.FormMedia)
		response, err := kit.HTTPClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // only its status counts
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got status %d, want 413", response.StatusCode)
		}
	})
}

// testErrorCharacters tests that for any request, error and error_description contain only
// %x20-21 / %x23-5B / %x5D-7E (RFC 6749 §5.2).
func testErrorCharacters(t *testing.T, n *kit.Server) {
	random := rand.New(rand.NewPCG(6749, 52)) //nolint:gosec // the same numbers in each run
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
				fields = kit.WithField(fields, name, word())
			}
		}
		a := n.Form("/oauth/token", fields...)
		if a.Status < 400 || a.Status > 499 {
			t.Fatalf("round %d: %q: got %d %s, want 4xx", i, fields, a.Status, a.Body)
		}
		for _, name := range []string{"error", "error_description"} {
			if text := a.Field(name); text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
				t.Fatalf("round %d: %q: got %s %q", i, fields, name, text)
			}
		}
		a.MustNotLeak(t)
	}
}

// testHostileBytes sends NUL, invalid UTF-8 and SQL in places where a database could fail.
func testHostileBytes(t *testing.T, n *kit.Server) {
	hostile := map[string]string{
		"NUL": "\x00", "NUL behind": "jane\x00", "invalid": "\xff\xfe\xfd", "cut": "jane\xc3", "overlong": "\xc0\x80", "surrogate": "\xed\xa0\x80",
		"escape": "\x1b[31m", "DEL": "\x7f", "C1": "\u0085",
	}
	for what, value := range hostile {
		for name, want := range map[string]map[string]any{
			"username": kit.MalformedName, "client_id": kit.MalformedName, "scope": kit.MalformedScope, "client_secret": kit.InvalidClient,
			"grant_type": kit.UnsupportedGrant,
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				n.Form("/oauth/token", kit.WithField(plainGrant(), name, value)...).MustRefuse(t, 400, want)
			})
		}
		t.Run("refresh_token "+what, func(t *testing.T) {
			n.Refresh("lkr_"+value+".1."+value+".c.d").MustRefuse(t, 400, kit.InvalidRefreshToken)
		})
		t.Run("password "+what, func(t *testing.T) {
			// The client accepts only codes, so that no hash is computed.
			n.Form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "nobody "+fmt.Sprintf("%x", value), "password", value).
				MustRefuse(t, 400, kit.WrongCredentials)
		})
	}
	for _, name := range []string{"'; DROP TABLE logins; --", "%", "_____", `\`, "\uFFFD", "\uFFFF", "\U0010FFFF", "\u202Eenaj", strings.Repeat("ﷺ", 170)} {
		t.Run(fmt.Sprintf("username %+q", name), func(t *testing.T) {
			n.Form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", name, "password", "x").MustRefuse(t, 400, kit.WrongCredentials)
		})
	}
}

// testExactPasswords tests that passwords are compared exactly.
func testExactPasswords(t *testing.T, n *kit.Server) {
	for _, p := range exactPasswords {
		t.Run(p.user, func(t *testing.T) {
			for _, wrong := range p.wrong {
				n.SignIn(p.user, wrong).MustRefuse(t, 400, kit.WrongCredentials)
			}
			n.SignIn(p.user, p.right).AccessToken(t)
		})
	}
}

// testTokenAnswer tests the members and the headers of an answer with a token.
func testTokenAnswer(t *testing.T, n *kit.Server) {
	a := n.SignIn("plain", kit.Password)
	body := a.JSON(t)
	expires, ok := body["expires_in"].(float64)
	if !ok || expires > 3600 || expires < 3590 {
		t.Errorf("got expires_in %v, want about 3600", body["expires_in"])
	}
	for _, name := range []string{"access_token", "refresh_token", "expires_in"} {
		if body[name] == nil || body[name] == "" {
			t.Errorf("got no %s in %s", name, a.Body)
		}
		delete(body, name)
	}
	if diff := cmp.Diff(map[string]any{"token_type": "bearer", "scope": "MeAdmin Shopper"}, body); diff != "" {
		t.Errorf("further members (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json;charset=UTF-8", "Cache-Control": "no-store", "Pragma": "no-cache", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("header %s: got %q, want %q", name, got, want)
		}
	}
}

// testRequestedScope tests the scope of the answer, also for the form in which the vendor's SDK
// sends no scope.
func testRequestedScope(t *testing.T, n *kit.Server) {
	for requested, want := range map[string]string{
		"":                           "MeAdmin Shopper", // all roles, and the answer names them
		"MeAdmin Shopper":            "",                // the answer may omit the requested scope
		"Shopper  MeAdmin":           "",
		"Shopper":                    "",
		"Shopper Shopper":            "",
		"undefined Shopper":          "Shopper",
		"FullAccess Shopper MeAdmin": "MeAdmin Shopper",
	} {
		t.Run(requested, func(t *testing.T) {
			a := n.SignIn("plain", kit.Password, "scope", requested)
			a.AccessToken(t)
			if got := a.Field("scope"); got != want {
				t.Errorf("got the scope %q, want %q", got, want)
			}
		})
	}
	for _, requested := range []string{"undefined", "FullAccess", "shopper"} {
		n.SignIn("plain", kit.Password, "scope", requested).MustRefuse(t, 400, kit.NoRoleFits)
	}
}

// testAlikeRefusals tests that the answer does not show why a sign-in failed.
func testAlikeRefusals(t *testing.T, n *kit.Server, spent, lapsed string) {
	for range 10 {
		n.Form("/oauth/token", "grant_type", "password", "client_id", "codes-only", "username", "barred", "password", "wrong")
	}
	wrong := n.SignIn("plain", "wrong")
	wrong.MustRefuse(t, 400, kit.WrongCredentials)
	for what, other := range map[string]kit.Response{
		"unknown user":            n.SignIn("nobody", kit.Password),
		"disabled user":           n.SignIn("gone", kit.Password),
		"user of a closed buyer":  n.SignIn("carl", kit.Password),
		"user without a password": n.SignIn("johnny", kit.Password),
		"user of another kind":    n.SignIn("ada", kit.Password),
		"locked user":             n.SignIn("barred", kit.Password),
		"used code":               n.SignIn("spent", spent),
		"expired code":            n.SignIn("lapsed", lapsed),
		"code of another":         n.SignIn("plain", lapsed),
	} {
		t.Run(what, func(t *testing.T) { wrong.MustEqual(t, other) })
	}
}
