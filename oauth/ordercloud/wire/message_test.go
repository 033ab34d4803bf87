package wire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey/oauth/token"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

func testEncoder() MessageEncoder {
	return MessageEncoder{
		Recipient: func(_ context.Context, r token.RecipientRequest) (storage.Principal, string, error) {
			p := storage.Principal{
				Login:   storage.Login{Username: r.Username, ProfileID: "default", Lockout: storage.Lockout{Failures: 1}},
				User:    storage.User{UID: "usr_1", Kind: storage.Buyer, ID: "jane", FirstName: "Jane", Email: "jane@x.org", Active: true},
				Account: storage.Account{ID: "b1"},
				Roles:   []string{"Shopper"},
			}
			if r.ClientID == "" {
				return p, "", nil
			}
			token := "token of " + r.Username + " of " + r.ProfileID + " at " + r.ClientID + " with " + strings.Join(r.Elevated, " ")
			if len(r.OnlyRoles) > 0 {
				token += "only " + strings.Join(r.OnlyRoles, " ")
			}
			return p, token, nil
		},
		Endpoint: func(_ context.Context, s storage.Sender) (deliver.Endpoint, error) {
			return deliver.Endpoint{
				URL: s.URL, Key: string(s.SharedKey.Data), SigningSecrets: strings.Fields(string(s.SigningSecrets.Data)),
			}, nil
		},
		Now:         time.Now,
		Environment: "Sandbox",
	}
}

func testEnvelope() (storage.Sender, deliver.Envelope) {
	sender := storage.Sender{
		ID: "m", URL: "https://x.org/{messagetype}?t={messagetype}", SharedKey: storage.Sealed{Data: []byte("key")},
		ElevatedRoles: []string{"MeAdmin"}, XP: json.RawMessage(`{"template":7}`),
	}
	return sender, deliver.Envelope{
		Message:  storage.Message{Type: storage.MessageOneTimePassword, TraceID: "trace"},
		Username: "Jane", Code: "ABCD1234", ClientID: "shop", UserUID: "usr_1", ProfileID: "default",
	}
}

