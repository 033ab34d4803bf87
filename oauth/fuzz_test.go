package oauth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzTokenEndpoint sends forms to the whole server with a store in memory. The forms do not
// contain the right password. So every answer must be a refusal as in RFC 6749 §5.2 that must
// not be cached.
func FuzzTokenEndpoint(f *testing.F) {
	for _, seed := range []string{
		"grant_type=password&client_id=shop&username=jane&password=wrong", "grant_type=refresh_token&client_id=shop&refresh_token=x.y.z",
		"grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id=shop&subject_token=a&subject_token_type=urn:ietf:params:oauth:token-type:access_token",
		"grant_type=urn:latchkey:params:oauth:grant-type:account-member&client_id=shop&username=jane&password=x", "grant_type=client_credentials&client_id=nobody&client_secret=x",
		"grant_type=password&grant_type=password", "grant_type=implicit", "client_assertion=a&client_assertion_type=b&grant_type=password",
	} {
		f.Add(seed, "")
	}
	f.Add("grant_type=password", "Basic "+base64.StdEncoding.EncodeToString([]byte("shop:")))
	f.Add("grant_type=password&client_id=shop", "Bearer x")
	w := newFixture(f)
	mux := http.NewServeMux()
	w.endpoints.Mount(mux)
	f.Fuzz(func(t *testing.T, body, authorization string) {
		if strings.Contains(body, "right") || strings.Contains(body, "%") && strings.Contains(strings.ToLower(body), "%72") {
			return // the right password
		}
		r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		var refusal struct {
			Error string `json:"error"`
			Token string `json:"access_token"`
		}
		err := json.Unmarshal(rec.Body.Bytes(), &refusal)
		switch {
		case err != nil, refusal.Error == "", refusal.Token != "":
			t.Errorf("%q (%s): got %d %s, want a refusal", body, authorization, rec.Code, rec.Body)
		case rec.Code < 400 || rec.Code > 499:
			t.Errorf("%q (%s): got status %d, want 4xx", body, authorization, rec.Code)
		case rec.Header().Get("Cache-Control") != "no-store":
			t.Errorf("%q (%s): got no Cache-Control: no-store", body, authorization)
		case (rec.Code == http.StatusUnauthorized) != (rec.Header().Get("WWW-Authenticate") != "") && authorization != "":
			t.Errorf("%q (%s): got %d with the challenge %q", body, authorization, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
	})
}
