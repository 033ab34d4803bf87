package delivery

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestFailureReasonsContainNoSecrets points senders at many addresses, as an administrator can.
// The reasons of failures must not reveal the network of the server, wherever they are shown.
func TestFailureReasonsContainNoSecrets(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		secure := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(secure.Close)
		refusing := refusingAddress(t)
		_, port, _ := net.SplitHostPort(refusing)
		webhook := func(at string) string {
			return `"URL":"` + at + `","SharedKey":"k"`
		}
		mail := func(host, port string) string {
			return `"Kind":"smtp","SMTP":{"Host":"` + host + `","Port":` + port + `,"From":"shop@example.com"}`
		}
		lookups := []string{"name not found", "name lookup failed"} // depends on the resolver of this machine
		want := map[string][]string{}
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true}`)
		m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"jane","Username":"jane","Email":"jane@example.com","FirstName":"J","LastName":"D","Active":true}`)
		m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"web","AppName":"Web","Active":true,"AccessTokenDuration":60,"AllowAnyBuyer":true}`)
		for id, sender := range map[string]struct {
			target  string
			reasons []string
		}{
			"hook-private":     {webhook("http://10.77.1.2:8443/in"), []string{"address not allowed"}},
			"hook-metadata":    {webhook("http://169.254.169.254/latest"), []string{"address not allowed"}},
			"hook-refused":     {webhook("http://" + refusing + "/"), []string{"connection refused"}},
			"hook-certificate": {webhook(secure.URL), []string{"TLS certificate not accepted"}},
			"hook-name":        {webhook("http://ledger.invalid/"), lookups},
			"mail-private":     {mail("10.77.1.2", "2525"), []string{"address not allowed"}},
			"mail-refused":     {mail("127.0.0.1", port), []string{"connection refused"}},
			"mail-name":        {mail("relay.invalid", "25"), lookups},
		} {
			want[id] = sender.reasons
			m.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"`+id+`","Name":"`+id+`","AllowAllBuyers":true,"MessageTypes":["OneTimePassword"],`+sender.target+`}`)
		}
		integration := m.Do(t, 201, "POST", "/v2/integrations", kit.Object{"data": kit.Object{
			"type": "integration", "name": "Codes", "enabled": true, "integration_type": "webhook",
			"observes": []string{kit.CodeRequestedEvent}, "configuration": kit.Object{"url": "http://" + refusing + "/notify"},
		}})
		hook := kit.MustJSON(t, "integration", 201, integration).Text("data", "id")
		want[hook] = []string{"connection refused"}

		asked := m.DoAs(t, "", 204, "POST", "/v1/password/onetimepassword", `{"ClientID":"web","Username":"jane"}`)
		timeline := failures(m, t, asked.Header.Get("X-Request-Id"), want)
		shown := map[string]string{
			"timeline":         timeline,
			"audit events":     m.Do(t, 200, "GET", "/v1/auditevents?pageSize=100&Action=message.*", nil).Body,
			"integration logs": m.Do(t, 200, "GET", "/v2/integrations/"+hook+"/logs", nil).Body,
			"message list":     m.Command(t, "message", "list", "--output", "json"),
		}
		for id, reasons := range want {
			said := sendTest(m, t, id)
			shown["sender test "+id] = said
			if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(said, "did not deliver: "+r+" (") }) {
				t.Errorf("sender test %s: got %s, want %q", id, said, reasons)
			}
		}
		mustNameNothing(t, shown, port)
	})
}

// mustNameNothing checks that no text contains a part of an address or of an error of the
// network. port is a port to which the senders connect.
func mustNameNothing(t *testing.T, shown map[string]string, port string) {
	t.Helper()
	id := regexp.MustCompile(`[a-z]+_[0-9a-z]{20,}`) // a random ID may contain such a word
	for where, text := range shown {
		text = id.ReplaceAllString(text, "ID")
		for _, leak := range []string{"10.77.1.2", "127.0.0.", "169.254.", ":" + port, ":8443", ":2525", ".invalid", "dial", "tcp", "lookup ", "x509", "prohibited"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s: got %q in %s", where, leak, text)
			}
		}
	}
}

// refusingAddress returns an address of the loopback interface that refuses connections.
func refusingAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its address is wanted
	return l.Addr().String()
}

// failures waits until the message of each sender has failed once for the request with the
// trace ID, compares the reasons, and returns the timeline.
func failures(m *kit.OrderCloud, t *testing.T, traceID string, want map[string][]string) (timeline string) {
	t.Helper()
	said := map[string]string{}
	kit.Eventually(t, "every sender has failed once", func() bool {
		var found struct {
			Items []struct{ ID string }
		}
		list := m.Do(t, 200, "GET", "/v1/onetimepasswordrequests?TraceID="+url.QueryEscape(traceID), nil)
		if err := json.Unmarshal([]byte(list.Body), &found); err != nil || len(found.Items) != 1 {
			t.Fatalf("got %v, want one request in %s", err, list.Body)
		}
		timeline = m.Do(t, 200, "GET", "/v1/onetimepasswordrequests/"+found.Items[0].ID, nil).Body
		var request struct {
			Timeline []struct {
				MessageID, Detail string
				Attempt           int
			}
		}
		if err := json.Unmarshal([]byte(timeline), &request); err != nil {
			t.Fatal(err)
		}
		for _, step := range request.Timeline {
			if step.Attempt > 0 && step.Detail != "" {
				said[step.MessageID] = step.Detail
			}
		}
		return len(said) == len(want)
	})
	left := slices.Collect(maps.Values(said))
	for id, reasons := range want {
		i := slices.IndexFunc(left, func(r string) bool { return slices.Contains(reasons, r) })
		if i < 0 {
			t.Fatalf("got no message with the reason of %s, %q: %q", id, reasons, left)
		}
		left = slices.Delete(left, i, i+1)
	}
	return timeline
}

// sendTest runs "latchkey sender test", which must fail, and returns its output.
func sendTest(m *kit.OrderCloud, t *testing.T, id string) string {
	t.Helper()
	r := kit.TryCommand(t, append(m.Environ(), "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8"), "sender", "test", id, "--to", "jane@example.com")
	if r.ExitCode == 0 {
		t.Errorf("sender test %s: got a delivery, want a failure", id)
	}
	return strings.ReplaceAll(r.Stdout+r.Stderr, fmt.Sprint("sender ", id), "sender")
}
