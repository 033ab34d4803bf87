package storage_test

import (
	"testing"

	"latchkey/storage"
)

// TestSenderHandles: senders that write their messages themselves tell of changed
// addresses if they bring codes, webhooks only what they name.
func TestSenderHandles(t *testing.T) {
	t.Parallel()
	const changed, code, renewal, locked = storage.MessageContactChanged, storage.MessageOneTimePassword, storage.MessageForgottenPassword, storage.MessageAccountLocked
	tests := []struct {
		kind  storage.SenderKind
		named []storage.MessageType
		of    storage.MessageType
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
		s := storage.Sender{Kind: test.kind, Types: test.named}
		if got := s.Handles(test.of); got != test.want {
			t.Errorf("%s sender of %v: %v for %s", test.kind, test.named, got, test.of)
		}
	}
}
