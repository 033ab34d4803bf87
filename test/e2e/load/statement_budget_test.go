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

// TestBudgets tests that requests execute a fixed list of statements when the caches are filled.
// Each database has its own list. The number of commits is the same on both.
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

// budget is a request and its statements. The first word of a statement stands for it.
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
			t.Fatalf("%s: got %d %s, error %v, want %d", c.path, response.StatusCode, body, err, c.status)
		}
		return kit.Response{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	}
	for _, b := range s.budgets(post) {
		// The store caches rows only while its listener is connected. So client credentials,
		// which need no statement then, are requested first.
		for deadline := time.Now().Add(30 * time.Second); ; {
			post(s.machineCall())
			seen.take()
			if post(s.machineCall()); len(seen.take()) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("client credentials after 30s: got statements, want none")
			}
		}
		post(b.request)
		got := seen.take()
		if diff := cmp.Diff(want(&b), got); diff != "" {
			t.Errorf("%s: statements (-want +got):\n%s", b.name, diff)
		}
		if n := commits(got); n != b.commits {
			t.Errorf("%s: got %d commits, want %d", b.name, n, b.commits)
		}
	}
}

// budgets prepares a request of each kind, and returns them with their statements.
func (s *loadFixture) budgets(post func(apiCall) kit.Response) []budget {
	s.storeKnownCode(s.logins[:2])
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	s.must(err)
	hash, err := hasher.Hash(s.tb.Context(), kit.Password)
	s.must(err)
	s.must(s.app.Store.SetPassword(s.tb.Context(), s.logins[2].ID, hash, time.Now(), false))
	signedIn := post(s.signInCall(s.logins[0], knownCode)) // fills the caches too
	post(s.codeCall(s.logins[3]))
	// The users of the measured sign-ins have used the address before, except the last user.
	post(s.signInCall(s.logins[1], knownCode))
	post(s.signInCall(s.logins[2], kit.Password))
	s.storeKnownCode(s.logins[1:2])
	s.storeKnownCode(s.logins[4:])

	wrong := s.signInCall(s.logins[3], "wrong")
	wrong.status = http.StatusBadRequest
	wrongCode := failure("wrong code", s.signInCall(s.logins[3], "00000000"), "UPDATE").triedAsCode()
	wrongCode.request.status = http.StatusBadRequest
	wrongCodeUnknownUser := failure("wrong code, unknown user", wrongCode.request, "INSERT").triedAsCode()
	wrongCodeUnknownUser.request.body = strings.ReplaceAll(wrongCode.request.body, s.logins[3].Username, "nobody")
	unknownUser := wrong
	unknownUser.body = strings.ReplaceAll(wrong.body, s.logins[3].Username, "nobody")
	signIn := budget{
		postgres: []string{"SELECT", "WITH"},
		sqlite:   []string{"SELECT", "BEGIN", "UPDATE", "UPDATE", "INSERT", "COMMIT"},
		commits:  1,
	}
	byCode, byPassword := signIn, signIn
	byCode.postgres, byCode.sqlite = []string{"WITH"}, []string{"BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"}
	byCode.name, byCode.request = "one-time password", s.signInCall(s.logins[1], knownCode)
	byPassword.name, byPassword.request = "permanent password", s.signInCall(s.logins[2], kit.Password)
	fromNewAddress := byCode
	fromNewAddress.name, fromNewAddress.request = "one-time password from a new address", s.signInCall(s.logins[4], knownCode)
	fromNewAddress.sqlite = []string{"BEGIN", "SELECT", "UPDATE", "INSERT", "INSERT", "COMMIT"}
	codeRequest := budget{ // also counts for the limit of a recipient
		name: "request for a code", request: s.codeCall(s.logins[3]),
		postgres: []string{"WITH"},
		sqlite:   []string{"BEGIN", "WITH", "INSERT", "COMMIT"},
		commits:  1,
	}
	// The first statement reads the session. The second one uses the session and issues the code.
	// A code is read and redeemed in the same way.
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
		byCode, byPassword, fromNewAddress,
		{name: "refresh", request: s.refreshCall(signedIn.Field("refresh_token")), postgres: []string{"UPDATE"}, sqlite: []string{"BEGIN", "SELECT", "UPDATE", "COMMIT"}, commits: 1},
		codeRequest,
		{name: "introspection", request: s.introspectCall(signedIn.Field("access_token")), postgres: []string{"SELECT"}, sqlite: []string{"SELECT"}},
		failure("wrong password", wrong, "UPDATE"),
		failure("wrong password, unknown user", unknownUser, "INSERT"),
		wrongCode, wrongCodeUnknownUser,
		{name: "sign-in page", request: s.pageCall()},
		silent, exchanged,
	}
}

// failure returns the budget of a failed sign-in. write is the statement that counts the failure.
func failure(name string, request apiCall, write string) budget {
	return budget{
		name: name, request: request, commits: 1,
		postgres: []string{"SELECT", write}, sqlite: []string{"SELECT", "BEGIN", write, "COMMIT"},
	}
}

// triedAsCode returns the budget of a failure whose secret is as long as a code. The secret is
// first tried as a code, in a transaction that writes nothing. The function commits counts that
// transaction too.
func (b budget) triedAsCode() budget {
	b.postgres = append([]string{"WITH"}, b.postgres...)
	b.sqlite = append([]string{"BEGIN", "SELECT", "COMMIT"}, b.sqlite...)
	b.commits++
	return b
}

// commits counts the commits: those of transactions, and those of statements outside of
// transactions that are not a SELECT.
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

// statements records the first words of the statements that a store executes.
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

// take returns the words that were added since the last call.
func (s *statements) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := slices.Clone(s.verbs)
	s.verbs = nil
	return taken
}
