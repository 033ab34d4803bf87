package delivery

import (
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestSenderTests sends test messages through /v1. Every server shows what became of them,
// and they are neither requests nor dead letters.
func TestSenderTests(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"good","Name":"Good","MessageTypes":["OneTimePassword"],"URL":"`+m.SenderInbox.URL+`/{messagetype}","SharedKey":"k"}`)
		m.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"bad","Name":"Bad","MessageTypes":["ForgottenPassword"],"URL":"http://`+refusingAddress(t)+`","SharedKey":"k"}`)
		m.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"mail","Name":"Mail","MessageTypes":["OneTimePassword"],"Kind":"smtp","SMTP":{"Host":"127.0.0.1","From":"a@example.com","SiteName":"Hyde & Co"}}`)
		ended := func(sender string, started kit.Response) (message kit.Response) {
			t.Helper()
			kit.Eventually(t, "the test of "+sender+" has ended", func() bool {
				message = m.Do(t, 200, "GET", "/v1/messagesenders/"+sender+"/messages?ID="+started.Field("MessageID"), nil)
				return !strings.Contains(message.Body, `"State":"queued"`)
			})
			return message
		}
		started := m.Do(t, 202, "POST", "/v1/messagesenders/good/test", `{"To":"me@example.com"}`)
		sent := m.SenderInbox.Next(t, "OneTimePassword", "k")
		if sent.Recipient.Email != "me@example.com" || sent.EventBody.OneTimePassword != "TEST" || sent.UserToken != "" {
			t.Errorf("sent %s", sent.Body)
		}
		if got := ended("good", started); !strings.Contains(got.Body, `"RequestID":null`) || !strings.Contains(got.Body, `"State":"delivered","Attempts":1`) {
			t.Errorf("the message is shown as %s", got.Body)
		}
		if got := ended("bad", m.Do(t, 202, "POST", "/v1/messagesenders/bad/test", `{"To":"me@example.com"}`)); !strings.Contains(got.Body, `"MessageType":"ForgottenPassword","State":"dead","Attempts":1,"LastError":"connection refused"`) {
			t.Errorf("the message is shown as %s", got.Body)
		}
		if got := m.Do(t, 200, "GET", "/v1/onetimepasswordrequests", nil); !strings.Contains(got.Body, `"TotalCount":0`) {
			t.Errorf("requests %s", got.Body)
		}
		if got := m.Do(t, 200, "GET", "/v1/status", nil); !strings.Contains(got.Body, `"Name":"dead_letters","State":"ok"`) {
			t.Errorf("status %s", got.Body)
		}
		for range 19 {
			m.Do(t, 202, "POST", "/v1/messagesenders/good/test", `{"To":"me@example.com"}`)
		}
		if got := m.Send(m.First, m.AdminToken, "POST", "/v1/messagesenders/good/test", `{"To":"me@example.com"}`); got.Status != http.StatusTooManyRequests {
			t.Errorf("test 21 of an hour: %d %s", got.Status, got.Body)
		}
		previews := m.Do(t, 200, "GET", "/v1/messagesenders/mail/previews?messageType=OneTimePassword", nil).Body
		for _, want := range []string{`"Locale":"","Subject":"`, `"Locale":"de","Subject":"`, "Hyde \\u0026 Co", "Hyde \\u0026amp; Co", "TEST"} {
			if !strings.Contains(previews, want) {
				t.Errorf("previews without %s: %s", want, previews)
			}
		}
	})
}
