package signin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestUnicode tests that usernames, codes and passwords are accepted as keyboards and mail
// programs write them, and not as attackers do.
func TestUnicode(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true}`)
		m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"shop","AppName":"Shop","Active":true,"AccessTokenDuration":10,"AllowAnyBuyer":true}`)
		m.Do(t, 201, "POST", "/v1/messagesenders", map[string]any{
			"ID": "sms", "Name": "SMS", "MessageTypes": []string{"OneTimePassword"}, "URL": m.SenderInbox.URL, "SharedKey": kit.SenderKey,
		})
		m.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sms","BuyerID":"acme"}`)
		t.Run("codes", func(t *testing.T) { typedCodes(m, t) })
		t.Run("passwords", func(t *testing.T) { typedPasswords(m, t) })
		t.Run("invisible characters in names", func(t *testing.T) { invisibleNames(m, t) })
		t.Run("search", func(t *testing.T) { searchIgnoresCase(m, t) })
	})
}

func typedCodes(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"tia","Username":"tia","Email":"tia@example.com","Active":true}`)
	for name, typed := range map[string]func(code string) string{
		"full width": func(code string) string {
			return strings.Map(func(r rune) rune { return r + 0xFEE0 }, code)
		},
		"zero-width spaces": func(code string) string { return "\ufeff" + code[:3] + "\u200b" + code[3:] + "\u2060" },
		"soft hyphens":      func(code string) string { return code[:4] + "\u00ad" + code[4:] },
		"bidi controls":     func(code string) string { return "\u2066" + code + "\u2069" },
		"combining marks":   func(code string) string { return code[:2] + "\u0301" + code[2:] },
	} {
		m.DoAs(t, "", 204, "POST", "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"tia"}`)
		code := m.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey).EventBody.OneTimePassword
		if got := m.SignIn(m.First, "shop", "tia", typed(code)); got.Status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", name, got.Status, got.Body)
		}
		if got := m.SignIn(m.Second, "shop", "tia", code); got.Status != http.StatusBadRequest {
			t.Errorf("%s: the second use of the code: got %d %s, want 400", name, got.Status, got.Body)
		}
	}
}

func typedPasswords(m *kit.OrderCloud, t *testing.T) {
	forms := []string{"Caf\u00e9 \ufb01n \uff17", "Cafe\u0301 \ufb01n \uff17", "Caf\u00e9 fin 7", "Cafe\u0301 fin 7"} // NFC, NFD, NFKC, NFKD
	for i, set := range forms {
		id := "una" + string(rune('0'+i))
		m.Do(t, 201, "POST", "/v1/buyers/acme/users", map[string]any{"ID": id, "Username": id, "Password": set, "Active": true})
		for _, typed := range forms {
			if got := m.SignIn(m.First, "shop", id, typed); got.Status != http.StatusOK {
				t.Errorf("set as %+q, typed as %+q: got %d %s, want 200", set, typed, got.Status, got.Body)
			}
		}
		kit.MustRefuse(t, "without the accent", m.SignIn(m.First, "shop", id, "Cafe fin 7"), kit.WrongCredentialsBody)
	}
}

func invisibleNames(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"uri","Username":"uri","Email":"uri@example.com","Active":true}`)
	for _, name := range []string{"uri\u200b", "\ufeffuri", "u\u00adri", "\u202euri", "uri\u2069", "u\u034fri", "uri\u3164", "uri\ufe0f", "uri\u200d", "uri\u061c"} {
		for _, body := range []map[string]any{{"Username": name}, {"Email": name + "@example.com"}} {
			if got := m.Send(m.First, m.AdminToken, "PATCH", "/v1/buyers/acme/users/uri", body); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invisible") {
				t.Errorf("PATCH %+q: got %d %s, want 400", body, got.Status, got.Body)
			}
		}
		got := m.Send(m.First, m.AdminToken, "POST", "/v1/adminusers", map[string]any{"Username": name})
		if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "invisible") {
			t.Errorf("POST %+q: got %d %s, want 400", name, got.Status, got.Body)
		}
	}
	m.Do(t, 201, "POST", "/v1/buyers/acme/users", map[string]any{"Username": "\u5f20 \u0645\u062d\u0645\u062f J\u00fcrgen"})
}

func searchIgnoresCase(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"vera","Username":"vera","FirstName":"ВЕРА","LastName":"Müller","Active":true}`)
	for _, search := range []string{"müller", "MÜLLER", "вера", "Вера", "MÜL"} {
		got := m.Do(t, 200, "GET", "/v1/buyers/acme/users?searchOn=FirstName,LastName&search="+url.QueryEscape(search), nil)
		var found struct{ Items []struct{ ID string } }
		if err := json.Unmarshal([]byte(got.Body), &found); err != nil || len(found.Items) != 1 || found.Items[0].ID != "vera" {
			t.Errorf("search %s: got %s", search, got.Body)
		}
	}
}

// TestReceiverWithRetryAfter tests a receiver that is being deployed. It answers 404, or 503
// with Retry-After. The message must arrive in the end.
func TestReceiverWithRetryAfter(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		receiver := &retryAfterReceiver{}
		server := httptest.NewServer(receiver)
		t.Cleanup(server.Close)
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true}`)
		m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"tia","Username":"tia","Email":"tia@example.com","Active":true}`)
		m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"shop","AppName":"Shop","Active":true,"AccessTokenDuration":10,"AllowAnyBuyer":true}`)
		m.Do(t, 201, "POST", "/v1/messagesenders", map[string]any{
			"ID": "sms", "Name": "SMS", "MessageTypes": []string{"OneTimePassword"}, "URL": server.URL, "SharedKey": kit.SenderKey,
		})
		m.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sms","BuyerID":"acme"}`)
		steps := m.RequestMessage(t, "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"tia"}`)
		kit.MustBeDelivered(t, "a code", steps)
		calls := receiver.taken()
		if len(calls) != 3 {
			t.Fatalf("got %d calls, want 3", len(calls))
		}
		if pause := calls[2].Sub(calls[1]); pause < 6*time.Second {
			t.Errorf("got the next call after %v, want at least 6s as in Retry-After", pause)
		}
	})
}

type retryAfterReceiver struct {
	mu    sync.Mutex
	calls []time.Time
}

func (p *retryAfterReceiver) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, time.Now())
	switch len(p.calls) {
	case 1:
		rw.WriteHeader(http.StatusNotFound)
	case 2:
		rw.Header().Set("Retry-After", "6")
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (p *retryAfterReceiver) taken() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}
