package ordercloud

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// testedSenders is a SenderTests that records what it is asked.
type testedSenders struct{ asked []string }

func (x *testedSenders) Begin(_ context.Context, s storage.Sender, kind, to, locale, traceID string) (string, error) {
	if kind == "Nonsense" {
		return "", fmt.Errorf("kind: %w", storage.ErrQuery)
	}
	x.asked = append(x.asked, strings.Join([]string{s.ID, kind, to, locale, traceID}, " "))
	return "msg_1", nil
}

func (x *testedSenders) Previews(_ context.Context, _ storage.Sender, kind string) ([]wire.MailPreview, error) {
	if kind == "Nonsense" {
		return nil, fmt.Errorf("kind: %w", storage.ErrQuery)
	}
	return []wire.MailPreview{{Subject: "s"}, {Locale: "de", Subject: kind}}, nil
}

func TestMessageSenderDelivery(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", senderPath, hook)
	srv.expect(201, "root", "POST", senderPath, `{"ID":"mail","Name":"Mail","Kind":"smtp","MessageTypes":["OneTimePassword"],"SMTP":{"Host":"smtp.example.com","From":"a@example.com"},"Active":false}`)
	srv.clientToken("reader", "back-office", "MessageSenderReader")
	srv.request("r1", true)
	srv.attempt("msg-r1", storage.MessageQueued, "answered 503")
	got := srv.expect(200, "reader", "GET", "/v1/messagesenderstatus", "").body
	want := `"Items":[{"MessageSenderID":"hook","State":"failing","Queued":1,"OldestQueuedAt":"2026-03-01T12:00:00Z","Accepted":0,"Failed":1,"FailedInARow":1,` +
		`"LastAcceptedAt":null,"LastFailedAt":"2026-03-01T12:00:00.25Z","LastError":"answered 503","SecretKind":"SharedKey","Secrets":0},` +
		`{"MessageSenderID":"mail","State":"inactive","Queued":0,"OldestQueuedAt":null,"Accepted":0,"Failed":0,"FailedInARow":0,` +
		`"LastAcceptedAt":null,"LastFailedAt":null,"LastError":null,"SecretKind":null,"Secrets":0}]}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("status %s, want %s", got, want)
	}
	got = srv.expect(200, "reader", "GET", senderPath+"/hook/messages?State=queued", "").body
	if !strings.HasSuffix(got, `"Items":[{"ID":"msg-r1","RequestID":"r1","MessageType":"OneTimePassword","State":"queued","Attempts":1,"LastError":"answered 503",`+
		`"CreatedAt":"2026-03-01T12:00:00Z","NextAt":"2026-03-01T12:05:00.25Z","EndedAt":null}]}`) {
		t.Errorf("messages %s", got)
	}
	srv.refuses(404, "NotFound", "reader", "GET", senderPath+"/none/messages", "")

	test := senderPath + "/hook/test"
	srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", test, `{"To":"me@example.com"}`)
	srv.clientToken("sender-admin", "back-office", "MessageSenderAdmin") // without the role MeAdmin of the sender
	srv.refuses(403, "Auth.InsufficientRoles", "sender-admin", "POST", test, `{"To":"me@example.com"}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", test, `{"To":"nobody"}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", test, `{"To":"me@example.com","Nonsense":1}`)
	srv.refuses(400, "ValidationFailure", "root", "POST", test, `{"To":"me@example.com","MessageType":"Nonsense"}`)
	srv.refuses(404, "NotFound", "root", "POST", senderPath+"/none/test", `{"To":"me@example.com"}`)
	srv.recorded()
	if got := srv.expect(202, "root", "POST", test, `{"To":"me@example.com","Locale":"de"}`).body; got != `{"MessageID":"msg_1"}` {
		t.Errorf("test %s", got)
	}
	if fmt.Sprint(srv.tests.asked) != "[hook  me@example.com de trace-1]" || fmt.Sprint(srv.recorded()) != "[messagesender.tested MessageSender/hook]" {
		t.Errorf("asked %q", srv.tests.asked)
	}
	srv.config.AdmitTest = func(_ context.Context, senderID string) error { return &storage.LimitError{Budget: senderID} }
	srv.rebuild()
	srv.refuses(429, "TooManyRequests", "root", "POST", test, `{"To":"me@example.com"}`)

	got = srv.expect(200, "reader", "GET", senderPath+"/mail/previews?messageType=ForgottenPassword", "").body
	if !strings.HasSuffix(got, `"Items":[{"Locale":"","Subject":"s","Text":"","HTML":""},{"Locale":"de","Subject":"ForgottenPassword","Text":"","HTML":""}]}`) {
		t.Errorf("previews %s", got)
	}
	srv.refuses(400, "ValidationFailure", "reader", "GET", senderPath+"/mail/previews?messageType=Nonsense", "")
	if got := srv.expect(200, "reader", "GET", senderPath+"/hook/previews", "").body; !strings.HasSuffix(got, `"Items":[]}`) {
		t.Errorf("previews of a webhook %s", got)
	}
}

