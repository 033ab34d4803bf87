package otp

import (
	"encoding/json"
	"fmt"
	"time"

	"latchkey/storage"
)

// Payload is the secret part of a message, sealed while it is queued.
type Payload struct {
	Username    string // of the login, as it was created
	Code        string // a one-time password or a verification code; empty: the message has none
	ClientID    string // empty: asked for through no client in particular
	UserUID     string
	ExpiresAt   time.Time       // of the code
	RequestedAt time.Time       // when somebody asked for the message
	Purpose     storage.Purpose // of a one-time password
	URL         string          // where a password is renewed, as the request says
	RealmID     string          // of the user
	ProfileID   string          // of the login
	LoginID     string
	Email       string    // of news of a changed contact: where the user was reached before
	Phone       string    // likewise
	LockedUntil time.Time // of news of a lock: when that ends; zero: it has, or is not known
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
	sealed, err := s.Seal(plain, PayloadContext(messageID))
	if err != nil {
		return storage.Sealed{}, fmt.Errorf("seal payload: %w", err)
	}
	return sealed, nil
}

// OpenPayload returns the payload of a queued message.
func OpenPayload(o Opener, m storage.Message) (Payload, error) {
	plain, err := o.Open(m.Payload, PayloadContext(m.ID))
	if err != nil {
		return Payload{}, fmt.Errorf("open payload: %w", err)
	}
	var p Payload
	if err := json.Unmarshal(plain, &p); err != nil {
		return Payload{}, fmt.Errorf("decode payload of message %s", m.ID) // the cause could quote the plaintext
	}
	return p, nil
}

// PayloadContext is what the payload of the message with that id is sealed with
// as additional data.
func PayloadContext(messageID string) string { return "message:" + messageID }
