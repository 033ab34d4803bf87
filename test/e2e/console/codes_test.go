package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey/test/e2e/kit"
)

// refusingReceiver returns the URL of a receiver that answers 410 to all messages. Such messages
// are not retried.
func refusingReceiver(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	t.Cleanup(server.Close)
	return server.URL
}

// sendTo sets the URL of the receiver of all codes.
func (s *site) sendTo(receiver string) {
	s.t.Helper()
	s.Apply(`
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword], URL: "` + receiver + `/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`)
}

// requestCode requests a code for the user, and returns the ID of the HTTP request.
func (s *site) requestCode(username string) string {
	s.t.Helper()
	got := s.Server.RequestCode(username, "")
	id := got.Header.Get("X-Request-Id")
	if got.Status != http.StatusNoContent || id == "" {
		s.t.Fatalf("request for a code: got %d %s with the ID %q, want 204 and an ID", got.Status, got.Body, id)
	}
	return id
}

// await opens a page again and again until its main part has the text.
func (b *browser) await(path, text string) (at page) {
	b.t.Helper()
	kit.Eventually(b.t, path+" shows "+text, func() bool {
		at = b.open(path)
		return strings.Contains(at.text(), text)
	})
	return at
}

// TestDeadMessageIsRetried tests what an administrator does about a code that was not delivered:
// find its request by the ID of the HTTP request, see the reason, correct the message sender, and
// send a new code.
func TestDeadMessageIsRetried(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.sendTo(refusingReceiver(t))
		requestID := s.requestCode("jane")
		b := s.signIn("root")
		at := b.await("/console/home?find="+requestID, "receiver answered 410")
		at.contains(http.StatusOK, "The message could not be delivered", "Given up", "jane", requestID)
		dead := at.url.Path
		b.open("/console/home").contains(http.StatusOK, "Messages of the last day that could not be delivered: 1.")
		b.open("/console/senders").contains(http.StatusOK, "Sink", "receiver answered 410")
		b.open("/console/senders/sink?State=dead").contains(http.StatusOK, "not deliverable", "receiver answered 410")

		at = b.submit(b.open("/console/senders/sink/edit"), "f.URL", s.Inbox.URL+"/{messagetype}", "step", "review")
		at.contains(http.StatusOK, s.Inbox.URL)
		b.submit(at, "step", "confirm").contains(http.StatusOK, "Sink", s.Inbox.URL)

		i := slices.IndexFunc(b.open(dead).links(), func(link string) bool { return strings.HasSuffix(link, "/retry") })
		if i < 0 {
			t.Fatalf("got no link to retry, want one: %s", b.open(dead).text())
		}
		at = b.open(b.open(dead).links()[i]).contains(http.StatusOK, "A new code is made and sent")
		at = b.submit(at, "step", "confirm").contains(http.StatusOK, "A new code is on its way")
		if at.url.Path == dead {
			t.Error("got the page of the first request after the retry, want that of the new one")
		}
		code := s.Inbox.Next(t).EventBody.OneTimePassword
		b.await(at.url.Path, "Accepted by the receiver")
		if strings.Contains(b.open(at.url.Path).body, code) {
			t.Error("got the code on the page, want it hidden")
		}
		if got := s.Server.SignIn("jane", code); got.Status != http.StatusOK {
			t.Errorf("sign-in with the code: got %d %s, want 200", got.Status, got.Body)
		}
		b.await(at.url.Path, "The user has used the code")
		b.open(dead).contains(http.StatusOK, "A newer code has replaced this one")
	})
}

// TestWaitingMessageIsRetried tests that an administrator sends a message at once that waits for
// its next attempt.
func TestWaitingMessageIsRetried(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		var busy atomic.Bool
		busy.Store(true)
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if busy.Load() {
				w.Header().Set("Retry-After", "60") // longer than await waits
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		t.Cleanup(receiver.Close)
		s.sendTo(receiver.URL)
		s.requestCode("jane")
		b := s.signIn("root")
		at := b.await("/console/home?find=jane", "Attempt failed, will be repeated")
		b.open("/console/home").contains(http.StatusOK, "Senders that deliver nothing at the moment: 1.")
		busy.Store(false)
		links := slices.DeleteFunc(at.links(), func(link string) bool { return !strings.HasSuffix(link, "/retry") })
		if len(links) != 1 {
			t.Fatalf("got the links %v to retry, want one", links)
		}
		confirmation := b.open(links[0]).contains(http.StatusOK, "The message is sent at once, with the code that it has.")
		b.submit(confirmation, "step", "confirm").contains(http.StatusOK, "The message is sent now.")
		b.await(at.url.Path, "Accepted by the receiver")
	})
}

