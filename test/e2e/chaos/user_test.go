package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"latchkey/test/e2e/kit"
)

const (
	// clientTimeout is how long users wait for an answer before they repeat a request.
	clientTimeout = 4 * time.Second
	// repeatFor is how long a refresh is repeated, and how late a replaced token is sent again.
	// It is much shorter than the grace period of 60 seconds.
	repeatFor = 40 * time.Second
	// messageTimeout is how long a user waits for a message before a new request.
	messageTimeout = 40 * time.Second
)

var client = &http.Client{Timeout: clientTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: kit.UnusedConnection}}

// answer is a response. The status is 0 if there was none, so that it is unknown whether the
// request took effect.
type answer struct {
	status int
	body   string
}

func (a answer) definite() bool {
	return a.status == http.StatusOK || a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized
}

// refusal is a code or refresh token that the server did not accept.
type refusal struct {
	trace string // correlation ID of the request for the code
	at    time.Time
	body  string
}

// user requests codes, redeems them and refreshes the session, one after the other.
type user struct {
	name, clientID string
	random         *rand.Rand
	replicas       []*replica
	receiver       *receiver

	requests  int
	accepted  []string       // correlation IDs of the requests that were answered with 204
	successes map[string]int // numbers of redemptions that were answered with tokens, by correlation ID
	refused   []refusal      // refused codes
	ended     []string       // answers that ended a session
	token     string         // current refresh token
	refreshes int
}

// run signs in and refreshes until ctx ends.
func (u *user) run(ctx context.Context) {
	for ctx.Err() == nil {
		trace := u.request(ctx)
		if u.random.IntN(4) == 0 {
			u.pause(100 * time.Millisecond)
			if second := u.request(ctx); second != "" {
				trace = second
			}
		}
		if code := u.awaitCode(ctx, trace); code != "" {
			u.redeem(ctx, trace, code)
		}
		for range u.random.IntN(4) {
			u.pause(300 * time.Millisecond)
			u.refresh(ctx)
		}
		u.pause(300 * time.Millisecond)
	}
}

func (u *user) pause(longest time.Duration) {
	time.Sleep(time.Duration(u.random.Int64N(int64(longest))))
}

func (u *user) anyReplica() string { return *u.replicas[u.random.IntN(len(u.replicas))].url.Load() }

// request requests a code until a replica accepts, and returns the correlation ID. Each try has
// another ID. It returns "" if ctx ends first.
func (u *user) request(ctx context.Context) string {
	for ctx.Err() == nil {
		u.requests++
		trace := fmt.Sprintf("%s_%d", u.name, u.requests)
		body, err := json.Marshal(map[string]string{"ClientID": u.clientID, "Username": u.name})
		if err != nil {
			return ""
		}
		if post(u.anyReplica()+"/v1/password/onetimepassword", "application/json", string(body), trace).status == http.StatusNoContent {
			u.accepted = append(u.accepted, trace)
			return trace
		}
		u.pause(200 * time.Millisecond)
	}
	return ""
}

// awaitCode waits for the message of a request.
func (u *user) awaitCode(ctx context.Context, trace string) string {
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < messageTimeout; time.Sleep(20 * time.Millisecond) {
		if m, ok := u.receiver.arrived(trace); ok {
			return m.code
		}
	}
	return ""
}

// redeem presents a code until it is accepted or refused, sometimes at two replicas at once.
func (u *user) redeem(ctx context.Context, trace, code string) {
	fields := append(kit.ClientFields(u.clientID), "grant_type", "password", "username", u.name, "password", code)
	for began := time.Now(); time.Since(began) < repeatFor; u.pause(200 * time.Millisecond) {
		replicas := []string{u.anyReplica()}
		if u.random.IntN(4) == 0 {
			replicas = append(replicas, u.anyReplica())
		}
		done := false
		for _, got := range u.everywhere(replicas, fields) {
			if got.status == http.StatusOK {
				u.successes[trace]++
				u.token = refreshToken(got)
			}
			if got.definite() && got.status != http.StatusOK {
				u.refused = append(u.refused, refusal{trace, time.Now(), got.body})
			}
			done = done || got.definite()
		}
		if done || ctx.Err() != nil {
			return
		}
	}
}

// everywhere sends a form to the token endpoints of several replicas at once.
func (u *user) everywhere(replicas, fields []string) []answer {
	answers := make([]answer, len(replicas))
	var all sync.WaitGroup
	for i, url := range replicas {
		all.Go(func() { answers[i] = post(url+"/oauth/token", kit.FormMedia, kit.EncodeForm(fields...), "") })
	}
	all.Wait()
	return answers
}

// refresh presents the refresh token until it is accepted or refused. Sometimes it presents the
// token at two replicas at once, or presents the replaced token again.
func (u *user) refresh(ctx context.Context) {
	if u.token == "" {
		return
	}
	old := u.token
	fields := append(kit.ClientFields(u.clientID), "grant_type", "refresh_token", "refresh_token", old)
	began := time.Now()
	for u.token == old && time.Since(began) < repeatFor && ctx.Err() == nil {
		replicas := []string{u.anyReplica()}
		if u.random.IntN(4) == 0 {
			replicas = append(replicas, u.anyReplica())
		}
		if u.keep(began, u.everywhere(replicas, fields)) && u.random.IntN(4) == 0 {
			u.keep(began, u.everywhere(replicas[:1], fields))
		}
		u.pause(200 * time.Millisecond)
	}
	if u.token == old { // the grace period of a token whose answers were lost may end
		u.token = ""
	}
}

// keep stores the refresh token of the answers, and reports whether there is one. A refusal
// within the grace period means that the session ended too early.
func (u *user) keep(began time.Time, answers []answer) (kept bool) {
	for _, got := range answers {
		switch {
		case got.status == http.StatusOK:
			u.token, kept = refreshToken(got), true
			u.refreshes++
		case got.definite() && time.Since(began) < repeatFor+clientTimeout:
			u.ended = append(u.ended, fmt.Sprintf("%s at %s: %d %s", u.name, time.Now().Format(time.StampMilli), got.status, got.body))
		}
	}
	return kept
}

// post sends a request with a correlation ID, unless the ID is "".
func post(url, media, body, trace string) answer {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return answer{}
	}
	request.Header.Set("Content-Type", media)
	if trace != "" {
		request.Header.Set("X-Request-Id", trace)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}
	}
	return answer{response.StatusCode, string(text)}
}

func refreshToken(a answer) string {
	return kit.Response{Status: a.status, Body: a.body}.Field("refresh_token")
}