func TestEncodeMessage(t *testing.T) {
	t.Parallel()
	sender, envelope := testEnvelope()
	call, err := testEncoder().Encode(t.Context(), sender, envelope)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"OcLogIdHeader":"trace","Environment":"Sandbox","BuyerID":"b1","UserToken":"token of Jane of default at shop with MeAdmin",` +
		`"Recipient":{"ID":"jane","Username":"Jane","FirstName":"Jane","LastName":"","Email":"jane@x.org","Phone":null,"TermsAccepted":null,"Active":true,"xp":null,` +
		`"CompanyID":"b1","AvailableRoles":["Shopper"],"Locale":null,"DateCreated":null,"LastActive":null,"PasswordLastSetDate":null,"FailedLoginAttempts":1},` +
		`"CCList":null,"MessageType":"OneTimePassword","ConfigData":{"template":7},` +
		`"EventBody":{"Username":"Jane","ClientID":"shop","OneTimePassword":"ABCD1234"}}`
	if diff := cmp.Diff(body, string(call.Body)); diff != "" {
		t.Error(diff)
	}
	if want := "https://x.org/onetimepassword?t=onetimepassword"; call.URL != want {
		t.Errorf("got the URL %q, want %q", call.URL, want)
	}
	want := http.Header{"Content-Type": {"application/json"}, "X-Oc-Hash": {sign("key", []byte(body))}}
	if diff := cmp.Diff(want, call.Header); diff != "" {
		t.Error(diff)
	}
}

// TestEncodeMessageStandard verifies the signature with the library of Standard Webhooks.
func TestEncodeMessageStandard(t *testing.T) {
	t.Parallel()
	const newer = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
	sender, envelope := testEnvelope()
	envelope.Message.ID = "msg_7"
	sender.Signature = storage.StandardWebhookSignature
	sender.SigningSecrets.Data = []byte(newer + " " + secret)
	for _, shared := range []string{"", "sealed"} {
		sender.SharedKey.Data = []byte(shared)
		call, err := testEncoder().Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []string{newer, secret} {
			receiver, err := standardwebhooks.NewWebhook(known)
			if err != nil {
				t.Fatal(err)
			}
			if err := receiver.Verify(call.Body, call.Header); err != nil {
				t.Error(err)
			}
		}
		if id := call.Header.Get("webhook-id"); id != "msg_7" {
			t.Errorf("got webhook-id %q, want msg_7", id)
		}
		if has := call.Header.Get("X-oc-hash") != ""; has != (shared != "") {
			t.Errorf("got X-oc-hash %v with the shared key %q", has, shared)
		}
	}
	for _, poor := range []string{"", "whsec_"} {
		sender.SigningSecrets.Data = []byte(poor)
		if call, err := testEncoder().Encode(t.Context(), sender, envelope); err == nil {
			t.Errorf("with the secret %q: got the header %v, want an error", poor, call.Header)
		}
	}
}

// TestEncodeMessageEncrypted tests that a receiver with a key gets neither the code nor the
// token unencrypted.
func TestEncodeMessageEncrypted(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sender, envelope := testEnvelope()
	if sender.PublicJWK, err = (jose.JSONWebKey{Key: private.Public()}).MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	call, err := testEncoder().Encode(t.Context(), sender, envelope)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ UserToken string }
	if err := json.Unmarshal(call.Body, &got); err != nil || bytes.Contains(call.Body, []byte("token of")) {
		t.Fatalf("got error %v, body %s", err, call.Body)
	}
	object, err := jose.ParseEncryptedCompact(got.UserToken, []jose.KeyAlgorithm{jose.ECDH_ES_A256KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	envelope.Message.Type = storage.MessageForgottenPassword
	if call, err := testEncoder().Encode(t.Context(), sender, envelope); err != nil || bytes.Contains(call.Body, []byte("token of")) {
		t.Errorf("got error %v, body %s; want the token for a renewal encrypted", err, call.Body)
	}
	if token, err := object.Decrypt(private); err != nil || string(token) != "token of Jane of default at shop with MeAdmin" {
		t.Errorf("got the token %q, error %v", token, err)
	}
}

// TestEncodeMessageTypes tests the body of each message type, and the members that are missing
// in a message of a request without a client.
func TestEncodeMessageTypes(t *testing.T) {
	t.Parallel()
	const renewal = `{"Username":"Jane","PasswordRenewalUrl":"https://shop.example/renew","PasswordRenewalVerificationCode":"ABCD1234",` +
		`"PasswordRenewalAccessToken":"`
	tests := []struct {
		kind              storage.MessageType
		clientID          string
		path, token, want string
	}{
		{storage.MessageOneTimePassword, "shop", "onetimepassword", "with MeAdmin", `{"Username":"Jane","ClientID":"shop","OneTimePassword":"ABCD1234"}`},
		{storage.MessageOneTimePassword, "", "onetimepassword", "", `{"Username":"Jane","ClientID":"","OneTimePassword":"ABCD1234"}`},
		{storage.MessageForgottenPassword, "shop", "forgottenpassword", "with MeAdmin", renewal + `token of Jane of default at shop with only PasswordReset"}`},
		{storage.MessageForgottenUsername, "shop", "forgottenusername", "with MeAdmin", `{"Username":"Jane"}`},
		{storage.MessageNewUserInvitation, "", "newuserinvitation", "", renewal + `"}`},
		{storage.MessageAccountLocked, "", "accountlocked", "", `{"Username":"Jane","LockedUntil":"2031-05-17T12:02:00Z"}`},
		{storage.MessageContactChanged, "", "contactchanged", "", `{"Username":"Jane"}`},
	}
	for _, test := range tests {
		sender, envelope := testEnvelope()
		envelope.Message.Type, envelope.ClientID, envelope.URL = test.kind, test.clientID, "https://shop.example/renew"
		envelope.LockedUntil = time.Date(2031, 5, 17, 12, 2, 0, 5, time.UTC)
		call, err := testEncoder().Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			MessageType, UserToken string
			EventBody              json.RawMessage
		}
		if err := json.Unmarshal(call.Body, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got.EventBody)); diff != "" || got.MessageType != string(test.kind) {
			t.Errorf("%s: type %s (-want +got):\n%s", test.kind, got.MessageType, diff)
		}
		if !strings.HasSuffix(got.UserToken, test.token) || test.token == "" && got.UserToken != "" {
			t.Errorf("%s: got UserToken %q", test.kind, got.UserToken)
		}
		if want := "https://x.org/" + test.path + "?t=" + test.path; call.URL != want {
			t.Errorf("%s: got the URL %s, want %s", test.kind, call.URL, want)
		}
	}
	sender, envelope := testEnvelope()
	envelope.Message.Type = "OrderSubmitted"
	if _, err := testEncoder().Encode(t.Context(), sender, envelope); !deliver.IsPermanent(err) {
		t.Errorf("a type that is never sent: got %v, want a permanent error", err)
	}
}

