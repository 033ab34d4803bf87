package main

import (
	"net/http"
	"testing"
	"time"
)

// contactSender is a webhook that brings news of changed addresses.
func contactSender(url string) string {
	return `MessageSenders: [{ID: contacts, Name: Contacts, MessageTypes: [ForgottenPassword], FurtherMessageTypes: [ContactChanged], URL: "` + url +
		`/{messagetype}", SharedKey: ` + sharedKey + `, AllowAllBuyers: true}]`
}

// TestFormerAddressIsTold: whoever changes a user's address, the former one is
// told. That survives an outage of the receiver, and a new username does not get
// in its way. No code goes to the former address any more.
func TestFormerAddressIsTold(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		a.apply(contactSender(a.inbox.url))
		a.enrol("fa1")
		token := granted(t, "password", a.n.signIn("fa1", janesPassword)).field("access_token")
		a.inbox.answer.Store(http.StatusServiceUnavailable)
		for _, change := range []string{`{"Email":"new@people.example","Phone":"+49 1"}`, `{"Username":"fa1-renamed"}`} {
			if got := a.n.me(token, http.MethodPatch, "/v1/me", change); got.status != http.StatusOK {
				t.Fatalf("%s: %d %s", change, got.status, got.body)
			}
		}
		awaitThat(t, "it was tried in vain", func() bool {
			return a.one("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0 AND type = 'ContactChanged'") == "1"
		})
		a.n.stop()
		a.inbox.answer.Store(http.StatusOK)
		a.clock.advance(2 * time.Minute)
		n := a.another()
		told := a.settled()
		if len(told) != 1 || told[0].MessageType != "ContactChanged" || told[0].path != "/contactchanged" ||
			told[0].Recipient.Email != "fa1@people.example" || told[0].UserToken != "" || told[0].EventBody.OneTimePassword != "" {
			t.Fatalf("told %+v", told)
		}
		o := a.operator(n)
		for _, change := range []string{
			`{"Phone":"+49 2"}`,                  // told at the address that stays
			`{"Email":"newer@people.example"}`,   // by an administrator
			`{"FirstName":"Jane"}`,               // nothing to tell
			`{"Email":"Newer@people.example"}`,   // the same mailbox
			`{"Password":"another-Horse-8-bat"}`, // no address
		} {
			if got := o.do(http.MethodPatch, "/v1/buyers/acme/users/fa1", change); got.status != http.StatusOK {
				t.Fatalf("%s: %d %s", change, got.status, got.body)
			}
		}
		var former []string
		for _, m := range a.settled() {
			former = append(former, m.MessageType+" "+m.Recipient.Email)
		}
		if len(former) != 2 || former[0] != "ContactChanged new@people.example" || former[1] != former[0] {
			t.Errorf("told %q", former)
		}
	})
}

// formerAddressTold is the same in the other dialect, whose events carry the
// former address.
func formerAddressTold(t *testing.T, m *mall) {
	const event = "user-authentication-info.contact-changed"
	m.set(jsonObject{"account_member_self_management": "update_only"})
	integration := m.receiver.integration("Contacts")
	integration["observes"] = []string{event}
	id := m.admin().send(t, 201, http.MethodPost, "/v2/integrations", integration).text("data", "id")
	defer func() { m.admin().send(t, 200, http.MethodDelete, "/v2/integrations/"+id, nil) }()
	p := m.shopper("moving", m.company("Moving"))
	member := m.front().as(m.resetTokens(p).text("data", 0, "token"))
	member.send(t, 200, http.MethodPut, p.userPath(), jsonObject{"name": "Moved"})
	member.send(t, 200, http.MethodPut, p.userPath(), jsonObject{"email": "moved@example.com"})
	if e := m.receiver.next(t); e.TriggeredBy != event || e.Payload.User.Email != "moving@example.com" || e.Payload.Code != "" || e.Payload.Login.Username != p.name {
		t.Errorf("event %s", e.body)
	}
	m.admin().send(t, 200, http.MethodPut, p.userPath(), jsonObject{"email": "again@example.com"})
	if e := m.receiver.next(t); e.Payload.User.Email != "moved@example.com" {
		t.Errorf("event %s", e.body)
	}
	m.settled()
	if n := len(m.receiver.events); n != 0 {
		t.Errorf("%d events more", n)
	}
}
