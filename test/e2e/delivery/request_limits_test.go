package delivery

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

const tooManyRequests = `{"Errors":[{"ErrorCode":"TooManyRequests","Message":"Too many requests. Try again later.","Data":null}]}`

// limitsOf returns the settings of a server with small limits. Only the named limit can be
// reached.
func limitsOf(name, rate string) []string {
	settings := []string{"LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8"}
	for _, other := range []string{"RECIPIENT", "CLIENT", "ADDRESS"} {
		value := "10000/1h"
		if other == name {
			value = rate
		}
		settings = append(settings, "LATCHKEY_OTP_LIMIT_"+other+"="+value)
	}
	return settings
}

// tries sends n requests at once to two servers and counts the answers.
func tries(t *testing.T, nodes []*kit.Server, n int, body func(i int) (username, from string)) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for i := range n {
		group.Go(func() {
			username, from := body(i)
			a := nodes[i%len(nodes)].Do(http.MethodPost, "/v1/password/onetimepassword", "application/json",
				`{"ClientID":"shop","Username":"`+username+`"}`, "X-Forwarded-For", "203.0.113.1, "+from)
			mu.Lock()
			defer mu.Unlock()
			counts[a.Status]++
			if a.Status == http.StatusTooManyRequests {
				checkTooMany(t, a)
			}
		})
	}
	group.Wait()
	return counts
}

func checkTooMany(t *testing.T, a kit.Response) {
	t.Helper()
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.Body != tooManyRequests || err != nil || seconds < 1 || seconds > 3600 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got 429 with %v %s", a.Header, a.Body)
	}
}

// TestSendLimits tests that two servers share the limits of requests for codes.
func TestSendLimits(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		for _, test := range []struct {
			limit string
			body  func(i int) (username, from string)
		}{
			{"RECIPIENT", func(i int) (string, string) { return "jane", "192.0.2." + strconv.Itoa(i) }},
			{"RECIPIENT", func(i int) (string, string) { return "nobody", "192.0.2." + strconv.Itoa(i) }},
			{"ADDRESS", func(i int) (string, string) { return "user" + strconv.Itoa(i), "192.0.2.200" }},
			{"ADDRESS", func(i int) (string, string) { return "user" + strconv.Itoa(i), "2001:db8::" + strconv.Itoa(i) }},
			{"CLIENT", func(i int) (string, string) { return "user" + strconv.Itoa(i), "198.51.100." + strconv.Itoa(i) }},
		} {
			settings := limitsOf(test.limit, "5/1h")
			nodes := []*kit.Server{w.Serve(settings...), w.Serve(settings...)}
			if got := tries(t, nodes, 40, test.body); got[http.StatusNoContent] != 5 || got[http.StatusTooManyRequests] != 35 {
				t.Errorf("%s: got the answers %v, want 5 times 204 and 35 times 429", test.limit, got)
			}
			for _, n := range nodes {
				n.Stop()
			}
			w.Clock.Advance(24 * time.Hour) // the budgets of the next limit are unused
		}
		if !strings.Contains(w.Log.String(), `"audit":"code.limited","outcome":"recipient"`) {
			t.Error("got no audit event of the limit")
		}
	})
}

// TestForgedAddress tests that without a trusted proxy, X-Forwarded-For does not change the
// address that is limited.
func TestForgedAddress(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		settings := append(limitsOf("ADDRESS", "5/1h"), "LATCHKEY_TRUSTED_PROXIES=")
		got := tries(t, []*kit.Server{w.Serve(settings...)}, 20, func(i int) (string, string) {
			return "user" + strconv.Itoa(i), "192.0.2." + strconv.Itoa(i)
		})
		if got[http.StatusNoContent] != 5 || got[http.StatusTooManyRequests] != 15 {
			t.Errorf("got answers %v, want 5 times 204 and 15 times 429", got)
		}
	})
}
