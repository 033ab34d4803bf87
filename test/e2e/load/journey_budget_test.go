package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/storage/gormstore/gormtest"
)

// TestJourneyCommits tests that the whole journey of a one-time password (request, issue,
// deliver, redeem) takes at most four durable commits. Audit events, which are stored in
// batches, are not counted.
func TestJourneyCommits(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		testJourneyCommits(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		testJourneyCommits(t, gormtest.Postgres(t).Database(t))
	})
}

// journeySteps are the statements of a journey that commit, by a part of their text that
// no other statement has. The claims come first, because theirs is part of another text.
var journeySteps = []struct{ name, text string }{
	{"claim requests", "UPDATE code_requests SET lease_until"},
	{"claim messages", "UPDATE messages SET lease_until"},
	{"request", "INSERT INTO code_requests"},
	{"issue", "UPDATE code_requests SET ended_at"},
	{"deliver", "INSERT INTO message_attempts"},
	{"redeem", "INSERT INTO families"},
}

func testJourneyCommits(t *testing.T, databaseURL string) {
	var mu sync.Mutex
	var steps []string
	seen := func(sql string) {
		for _, step := range journeySteps {
			if strings.Contains(strings.ReplaceAll(sql, `"`, ""), step.text) {
				mu.Lock()
				steps = append(steps, step.name)
				mu.Unlock()
				return
			}
		}
	}
	s := newLoadFixture(t, databaseURL, 1, seen)
	_, err := s.app.Store.PutSender(t.Context(), storage.Sender{
		ID: "terminal", RealmID: storage.DefaultRealmID, Kind: storage.ConsoleSender, Active: true, AllowAllBuyers: true,
		Types: []storage.MessageType{storage.MessageOneTimePassword},
	})
	s.must(err)
	codes, console := io.Pipe()
	s.app.Console = console
	node := s.run()

	// A journey during which a worker looks for work by itself takes more, so the test waits
	// for one that is not disturbed.
	want := []string{"request", "issue", "deliver", "redeem"}
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		mu.Lock()
		steps = nil
		mu.Unlock()
		node.Post(t, s.codeCall(s.logins[0]))
		var name, code string
		if _, err := fmt.Fscanf(codes, "one-time password for %s %s\n", &name, &code); err != nil {
			t.Fatal(err)
		}
		for delivered := false; !delivered; time.Sleep(time.Millisecond) {
			mu.Lock()
			delivered = strings.Contains(strings.Join(steps, " "), "deliver")
			mu.Unlock()
		}
		node.Post(t, s.signInCall(s.logins[0], code))
		mu.Lock()
		got = steps
		mu.Unlock()
		if cmp.Equal(want, got) {
			return
		}
	}
	t.Errorf("commits of a journey (-want +got):\n%s", cmp.Diff(want, got))
}

// runningServer is a server with its work in the background.
type runningServer struct{ url string }

// Post sends a call, which must get its status.
func (n runningServer) Post(t *testing.T, c apiCall) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", c.media)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != c.status {
		t.Fatalf("%s: got %d %s (%v), want %d", c.path, response.StatusCode, body, err, c.status)
	}
}

// run runs a server with its work in the background until the test ends.
func (s *loadFixture) run() runningServer {
	s.tb.Helper()
	srv, err := server.New(s.app)
	s.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(s.tb.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, nil) }()
	api := httptest.NewServer(srv)
	s.tb.Cleanup(func() {
		api.Close()
		stop()
		if err := <-done; err != nil {
			s.tb.Errorf("server: %v", err)
		}
	})
	return runningServer{api.URL}
}
