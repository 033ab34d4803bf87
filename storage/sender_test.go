package storage_test

import (
	"testing"

	"latchkey/storage"
)

// TestSenderHandles checks that smtp and console senders that deliver codes also deliver
// ContactChanged, and that webhooks get only the types that they name.
func TestSenderHandles(t *testing.T) {
	t.Parallel()
	const changed, code, renewal, locked = storage.MessageContactChanged, storage.MessageOneTimePassword, storage.MessageForgottenPassword, storage.MessageAccountLocked
	tests := []struct {
		kind  storage.SenderKind
		types []storage.MessageType
		asked storage.MessageType
		want  bool
	}{
		{storage.WebhookSender, []storage.MessageType{code}, code, true},
		{storage.WebhookSender, []storage.MessageType{code, renewal, locked}, changed, false},
		{storage.WebhookSender, []storage.MessageType{changed}, changed, true},
		{storage.SMTPSender, []storage.MessageType{code}, changed, true},
		{storage.SMTPSender, []storage.MessageType{renewal}, changed, true},
		{storage.SMTPSender, []storage.MessageType{locked}, changed, false},
		{storage.SMTPSender, []storage.MessageType{code}, locked, false},
		{storage.ConsoleSender, []storage.MessageType{code}, changed, true},
	}
	for _, test := range tests {
		s := storage.Sender{Kind: test.kind, Types: test.types}
		if got := s.Handles(test.asked); got != test.want {
			t.Errorf("%s sender of %v: got Handles(%[4]s) = %[3]v", test.kind, test.types, got, test.asked)
		}
	}
}
