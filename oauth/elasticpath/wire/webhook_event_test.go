package wire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey/oauth/token"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

func webhookEncoder() WebhookEncoder {
	return WebhookEncoder{
		Recipient: func(_ context.Context, r token.RecipientRequest) (storage.Principal, string, error) {
			if r.Username != "john.doe@banks.com" || r.ProfileID != "9a44bb7e-e377-4382-b36e-c8030aad1c2d" {
				return storage.Principal{}, "", storage.ErrNotFound
			}
			return storage.Principal{
				User: storage.User{UID: "usr_john", FirstName: "John", LastName: "Doe", Email: "john.doe@banks.com"},
			}, "", nil
		},
		Endpoint: func(_ context.Context, s storage.Sender) (deliver.Endpoint, error) {
			return deliver.Endpoint{URL: s.URL, Key: string(s.SharedKey.Data), SigningSecrets: []string{string(s.SigningSecrets.Data)}}, nil
		},
		Now:     time.Now,
		StoreID: "877baaf1-50b7-4cae-afa5-2431fa7b5ee4",
	}
}

func codeEvent() (storage.Sender, deliver.Envelope) {
	sender := storage.Sender{
		ID: "145d7084-7b00-4f10-9d55-0ecd49c1a2bb", Dialect: storage.ElasticPathDialect,
		Name: "One Time Password notification", Description: "Send one time password notification",
		URL: "https://webhook.example/24b00ff8", SharedKey: storage.Sealed{Data: []byte("s3cret")},
	}
	return sender, deliver.Envelope{
		Message:  storage.Message{ID: "msg_7", Type: storage.MessageOneTimePassword},
		Username: "john.doe@banks.com", Code: "lprvj4", UserUID: "usr_john", Purpose: storage.PurposeResetPassword,
		RequestedAt: time.Date(2023, 9, 5, 16, 53, 1, 584_900_000, time.FixedZone("", 7200)),
		RealmID:     "063623f1-9182-4c8f-bb17-91d326e06e69", ProfileID: "9a44bb7e-e377-4382-b36e-c8030aad1c2d", LoginID: "lgn_john",
	}
}

