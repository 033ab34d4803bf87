package load

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestAllocations bounds the objects that a request allocates on SQLite, with the driver
// and the audit event. The bounds are a quarter above what was measured. The garbage
// collector's part of a request follows from them.
func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	if kit.RaceDetector {
		t.Skip("the race detector makes pools forget what they hold; make test runs this test without it")
	}
	const runs = 200
	s := newLoadFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"), 2*runs, nil)
	h := s.listen()
	post := func(c apiCall) kit.Response {
		request, err := c.http(t.Context())
		s.must(err)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, request); w.Code != c.status {
			t.Fatalf("%s: %d %s", c.path, w.Code, w.Body)
		}
		return kit.Response{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	}
	s.storeKnownCode(s.logins)
	next := 0
	login := func() storage.Login { next++; return s.logins[next-1] }
	var token string
	kit.Eventually(t, "the roles of users are learnt", func() bool {
		token = post(s.signInCall(login(), knownCode)).Field("refresh_token")
		return next == 20
	})
	for _, path := range []struct {
		name string
		most float64
		call func()
	}{
		{"client credentials", 225, func() { post(s.machineCall()) }},
		{"one-time password", 560, func() { post(s.signInCall(login(), knownCode)) }},
		{"refresh", 540, func() { token = post(s.refreshCall(token)).Field("refresh_token") }},
	} {
		if got := testing.AllocsPerRun(runs, path.call); got > path.most {
			t.Errorf("%s: %.0f objects, want at most %.0f", path.name, got, path.most)
		}
	}
}