// TestEncodeMessageToEndpoint tests that a message without a key is not sent unsigned. The
// header of the endpoint is sent too, and does not replace the signature.
func TestEncodeMessageToEndpoint(t *testing.T) {
	t.Parallel()
	sender, envelope := testEnvelope()
	e := testEncoder()
	e.Endpoint = func(context.Context, storage.Sender) (deliver.Endpoint, error) {
		return deliver.Endpoint{URL: "https://config.example/{messagetype}"}, nil
	}
	if call, err := e.Encode(t.Context(), sender, envelope); err == nil {
		t.Errorf("without a key: got the header %v, want an error", call.Header)
	}
	for name, value := range map[string]string{"X-Api-Key": "value", "x-oc-hash": ""} {
		e.Endpoint = func(context.Context, storage.Sender) (deliver.Endpoint, error) {
			return deliver.Endpoint{URL: "https://config.example/{messagetype}", Key: "secret", HeaderName: name, HeaderValue: "value"}, nil
		}
		call, err := e.Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		if got := call.Header.Get("X-oc-hash"); got != sign("secret", call.Body) {
			t.Errorf("%s: got the signature %q", name, got)
		}
		if got := call.Header.Get("X-Api-Key"); got != value || call.URL != "https://config.example/onetimepassword" {
			t.Errorf("%s: got the header %q, URL %s", name, got, call.URL)
		}
	}
}

// TestSign compares with a value that OpenSSL computed.
func TestSign(t *testing.T) {
	t.Parallel()
	const want = "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
	if got := sign("key", []byte("The quick brown fox jumps over the lazy dog")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEncodeMessageToAdmin(t *testing.T) {
	t.Parallel()
	e := testEncoder()
	e.Recipient = func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
		return storage.Principal{User: storage.User{UID: "usr_1", Kind: storage.Admin, ID: "root"}}, "token", nil
	}
	sender, envelope := testEnvelope()
	call, err := e.Encode(t.Context(), sender, envelope)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		BuyerID   *string
		Recipient struct{ CompanyID *string }
	}
	if err := json.Unmarshal(call.Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.BuyerID != nil || got.Recipient.CompanyID != nil {
		t.Errorf("got %+v; want nulls", got)
	}
}

func TestEncodeMessageFails(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	tests := []struct {
		name      string
		spoil     func(*MessageEncoder)
		permanent bool
	}{
		{"user gone", func(e *MessageEncoder) {
			e.Recipient = func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
				return storage.Principal{}, "", errors.Join(fault, storage.ErrNotFound)
			}
		}, true},
		{"database away", func(e *MessageEncoder) {
			e.Recipient = func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
				return storage.Principal{}, "", fault
			}
		}, false},
		{"no endpoint now", func(e *MessageEncoder) {
			e.Endpoint = func(context.Context, storage.Sender) (deliver.Endpoint, error) { return deliver.Endpoint{}, fault }
		}, false},
		{"no endpoint any more", func(e *MessageEncoder) {
			e.Endpoint = func(context.Context, storage.Sender) (deliver.Endpoint, error) {
				return deliver.Endpoint{}, deliver.Permanent(fault)
			}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := testEncoder()
			tt.spoil(&e)
			sender, envelope := testEnvelope()
			_, err := e.Encode(t.Context(), sender, envelope)
			if !errors.Is(err, fault) || deliver.IsPermanent(err) != tt.permanent {
				t.Errorf("got error %v, permanent %v; want permanent %v", err, deliver.IsPermanent(err), tt.permanent)
			}
		})
	}
}

// TestEncodeMessageToRenamedUser tests that a code is not sent to another user who has the name
// now.
func TestEncodeMessageToRenamedUser(t *testing.T) {
	t.Parallel()
	sender, envelope := testEnvelope()
	envelope.UserUID = "usr_2"
	if _, err := testEncoder().Encode(t.Context(), sender, envelope); !deliver.IsPermanent(err) {
		t.Errorf("got error %v; want a permanent one", err)
	}
}