// TestEncodeCodeEvent expects the body of the vendor's guide, with IDs of this server.
func TestEncodeCodeEvent(t *testing.T) {
	t.Parallel()
	sender, envelope := codeEvent()
	call, err := webhookEncoder().Encode(t.Context(), sender, envelope)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"id":"9ad282b0-fe16-51be-9d0a-fe1844a93fe2","store_id":"877baaf1-50b7-4cae-afa5-2431fa7b5ee4",` +
		`"triggered_by":"one-time-password-token-request.created",` +
		`"integration":{"id":"145d7084-7b00-4f10-9d55-0ecd49c1a2bb","integration_type":"webhook",` +
		`"name":"One Time Password notification","description":"Send one time password notification"},` +
		`"payload":{"authentication_realm_id":"063623f1-9182-4c8f-bb17-91d326e06e69","created_at":"2023-09-05T14:53:01.584+00:00",` +
		`"one_time_password_token":"lprvj4","password_profile_id":"9a44bb7e-e377-4382-b36e-c8030aad1c2d","purpose":"reset_password",` +
		`"updated_at":"2023-09-05T14:53:01.584+00:00",` +
		`"user_authentication_info":{"email":"john.doe@banks.com","id":"usr_john","name":"John Doe"},` +
		`"user_authentication_password_profile_info":{"id":"lgn_john","password_profile_id":"9a44bb7e-e377-4382-b36e-c8030aad1c2d",` +
		`"username":"john.doe@banks.com"}},` +
		`"configuration":{"url":"https://webhook.example/24b00ff8","secret_key":"s3cret"}}`
	if diff := cmp.Diff(body, string(call.Body)); diff != "" {
		t.Error(diff)
	}
	want := http.Header{
		"Content-Type": {"application/json"}, "X-Moltin-Secret-Key": {"s3cret"},
		"X-Moltin-Integration-Trigger": {"one-time-password-token-request.created"},
	}
	if diff := cmp.Diff(want, call.Header); diff != "" || call.URL != sender.URL {
		t.Errorf("to %s (-want +got):\n%s", call.URL, diff)
	}
}

// TestEncodeLockEvent expects the event about a lock, with and without a known end.
func TestEncodeLockEvent(t *testing.T) {
	t.Parallel()
	for end, want := range map[time.Time]string{
		time.Date(2031, 5, 17, 12, 2, 0, 0, time.UTC): `"2031-05-17T12:02:00.000+00:00"`, {}: "null",
	} {
		sender, envelope := codeEvent()
		envelope.Message.Type, envelope.Code, envelope.Purpose, envelope.LockedUntil = storage.MessageAccountLocked, "", "", end
		call, err := webhookEncoder().Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			TriggeredBy string `json:"triggered_by"`
			Payload     json.RawMessage
		}
		if err := json.Unmarshal(call.Body, &got); err != nil {
			t.Fatal(err)
		}
		payload := `{"authentication_realm_id":"063623f1-9182-4c8f-bb17-91d326e06e69","created_at":"2023-09-05T14:53:01.584+00:00",` +
			`"locked_until":` + want + `,"password_profile_id":"9a44bb7e-e377-4382-b36e-c8030aad1c2d",` +
			`"updated_at":"2023-09-05T14:53:01.584+00:00",` +
			`"user_authentication_info":{"email":"john.doe@banks.com","id":"usr_john","name":"John Doe"},` +
			`"user_authentication_password_profile_info":{"id":"lgn_john","password_profile_id":"9a44bb7e-e377-4382-b36e-c8030aad1c2d",` +
			`"username":"john.doe@banks.com"}}`
		if diff := cmp.Diff(payload, string(got.Payload)); diff != "" {
			t.Error(diff)
		}
		const event = "user-authentication-password-profile-info.locked"
		if got.TriggeredBy != event || call.Header.Get("X-Moltin-Integration-Trigger") != event {
			t.Errorf("got the trigger %q and the header %v", got.TriggeredBy, call.Header)
		}
	}
}

// TestEventsNamePresetsByUUID tests that events of every type name the preset realm and profile
// as the resources of /v2 do.
func TestEventsNamePresetsByUUID(t *testing.T) {
	t.Parallel()
	encoder := webhookEncoder()
	encoder.Recipient = func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
		return storage.Principal{User: storage.User{UID: "usr_john"}}, "", nil
	}
	for _, e := range events {
		sender, envelope := codeEvent()
		envelope.Message.Type, envelope.RealmID, envelope.ProfileID = e.kind, storage.DefaultRealmID, storage.DefaultProfileID
		call, err := encoder.Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Payload struct {
				RealmID   string `json:"authentication_realm_id"`
				ProfileID string `json:"password_profile_id"`
				Login     struct {
					ProfileID string `json:"password_profile_id"`
				} `json:"user_authentication_password_profile_info"`
			}
		}
		if err := json.Unmarshal(call.Body, &got); err != nil {
			t.Fatal(err)
		}
		realm, profile := storage.RealmUUID(storage.DefaultRealmID), storage.PasswordProfileUUID(storage.DefaultProfileID)
		if p := got.Payload; p.RealmID != realm || p.ProfileID != profile || p.Login.ProfileID != profile {
			t.Errorf("%s: got %+v", e.name, p)
		}
	}
}

func TestEncodeCodeEventVariants(t *testing.T) {
	t.Parallel()
	type got struct {
		ID            string
		Payload       struct{ Purpose string }
		Configuration struct {
			Secret *string `json:"secret_key"`
		}
	}
	encode := func(change func(*storage.Sender, *deliver.Envelope)) (got, http.Header) {
		t.Helper()
		sender, envelope := codeEvent()
		change(&sender, &envelope)
		call, err := webhookEncoder().Encode(t.Context(), sender, envelope)
		if err != nil {
			t.Fatal(err)
		}
		var g got
		if err := json.Unmarshal(call.Body, &g); err != nil {
			t.Fatal(err)
		}
		return g, call.Header
	}
	first, _ := encode(func(*storage.Sender, *deliver.Envelope) {})
	again, _ := encode(func(*storage.Sender, *deliver.Envelope) {})
	other, _ := encode(func(_ *storage.Sender, e *deliver.Envelope) { e.Message.ID = "msg_8" })
	if first.ID != again.ID || first.ID == other.ID {
		t.Errorf("got the IDs %s and %s of one message, and %s of another", first.ID, again.ID, other.ID)
	}
	signIn, _ := encode(func(_ *storage.Sender, e *deliver.Envelope) { e.Purpose = storage.PurposeSignIn })
	if signIn.Payload.Purpose != "passwordless_authentication" {
		t.Errorf("got the purpose %q", signIn.Payload.Purpose)
	}
	open, header := encode(func(s *storage.Sender, _ *deliver.Envelope) { s.SharedKey = storage.Sealed{} })
	if open.Configuration.Secret == nil || *open.Configuration.Secret != "" || header["X-Moltin-Secret-Key"] != nil {
		t.Errorf("without a secret key: got %v, header %v", open.Configuration.Secret, header)
	}
}

// TestEncodeCodeEventSigned verifies the signature with the library of Standard Webhooks.
func TestEncodeCodeEventSigned(t *testing.T) {
	t.Parallel()
	const secret = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
	sender, envelope := codeEvent()
	sender.Signature, sender.SigningSecrets.Data = storage.StandardWebhookSignature, []byte(secret)
	call, err := webhookEncoder().Encode(t.Context(), sender, envelope)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Verify(call.Body, call.Header); err != nil {
		t.Error(err)
	}
	sender.SigningSecrets.Data = nil
	if call, err := webhookEncoder().Encode(t.Context(), sender, envelope); err == nil {
		t.Errorf("without a key: got the header %v, want an error", call.Header)
	}
}

func TestEncodeCodeEventFails(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	for name, test := range map[string]struct {
		spoil     func(*WebhookEncoder, *deliver.Envelope)
		permanent bool
	}{
		"another type":         {func(_ *WebhookEncoder, e *deliver.Envelope) { e.Message.Type = storage.MessageForgottenPassword }, true},
		"another user":         {func(_ *WebhookEncoder, e *deliver.Envelope) { e.UserUID = "usr_eve" }, true},
		"no such name":         {func(_ *WebhookEncoder, e *deliver.Envelope) { e.Username = "eve" }, true},
		"database unavailable": {func(w *WebhookEncoder, _ *deliver.Envelope) { w.Recipient = failingRecipient(fault) }, false},
		"no endpoint": {func(w *WebhookEncoder, _ *deliver.Envelope) {
			w.Endpoint = func(context.Context, storage.Sender) (deliver.Endpoint, error) {
				return deliver.Endpoint{}, deliver.Permanent(fault)
			}
		}, true},
	} {
		encoder := webhookEncoder()
		sender, envelope := codeEvent()
		test.spoil(&encoder, &envelope)
		if _, err := encoder.Encode(t.Context(), sender, envelope); err == nil || deliver.IsPermanent(err) != test.permanent {
			t.Errorf("%s: got error %v, permanent %v", name, err, deliver.IsPermanent(err))
		}
	}
}

func failingRecipient(fault error) func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
	return func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
		return storage.Principal{}, "", fault
	}
}
