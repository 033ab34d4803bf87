package storage

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Prefixes of generated identifiers. The ID of a client must not begin with one
// of them. New users have no prefix; see NewUserUID.
const (
	UserPrefix    = "usr_"
	AccountPrefix = "acc_"
)

// MessagePrefix is the prefix of message IDs.
const MessagePrefix = "msg_"

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns prefix followed by a random UUID (RFC 9562 §5.4) in lower-case
// Crockford base32 (26 characters, 122 random bits). It returns the error of
// random.
func NewID(random io.Reader, prefix string) (string, error) {
	b, err := randomUUID(random)
	if err != nil {
		return "", err
	}
	return prefix + idEncoding.EncodeToString(b[:]), nil
}

// secretBytes is the length of a secret in bytes. A secret with 256 random bits cannot be
// guessed, so it is stored as a fast keyed digest instead of a password hash.
const secretBytes = 32

// NewSecret returns 256 random bits in base64url. It returns the error of random.
func NewSecret(random io.Reader) (string, error) {
	b := make([]byte, secretBytes)
	_, err := io.ReadFull(random, b)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// NewUUID returns a random UUID (RFC 9562 §5.4) in lower-case hexadecimal. It is
// the form of the IDs of logins and all records that are created through
// the Elastic Path dialect. NewUUID returns the error of random.
func NewUUID(random io.Reader) (string, error) {
	b, err := randomUUID(random)
	if err != nil {
		return "", err
	}
	return hyphenated(b), nil
}

// NewUserUID returns a random UUID of version 8 (RFC 9562 §5.8) in lower-case hexadecimal,
// with 122 random bits. No other ID has that version; see IsUserUID. NewUserUID returns the
// error of random.
func NewUserUID(random io.Reader) (string, error) {
	b, err := randomUUID(random)
	if err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x80 // version 8
	return hyphenated(b), nil
}

// IsUserUID reports whether the ID has the form of a user's UID, whether or not a
// user has it or ever had it, with or without hyphens and in any letter case. A
// client must not have such an ID: the subject of a token names a user or a client,
// and must not be mistaken for the other (RFC 9068 §5). The ID that a deleted user
// had is never given again.
func IsUserUID(id string) bool {
	id = strings.ToLower(id)
	if strings.HasPrefix(id, UserPrefix) {
		return true
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	return err == nil && len(raw) == 16 && raw[6]>>4 == 8 && raw[8]>>6 == 2
}

func randomUUID(random io.Reader) (b [16]byte, err error) {
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return b, fmt.Errorf("new identifier: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40 // version 4
	b[8] = b[8]&0x3f | 0x80 // variant
	return b, nil
}

func hyphenated(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// IDToUUID returns the UUID in an identifier that NewID returned for the prefix.
// It returns any other text unchanged.
func IDToUUID(prefix, id string) string {
	text, ok := strings.CutPrefix(id, prefix)
	raw, err := idEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != 16 {
		return id
	}
	return hyphenated([16]byte(raw))
}

// UUIDToID is the inverse of IDToUUID.
func UUIDToID(prefix, uuid string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(raw) != 16 || hyphenated([16]byte(raw)) != uuid {
		return uuid
	}
	return prefix + idEncoding.EncodeToString(raw)
}
