package accounts

import (
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// TestSignUpLimit tests that two servers share the limit of sign-ups, and that it does not
// limit sign-ins.
func TestSignUpLimit(t *testing.T) {
	t.Parallel()
	settings := []string{kit.LongRequestTimeout, "LATCHKEY_SIGN_UP_LIMIT=5/1h", "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8"}
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") },
		"postgres": func() string { return gormtest.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := kit.NewElasticPath(t, url(), settings...)
			signUpsLimited(t, m, []*kit.Server{m.Server, m.StartServer(settings...)})
		})
	}
}

func signUpsLimited(t *testing.T, m *kit.ElasticPath, nodes []*kit.Server) {
	m.ChangeSettings(kit.Object{"enable_self_signup": true, "auto_create_account_for_account_members": true})
	const body = `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"self_signup",` +
		`"password_profile_id":"default","password":"self-Horse-1","name":"N","username":"`
	bearer := m.Storefront().AccessToken
	signUp := func(i int, from string) kit.Response {
		name := "new" + strconv.Itoa(i)
		return nodes[i%2].Do(http.MethodPost, kit.AccountTokensPath, "application/json", body+name+`","email":"`+name+`@example.com"}}`,
			"Authorization", "Bearer "+bearer, "X-Forwarded-For", from)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	counts := map[int]int{}
	for i := range 20 {
		group.Go(func() {
			got := signUp(i, "2001:db8::"+strconv.Itoa(i))
			mu.Lock()
			defer mu.Unlock()
			counts[got.Status]++
			if got.Status != http.StatusCreated {
				kit.MustRefuseV2(t, "sign-up", got, http.StatusTooManyRequests, "Too many requests. Try again later.")
				if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 720 {
					t.Errorf("got Retry-After %q", got.Header.Get("Retry-After"))
				}
			}
		})
	}
	group.Wait()
	if counts[http.StatusCreated] != 5 || counts[http.StatusTooManyRequests] != 15 {
		t.Errorf("got the answers %v, want five users", counts)
	}
	if n := m.QueryOne("SELECT count(*) FROM users WHERE name = 'N'"); n != "5" {
		t.Errorf("got %s users, want 5", n)
	}
	if got := signUp(100, "2001:db8:0:1::1"); got.Status != http.StatusCreated {
		t.Errorf("from elsewhere: got %d %s, want 201", got.Status, got.Body)
	}
	m.Storefront().Send(t, http.StatusCreated, http.MethodPost, kit.AccountTokensPath, kit.ByPassword("new100", "self-Horse-1"))
	m.Clock.Advance(13 * time.Minute)
	if got := signUp(101, "2001:db8::1"); got.Status != http.StatusCreated {
		t.Errorf("later: got %d %s, want 201", got.Status, got.Body)
	}
}
