package otp

import (
	"encoding/json"
	"fmt"
	"time"

	"latchkey/storage"
)

// Payload is the confidential part of a message. It is sealed while the message is
// queued.
type Payload struct {
	Username    string // of the login, as entered when it was created
	Code        string // a one-time password or a verification code; empty: the message has none
	ClientID    string // empty: requested through no client in particular
	UserUID     string
	ExpiresAt   time.Time       // of the code
	RequestedAt time.Time       // when the message was requested
	Purpose     storage.Purpose // of a one-time password
	URL         string          // page to reset the password, from the request
	RealmID     string          // of the user
	ProfileID   string          // of the login
	LoginID     string
	SessionID   string    // of a Logout message: the session that has ended
	Email       string    // of a ContactChanged message: the former address
	Phone       string    // of a ContactChanged message: the former number
	LockedUntil time.Time // of an AccountLocked message: end of the lock; zero: ended or unknown
}

// Sealer encrypts with additional data; *keys.Sealer implements it.
type Sealer interface {
	Seal(plain []byte, context string) (storage.Sealed, error)
}

// Opener decrypts what a Sealer encrypted with the same context; *keys.Sealer implements it.
type Opener interface {
	Open(sealed storage.Sealed, context string) ([]byte, error)
}

// Seal encrypts the payload for the message messageID. It cannot be opened as the
// payload of another message.
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

// OpenPayload decrypts the payload of a queued message.
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

// PayloadContext returns the additional authenticated data of the sealed payload of a
// message.
func PayloadContext(messageID string) string { return "message:" + messageID }