// TestCodesOfACompany tests that an administrator of a company finds the codes of its users, and
// none of other users.
func TestCodesOfACompany(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.Apply(`
SecurityProfiles:
  - {ID: support, Name: Support, Roles: [OneTimePasswordAdmin], Assignments: [{BuyerID: acme, UserID: bob}]}
Buyers:
  - ID: hyde
    Name: Hyde Ltd
    Active: true
    Users:
      - {ID: harry, Username: harry, FirstName: H, LastName: Hyde, Email: harry@example.com, Active: true}
`)
		s.DeliveredCode(s.Server, "jane")
		s.DeliveredCode(s.Server, "harry")
		root := s.signIn("root")
		harrys := root.await("/console/home?find=harry@example.com", "Accepted by the receiver").url.Path
		b := s.signIn("bob")
		if nav := b.open("/console/").navigation(); !slices.Contains(nav, "/console/buyer-codes") || slices.Contains(nav, "/console/home") {
			t.Errorf("got the navigation %v, want /console/buyer-codes and not /console/home", nav)
		}
		b.await("/console/buyer-codes?find=jane", "Accepted by the receiver")
		b.open("/console/buyer-codes?find=harry").contains(http.StatusOK, "Nobody has asked for a code by this name")
		b.open(strings.Replace(harrys, "/home/", "/buyer-codes/", 1)).contains(http.StatusNotFound)
		b.open(harrys).contains(http.StatusForbidden)
		root.open("/console/buyer-codes?find=jane").contains(http.StatusNotFound)
	})
}

// TestStoredTextInTimelines tests that usernames are shown as text, not as HTML.
func TestStoredTextInTimelines(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const name = `<script>alert(1)</script>{{.}}`
		s.requestCode(name)
		b := s.signIn("root")
		at := b.await("/console/home?find="+url.QueryEscape(name), "Nobody was served")
		if at.contains(http.StatusOK, name); strings.Contains(at.body, "<script>alert") {
			t.Errorf("got the username as HTML, want text: %s", at.body)
		}
		again := b.open("/console/home?find="+url.QueryEscape(name+"x")).contains(http.StatusOK, "Nobody has asked")
		if strings.Contains(again.body, "<script>alert") {
			t.Errorf("got the search term as HTML, want text: %s", again.body)
		}
	})
}

// TestSenderScreens tests that an administrator sends a test message and sees its outcome, and
// rotates the signing secret of a webhook.
func TestSenderScreens(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		s.Apply(`
MessageSenders:
  - {ID: std, Name: Standard, MessageTypes: [OneTimePassword], URL: "https://hook.example.com/", Signature: standard-webhooks, SigningSecrets: [whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=]}
  - {ID: mail, Name: Mail, Kind: smtp, MessageTypes: [OneTimePassword], SMTP: {Host: smtp.example.com, From: shop@example.com, SiteName: shop.example.com}}
`)
		b := s.signIn("root")
		at := b.submit(b.open("/console/senders/sink/test"), "f.To", "nobody", "step", "review")
		b.submit(at, "step", "confirm").contains(http.StatusBadRequest, "e-mail")
		at = b.submit(b.open("/console/senders/sink/test"), "f.To", "me@example.com", "step", "review").contains(http.StatusOK, "me@example.com")
		at = b.submit(at, "step", "confirm").contains(http.StatusOK, "The test message is being sent")
		if got := s.Inbox.Next(t); got.EventBody.OneTimePassword != "TEST" || got.Recipient.Email != "me@example.com" {
			t.Errorf("got the message %+v, want the code TEST for me@example.com", got)
		}
		b.await(at.url.RequestURI(), "The receiver has accepted it")

		at = b.submit(b.open("/console/senders/std/rotate").contains(http.StatusOK, "until you retire"), "step", "confirm")
		at.contains(http.StatusOK, "New secret", "whsec_", "two secrets")
		if again := b.open(at.url.Path); strings.Contains(again.body, "whsec_") {
			t.Error("got the secret after a reload, want it shown once")
		}
		b.submit(b.open("/console/senders/std/retire"), "step", "confirm").contains(http.StatusOK, "Only the newest secret signs now")
		if at := b.open("/console/senders/std"); slices.Contains(at.links(), "/console/senders/std/retire") {
			t.Errorf("got the links %v, want none to retire a secret", at.links())
		}
		b.open("/console/senders/mail/mails?type=ForgottenPassword").contains(http.StatusOK, "All other languages", "Subject:", "shop.example.com", "TEST")
	})
}
