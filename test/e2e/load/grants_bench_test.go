package load

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"latchkey/test/e2e/kit"
)

// BenchmarkGrants measures the hot paths through the server's handler, on
// databases that lose nothing. For the whole server see BenchmarkLoad.
func BenchmarkGrants(b *testing.B) {
	for _, database := range []struct {
		name string
		url  func(b *testing.B) string
	}{
		{"sqlite", func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "latchkey.db") }},
		{"postgres", func(b *testing.B) string { return durablePostgres(b).Database(b) }},
	} {
		b.Run(database.name, func(b *testing.B) { benchmarkGrants(b, database.url(b)) })
	}
}

func benchmarkGrants(b *testing.B, databaseURL string) {
	s := newLoadFixture(b, databaseURL, 512, nil)
	h := s.listen()
	post := func(c apiCall) kit.Response {
		request, err := c.http(b.Context())
		s.must(err)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, request); w.Code != c.status {
			b.Fatalf("%s: got %d %s", c.path, w.Code, w.Body)
		}
		return kit.Response{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	}
	s.storeKnownCode(s.logins[:1])
	token := post(s.signInCall(s.logins[0], knownCode)).Field("refresh_token")
	cookies := s.sessions(32)
	for _, path := range []struct {
		name string
		ask  func(i int)
	}{
		{"client_credentials", func(int) { post(s.machineCall()) }},
		{"one-time_password", func(i int) { post(s.signInCall(s.logins[i%len(s.logins)], knownCode)) }},
		{"refresh", func(int) { token = post(s.refreshCall(token)).Field("refresh_token") }},
		{"sign-in_page", func(int) { post(s.pageCall()) }},
		{"silent_sign-in", func(i int) { post(s.silentCall(cookies[i%len(cookies)])) }},
		{"code_request", func(i int) { post(s.codeCall(s.logins[i%len(s.logins)])) }},
	} {
		b.Run(path.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if i%len(s.logins) == 0 {
					b.StopTimer()
					s.storeKnownCode(s.logins)
					b.StartTimer()
				}
				path.ask(i)
			}
		})
	}
}
