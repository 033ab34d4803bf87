package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// TestBudgets: warm requests take a fixed number of round trips to the database. The
// budgets are those of PostgreSQL, where a statement outside of a transaction commits
// by itself. On SQLite only the commits are compared.
func TestBudgets(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		testBudgets(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"), func(b *budget) []string { return b.sqlite })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		testBudgets(t, gormtest.Postgres(t).Database(t), func(b *budget) []string { return b.postgres })
	})
}

// budget is a request with the statements it may cost, each told by its verb.
type budget struct {
	name     string
	request  apiCall
	postgres []string
	sqlite   []string
	commits  int
}

func testBudgets(t *testing.T, databaseURL string, want func(*budget) []string) {
	var seen statements
	s := newLoadFixture(t, databaseURL, 5, seen.add)
	server := httptest.NewServer(s.listen())
	defer server.Close()
	post := func(c apiCall) kit.Response {
		t.Helper()
		at := c
		at.path = server.URL + c.path
		request, err := at.http(t.Context())
		s.must(err)
		response, err := kit.HTTPClient.Transport.RoundTrip(request) // follows no redirect
		s.must(err)
		defer response.Body.Close() //nolint:errcheck // only read
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != c.status {
			t.Fatalf("%s: %d %s %v, want %d", c.path, response.StatusCode, body, err, c.status)
		}
		return kit.Response{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	}
	for _, b := range s.budgets(post) {
		// What is kept in memory is read first, and kept from the moment on
		// that the listener hears.
		for deadline := time.Now().Add(30 * time.Second); ; {
			post(s.machineCall())
			seen.take()
			if post(s.machineCall()); len(seen.take()) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("client credentials never become warm")
			}
		}
		post(b.request)
		got := seen.take()
		if diff := cmp.Diff(want(&b), got); diff != "" {
			t.Errorf("%s: statements (-want +got):\n%s", b.name, diff)
		}
		if n := commits(got); n != b.commits {
			t.Errorf("%s: %d commits, want %d", b.name, n, b.commits)
		}
	}
}

// budgets prepares a request of each kind. The numbers allowed are those of
// the design: none for client credentials, one for a sign-in with a one-time password, a
// refresh and a request for a code, two for the others.
func (s *loadFixture) budgets(post func(apiCall) kit.Response) []budget {
	s.plant(s.logins[:2])
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	s.must(err)
	hash, err := hasher.Hash(s.tb.Context(), kit.Password)
	s.must(err)
	s.must(s.app.Store.SetPassword(s.tb.Context(), s.logins[2].ID, hash, time.Now(), false))
	began := post(s.signInCall(s.logins[0], plantedCode)) // this also reads all that is kept in memory
	post(s.codeCall(s.logins[3]))
	// What is measured comes from where its login has been, but for one.
	post(s.signInCall(s.logins[1], plantedCode))
	post(s.signInCall(s.logins[2], kit.Password))
	s.plant(s.logins[1:2])
	s.plant(s.logins[4:])

	wrong := s.signInCall(s.logins[3], "wrong")
	wrong.status = http.StatusBadRequest
	wrongCode := failure("wrong code", s.signInCall(s.logins[3], "00000000"), "UPDATE").triedAsCode()
	wrongCode.request.status = http.StatusBadRequest
	wrongCodeOfNobody := failure("wrong code, unknown user", wrongCode.request, "INSERT").triedAsCode()
	wrongCodeOfNobody.request.body = strings.ReplaceAll(wrongCode.request.body, s.logins[3].Username, "nobody")
	nobody := wrong
	nobody.body = strings.ReplaceAll(wrong.body, s.logins[3].Username, "nobody")
	signIn := budget{
		postgres: []string{"SELECT", "WITH"},
		sqlite:   []string{"SELECT", "BEGIN", "UPDATE", "UPDATE", "INSERT", "COMMIT"},
		commits:  1,
	}
	byCode, byPassword := signIn, signIn
	byCode.postgres, byCode.sqlite = []string{"WITH"}, []string{"BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"}
	byCode.name, byCode.request = "one-time password", s.signInCall(s.logins[1], plantedCode)
	byPassword.name, byPassword.request = "permanent password", s.signInCall(s.logins[2], kit.Password)
	fromAnew := byCode
	fromAnew.name, fromAnew.request = "one-time password from a new address", s.signInCall(s.logins[4], plantedCode)
	fromAnew.sqlite = []string{"BEGIN", "SELECT", "UPDATE", "INSERT", "INSERT", "COMMIT"}
	asked := budget{ // with the limit of what is asked for a recipient
		name: "request for a code", request: s.codeCall(s.logins[3]),
		postgres: []string{"WITH"},
		sqlite:   []string{"BEGIN", "WITH", "INSERT", "COMMIT"},
		commits:  1,
	}
	// A session is read, and used in the statement that issues the code. The code is read and
	// redeemed likewise.
	cookie := s.session(&s.logins[0])
	silent := budget{
		name: "silent sign-in", request: s.silentCall(cookie),
		postgres: []string{"SELECT", "WITH"},
		sqlite:   []string{"SELECT", "BEGIN", "UPDATE", "INSERT", "COMMIT"},
		commits:  1,
	}
	exchanged := silent
	exchanged.name, exchanged.request = "authorization code", s.exchangeCall(post(s.silentCall(cookie)).Header.Get("Location"))
	return []budget{
		{name: "client credentials", request: s.machineCall()},
		byCode, byPassword, fromAnew,
		{name: "refresh", request: s.refreshCall(began.Field("refresh_token")), postgres: []string{"UPDATE"}, sqlite: []string{"BEGIN", "SELECT", "UPDATE", "COMMIT"}, commits: 1},
		asked,
		{name: "introspection", request: s.introspectCall(began.Field("access_token")), postgres: []string{"SELECT"}, sqlite: []string{"SELECT"}},
		failure("wrong password", wrong, "UPDATE"),
		failure("wrong password, unknown user", nobody, "INSERT"),
		wrongCode, wrongCodeOfNobody,
		{name: "sign-in page", request: s.pageCall()},
		silent, exchanged,
	}
}

// failure is the budget of a failed sign-in that write counts.
func failure(name string, request apiCall, write string) budget {
	return budget{
		name: name, request: request, commits: 1,
		postgres: []string{"SELECT", write}, sqlite: []string{"SELECT", "BEGIN", write, "COMMIT"},
	}
}

// triedAsCode is the budget of a text as long as a code, which is tried as one first. That
// writes nothing, but commits counts it.
func (b budget) triedAsCode() budget {
	b.postgres = append([]string{"WITH"}, b.postgres...)
	b.sqlite = append([]string{"BEGIN", "SELECT", "COMMIT"}, b.sqlite...)
	b.commits++
	return b
}

// commits counts the durable commits of statements: those of transactions that
// write and those of single writing statements outside of them.
func commits(verbs []string) int {
	n, inside := 0, false
	for _, verb := range verbs {
		switch {
		case verb == "BEGIN":
			inside = true
		case verb == "COMMIT":
			inside = false
			n++
		case !inside && verb != "SELECT":
			n++
		}
	}
	return n
}

// statements keeps the verbs of the statements that a store makes.
type statements struct {
	mu    sync.Mutex
	verbs []string
}

func (s *statements) add(sql string) {
	verb, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verbs = append(s.verbs, verb)
}

// take returns what was added since the last time.
func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := slices.Clone(s.verbs)
	s.verbs = nil
	return taken
}
