package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/storage"
)

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = 32

// Info strings of HKDF (RFC 5869 §3.2). They separate the encryption key from the bytes
// from which the public key id is derived.
const (
	sealInfo   = "latchkey/seal/v1"
	sealIDInfo = "latchkey/seal/id/v1"
)

// Errors of Sealer.Open.
var (
	// ErrUnknownMasterKey says that this process does not have the master key
	// under which the secret was sealed.
	ErrUnknownMasterKey = errors.New("sealed under an unknown master key")
	// ErrTampered says that the sealed bytes are damaged, or were sealed for
	// another context.
	ErrTampered = errors.New("sealed secret is damaged or has another context")
)

// Sealer encrypts secrets for storage under a master key. It is safe for
// concurrent use.
type Sealer struct {
	currentID string
	aeads     map[string]cipher.AEAD
}

// NewSealer returns a Sealer with the master keys, of MasterKeySize bytes each. The first
// one seals, and all of them open. To replace a master key, put the new one first. It
// returns an error without a master key and for one of another length.
func NewSealer(masterKeys ...[]byte) (*Sealer, error) {
	if len(masterKeys) == 0 {
		return nil, errors.New("new sealer: no master key")
	}
	s := &Sealer{aeads: make(map[string]cipher.AEAD, len(masterKeys))}
	for i, master := range masterKeys {
		id, aead, err := deriveSealKey(master)
		if err != nil {
			return nil, fmt.Errorf("new sealer: master key %d: %w", i+1, err)
		}
		if i == 0 {
			s.currentID = id
		}
		s.aeads[id] = aead
	}
	return s, nil
}

// deriveSealKey derives the key id and the cipher of a master key.
func deriveSealKey(master []byte) (id string, aead cipher.AEAD, err error) {
	if len(master) != MasterKeySize {
		return "", nil, fmt.Errorf("has %d bytes, want %d", len(master), MasterKeySize)
	}
	key, err := hkdf.Key(sha256.New, master, nil, sealInfo, 32)
	if err != nil {
		return "", nil, fmt.Errorf("derive key: %w", err)
	}
	label, err := hkdf.Key(sha256.New, master, nil, sealIDInfo, 32)
	if err != nil {
		return "", nil, fmt.Errorf("derive key id: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", nil, fmt.Errorf("cipher: %w", err)
	}
	// The standard library chooses the nonces. A nonce that repeats under one key
	// reveals the authentication key, so no caller may choose it (NIST SP 800-38D
	// §8.2.2).
	if aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return "", nil, fmt.Errorf("cipher mode: %w", err)
	}
	sum := sha256.Sum256(label)
	return hex.EncodeToString(sum[:8]), aead, nil
}

// CurrentID returns the id of the first master key, which Seal uses.
func (s *Sealer) CurrentID() string { return s.currentID }

// Knows reports whether the sealer has the master key with the id.
func (s *Sealer) Knows(keyID string) bool {
	_, ok := s.aeads[keyID]
	return ok
}

// Seal encrypts plain under the first master key. The context says what the secret is and
// to which record it belongs. Open needs the same context, so a sealed secret that was
// copied into another record does not open.
func (s *Sealer) Seal(plain []byte, context string) (storage.Sealed, error) {
	data := s.aeads[s.currentID].Seal(nil, nil, plain, []byte(context))
	return storage.Sealed{KeyID: s.currentID, Data: data}, nil
}

// Open decrypts a secret that was sealed under any of the master keys. It returns
// ErrUnknownMasterKey or ErrTampered.
func (s *Sealer) Open(sealed storage.Sealed, context string) ([]byte, error) {
	aead, ok := s.aeads[sealed.KeyID]
	if !ok {
		return nil, fmt.Errorf("%w (key id %q)", ErrUnknownMasterKey, sealed.KeyID)
	}
	plain, err := aead.Open(nil, nil, sealed.Data, []byte(context))
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// SealText is Seal for text that leaves the server and comes back, such as the state of a
// form. The result is base64url. It returns the error of Seal.
func (s *Sealer) SealText(plain []byte, context string) (string, error) {
	sealed, err := s.Seal(plain, context)
	if err != nil {
		return "", err
	}
	id, err := hex.DecodeString(sealed.KeyID)
	if err != nil {
		return "", fmt.Errorf("seal text: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(id, sealed.Data...)), nil
}

// OpenText opens what SealText returned for the context. It returns ErrUnknownMasterKey
// or ErrTampered.
func (s *Sealer) OpenText(text, context string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < sealIDSize {
		return nil, ErrTampered
	}
	return s.Open(storage.Sealed{KeyID: hex.EncodeToString(raw[:sealIDSize]), Data: raw[sealIDSize:]}, context)
}

// sealIDSize is the length of the id of a master key in bytes.
const sealIDSize = 8
