package otp

import (
	"encoding/json"
	"fmt"
	"time"

	"latchkey/storage"
)

// Payload is the secret part of a message, sealed while it is queued.
type Payload struct {
	Username  string // of the login, as it was created
	Code      string
	ClientID  string
	UserUID   string
	ExpiresAt time.Time // of the code
}

// Sealer encrypts with additional data; *keys.Sealer is one.
type Sealer interface {
	Seal(plain []byte, context string) (storage.Sealed, error)
}

// Opener decrypts what a Sealer sealed with the same context; *keys.Sealer is
// one.
type Opener interface {
	Open(sealed storage.Sealed, context string) ([]byte, error)
}

// Seal encrypts the payload for the message with that id and no other.
func (p Payload) Seal(s Sealer, messageID string) (storage.Sealed, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return storage.Sealed{}, fmt.Errorf("encode payload: %w", err)
	}
	sealed, err := s.Seal(plain, payloadContext(messageID))
	if err != nil {
		return storage.Sealed{}, fmt.Errorf("seal payload: %w", err)
	}
	return sealed, nil
}

// OpenPayload returns the payload of a queued message.
func OpenPayload(o Opener, m storage.Message) (Payload, error) {
	plain, err := o.Open(m.Payload, payloadContext(m.ID))
	if err != nil {
		return Payload{}, fmt.Errorf("open payload: %w", err)
	}
	var p Payload
	if err := json.Unmarshal(plain, &p); err != nil {
		return Payload{}, fmt.Errorf("decode payload of message %s", m.ID) // the cause could quote the plaintext
	}
	return p, nil
}

func payloadContext(messageID string) string { return "message:" + messageID }
