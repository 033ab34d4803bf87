package accounts

import (
	"net/http"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// contactSender is a webhook for messages about changed addresses.
func contactSender(url string) string {
	return `MessageSenders: [{ID: contacts, Name: Contacts, MessageTypes: [ForgottenPassword], FurtherMessageTypes: [ContactChanged], URL: "` + url +
		`/{messagetype}", SharedKey: ` + kit.SharedKey + `, AllowAllBuyers: true}]`
}

// TestFormerAddressIsNotified tests that the former address is notified when the address of a
// user changes, whoever changed it. The notice survives an outage of the receiver and a change
// of the username. No code is sent to the former address afterwards.
func TestFormerAddressIsNotified(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.Apply(contactSender(a.Inbox.URL))
		a.AddUsers("fa1")
		token := kit.MustIssue(t, "password", a.Server.SignIn("fa1", kit.Password)).Field("access_token")
		a.Inbox.Status.Store(http.StatusServiceUnavailable)
		for _, change := range []string{`{"Email":"new@people.example","Phone":"+49 1"}`, `{"Username":"fa1-renamed"}`} {
			if got := a.Server.CallV1(token, http.MethodPatch, "/v1/me", change); got.Status != http.StatusOK {
				t.Fatalf("%s: got %d %s, want 200", change, got.Status, got.Body)
			}
		}
		kit.Eventually(t, "it was tried in vain", func() bool {
			return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0 AND type = 'ContactChanged'") == "1"
		})
		a.Server.Stop()
		a.Inbox.Status.Store(http.StatusOK)
		a.Clock.Advance(2 * time.Minute)
		n := a.StartServer()
		notices := a.AwaitMessages()
		if len(notices) != 1 || notices[0].MessageType != "ContactChanged" || notices[0].Path != "/contactchanged" ||
			notices[0].Recipient.Email != "fa1@people.example" || notices[0].UserToken != "" || notices[0].EventBody.OneTimePassword != "" {
			t.Fatalf("got the notices %+v", notices)
		}
		o := a.NewAdmin(n)
		for _, change := range []string{
			`{"Phone":"+49 2"}`,                  // the unchanged address is notified
			`{"Email":"newer@people.example"}`,   // changed by an administrator
			`{"FirstName":"Jane"}`,               // no address changes
			`{"Email":"Newer@people.example"}`,   // the same mailbox, so no notice
			`{"Password":"another-Horse-8-bat"}`, // no address changes
		} {
			if got := o.Do(http.MethodPatch, "/v1/buyers/acme/users/fa1", change); got.Status != http.StatusOK {
				t.Fatalf("%s: got %d %s, want 200", change, got.Status, got.Body)
			}
		}
		var former []string
		for _, m := range a.AwaitMessages() {
			former = append(former, m.MessageType+" "+m.Recipient.Email)
		}
		if len(former) != 2 || former[0] != "ContactChanged new@people.example" || former[1] != former[0] {
			t.Errorf("got the notices %q", former)
		}
	})
}

// formerAddressNotified tests the same in the other dialect, whose events contain the former
// address.
func formerAddressNotified(t *testing.T, m *kit.ElasticPath) {
	const event = "user-authentication-info.contact-changed"
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	integration := m.Receiver.Integration("Contacts")
	integration["observes"] = []string{event}
	id := m.Admin().Send(t, 201, http.MethodPost, "/v2/integrations", integration).Text("data", "id")
	defer func() { m.Admin().Send(t, 200, http.MethodDelete, "/v2/integrations/"+id, nil) }()
	p := m.AddShopper("moving", m.AddAccount("Moving"))
	member := m.Storefront().WithAccountToken(m.ResetPasswordTokens(p).Text("data", 0, "token"))
	member.Send(t, 200, http.MethodPut, userPath(p), kit.Object{"name": "Moved"})
	member.Send(t, 200, http.MethodPut, userPath(p), kit.Object{"email": "moved@example.com"})
	if e := m.Receiver.Next(t); e.TriggeredBy != event || e.Payload.User.Email != "moving@example.com" || e.Payload.Code != "" || e.Payload.Login.Username != p.Username {
		t.Errorf("got the event %s", e.Body)
	}
	m.Admin().Send(t, 200, http.MethodPut, userPath(p), kit.Object{"email": "again@example.com"})
	if e := m.Receiver.Next(t); e.Payload.User.Email != "moved@example.com" {
		t.Errorf("got the event %s", e.Body)
	}
	m.AwaitMessages()
	if n := len(m.Receiver.Events); n != 0 {
		t.Errorf("got %d further events, want none", n)
	}
}