func TestRotateWebhookSecrets(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	first := deliver.FormatSigningSecret(make([]byte, 32))
	srv.expect(201, "root", "POST", senderPath, `{"ID":"std","Name":"S","MessageTypes":["OneTimePassword"],"URL":"https://hook.example","Signature":"standard-webhooks","SigningSecrets":["`+first+`"],"AllowAllBuyers":true}`)
	srv.expect(201, "root", "POST", senderPath, hook)
	srv.expect(201, "root", "POST", senderPath, `{"ID":"term","Name":"T","MessageTypes":["OneTimePassword"],"Kind":"console"}`)
	srv.recorded()
	secrets := func() (all []string) {
		srv.must(json.Unmarshal([]byte(srv.opened(srv.sender("std").SigningSecrets, wire.SigningSecretsContext)), &all))
		return all
	}
	rotate := func(id string) (secret string) {
		t.Helper()
		secret, _ = srv.expect(200, "root", "POST", senderPath+"/"+id+"/secret/rotate", "").get(t, "Secret").(string)
		return secret
	}
	second := rotate("std")
	if got := secrets(); fmt.Sprint(got) != fmt.Sprint([]string{second, first}) {
		t.Errorf("secrets %q, want the new one before the former one", got)
	}
	if _, err := deliver.ParseSigningSecret(second); err != nil {
		t.Error(err)
	}
	if got := srv.expect(200, "root", "GET", "/v1/messagesenderstatus?MessageSenderID=std", "").body; !strings.Contains(got, `"SecretKind":"SigningSecrets","Secrets":2`) {
		t.Errorf("status %s", got)
	}
	third := rotate("std")
	if got := secrets(); fmt.Sprint(got) != fmt.Sprint([]string{third, second}) {
		t.Errorf("secrets %q", got)
	}
	srv.expect(204, "root", "POST", senderPath+"/std/secret/retire", "")
	if got := secrets(); fmt.Sprint(got) != fmt.Sprint([]string{third}) {
		t.Errorf("secrets %q", got)
	}
	srv.refuses(409, "MessageSender.NoFormerSecret", "root", "POST", senderPath+"/std/secret/retire", "")
	shared := rotate("hook")
	if got := srv.opened(srv.sender("hook").SharedKey, wire.SharedKeyContext); got != shared || len(shared) < 40 {
		t.Errorf("shared key %q, shown %q", got, shared)
	}
	srv.refuses(400, "MessageSender.NoSecret", "root", "POST", senderPath+"/term/secret/rotate", "")
	srv.refuses(404, "NotFound", "root", "POST", senderPath+"/none/secret/rotate", "")
	srv.refuses(412, "PreconditionFailed", "root", "POST", senderPath+"/hook/secret/rotate", "", "If-Match", `"1"`)
	srv.clientToken("sender-admin", "back-office", "MessageSenderAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "sender-admin", "POST", senderPath+"/hook/secret/rotate", "") // it elevates to MeAdmin
	if got := srv.recorded(); len(got) != 4 || got[0] != "messagesender.secret_rotated MessageSender/std" || got[2] != "messagesender.secret_retired MessageSender/std" {
		t.Errorf("recorded %q", got)
	}
}
