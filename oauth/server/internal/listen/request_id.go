package listen

import (
	"context"
	"encoding/hex"
	"io"
	"net/netip"
)

const requestIDHeader = "X-Request-Id"

// RequestID returns the id of the request that ctx belongs to. It is empty outside of
// a request.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

type requestIDKey struct{}

// requestContext adds the id and the client address of a request to its context. It
// needs one allocation for both.
type requestContext struct {
	context.Context
	id     string
	client netip.Addr
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	switch key.(type) {
	case requestIDKey:
		return c.id
	case clientAddrKey:
		return c.client
	}
	return c.Context.Value(key)
}

// requestID returns the id that the client sent, if it has 1 to 64 letters, digits,
// hyphens and underscores. Otherwise it returns the id of the request's span, or a new id
// of 128 random bits if there is no span.
func requestID(sent []string, spanID string, random io.Reader) (string, error) {
	if len(sent) == 1 && harmless(sent[0]) {
		return sent[0], nil
	}
	if spanID != "" {
		return spanID, nil
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

func harmless(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 64
}
