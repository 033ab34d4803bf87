package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey/otp"
	"latchkey/test/e2e/kit"
)

const webhookSecret = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcg" //nolint:gosec // used only in this test

// sealedReceiver is a receiver with a private key. It accepts messages whose signature the
// library of Standard Webhooks accepts.
type sealedReceiver struct {
	url      string
	private  any
	messages chan kit.SenderMessage
	accepts  atomic.Bool // if not set, it answers 503
}

func newSealedReceiver(t *testing.T, private any) *sealedReceiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	v := &sealedReceiver{private: private, messages: make(chan kit.SenderMessage, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		l := kit.SenderMessage{Header: r.Header, Body: body}
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err == nil {
			err = json.Unmarshal(body, &l)
		}
		if err != nil || r.Header.Get("Webhook-Id") != r.Header.Get("Idempotency-Key") {
			t.Errorf("got a message with the header %v: %v: %s", r.Header, err, body)
		}
		if !v.accepts.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		v.messages <- l
	}))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

// sender returns a message sender of the type with the receiver's public key.
func (v *sealedReceiver) sender(t *testing.T, id, messageType string, public any) kit.Object {
	t.Helper()
	jwk, err := jose.JSONWebKey{Key: public, Use: "enc"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return kit.Object{
		"ID": id, "Name": id, "MessageTypes": []string{messageType}, "URL": v.url, "AllowAllBuyers": true,
		"Signature": "standard-webhooks", "SigningSecrets": []string{webhookSecret}, "PublicJWK": json.RawMessage(jwk),
	}
}

func (v *sealedReceiver) next(t *testing.T) kit.SenderMessage {
	t.Helper()
	select {
	case l := <-v.messages:
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("got no message in 30s")
		return kit.SenderMessage{}
	}
}

// decrypt decrypts a compact JWE.
func (v *sealedReceiver) decrypt(t *testing.T, jwe string) string {
	t.Helper()
	object, err := jose.ParseEncryptedCompact(jwe, []jose.KeyAlgorithm{jose.ECDH_ES_A256KW, jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatalf("decrypt %q: %v", jwe, err)
	}
	plain, err := object.Decrypt(v.private)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// code decrypts the code of a message and checks its user and client.
func (v *sealedReceiver) code(t *testing.T, l kit.SenderMessage, jwe, clientID string) string {
	t.Helper()
	var sealed otp.SealedCode
	if err := json.Unmarshal([]byte(v.decrypt(t, jwe)), &sealed); err != nil {
		t.Fatal(err)
	}
	if sealed.MessageID != l.Header.Get("Webhook-Id") || sealed.Username != l.EventBody.Username || sealed.ClientID != clientID || sealed.Code == "" {
		t.Errorf("got a code for %+v in the message %s", sealed, l.Body)
	}
	if token := v.decrypt(t, l.UserToken); strings.Count(token, ".") != 2 || strings.Contains(string(l.Body), token) {
		t.Errorf("got the user token %q", token)
	}
	if strings.Contains(string(l.Body), sealed.Code) {
		t.Errorf("got the code in the message %s, want it sealed", l.Body)
	}
	return sealed.Code
}

// TestSealedToReceiver tests that with the public key of a receiver only the receiver can read
// a code. Neither a carrier of the message nor an owner of the database and the master key can.
func TestSealedToReceiver(t *testing.T) {
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	factors, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		codes, renewals := newSealedReceiver(t, elliptical), newSealedReceiver(t, factors)
		a := kit.NewOneServer(w)
		a.Server.Stop()
		a.ApplyObject(kit.Object{"MessageSenders": []kit.Object{
			{"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OrderSubmitted"}, "URL": a.Inbox.URL, "SharedKey": kit.SharedKey},
			codes.sender(t, "codes", "OneTimePassword", elliptical.Public()),
			renewals.sender(t, "renewals", "ForgottenPassword", factors.Public()),
		}})
		n := a.StartServer("LATCHKEY_LOG_LEVEL=trace")
		for _, got := range []kit.Response{n.RequestCode("jane", ""), n.RequestRenewal("john")} {
			if got.Status != http.StatusNoContent {
				t.Fatalf("got %d %s, want 204", got.Status, got.Body)
			}
		}
		kit.Eventually(t, "both were tried", func() bool {
			return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "2"
		})
		waiting, opened := a.StoredBytes(), openPayloads(a, t)
		codes.accepts.Store(true)
		renewals.accepts.Store(true)
		a.Clock.Advance(20 * time.Second) // the library accepts a timestamp that differs by up to five minutes
		first, second := codes.next(t), renewals.next(t)
		code := codes.code(t, first, first.EventBody.OneTimePassword, "shop")
		verification := renewals.code(t, second, second.EventBody.PasswordRenewalVerificationCode, "shop")
		kit.MustIssue(t, "code", n.SignIn("jane", code))
		if got := n.RenewPassword(verification, "john", kit.NextPassword); got.Status != http.StatusNoContent {
			t.Errorf("renewal: got %d %s, want 204", got.Status, got.Body)
		}
		a.AwaitMessages()
		places := map[string][]byte{"log": []byte(a.Log.String()), "opened payloads": []byte(opened)}
		for _, remains := range []map[string][]byte{waiting, a.StoredBytes()} {
			for name, content := range remains {
				places[name] = append(places[name], content...)
			}
		}
		for place, content := range places {
			kit.SearchFor(t, place, content, "code", code)
			kit.SearchFor(t, place, content, "verification code", verification)
		}
	})
}

// openPayloads decrypts the waiting payloads with the master key.
func openPayloads(a *kit.OneServer, t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, listed := range messages(a.Fixture, "--state", "queued") {
		m, err := a.App.Store.Message(t.Context(), listed.ID)
		a.Must(err)
		p, err := otp.OpenPayload(a.App.Sealer, m)
		a.Must(err)
		if strings.Count(p.Code, ".") != 4 {
			t.Errorf("the payload of %s: got %q, want a JWE", m.ID, p.Code)
		}
		all.WriteString(p.Code + " " + p.Username + "\n")
	}
	return all.String()
}
