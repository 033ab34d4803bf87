package storage

import (
	"encoding/base32"
	"fmt"
	"io"
)

// Prefixes of generated identifiers. A client may not be registered under one
// of them, so a token's subject can never be mistaken for a client
// (RFC 9068 §5).
const (
	UserPrefix    = "usr_"
	AccountPrefix = "acc_"
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns prefix followed by 128 random bits in lower-case Crockford
// base32 (26 characters).
func NewID(random io.Reader, prefix string) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("new identifier: %w", err)
	}
	return prefix + idEncoding.EncodeToString(b[:]), nil
}
