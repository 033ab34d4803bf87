package deliver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"latchkey/storage"
)

// Console is a Transport that writes messages to a terminal. It is for
// demonstrations and for development.
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole returns a Console that writes one line per message to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Send implements Transport. It replaces characters that are not printable, so that
// a username or a URL cannot forge a line.
func (c *Console) Send(_ context.Context, _ storage.Sender, e Envelope) error {
	line := printable(summary(e)) + "\n"
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.w, line); err != nil {
		return fmt.Errorf("write to console: %w", err)
	}
	return nil
}

// summary returns what the message says, as one line.
func summary(e Envelope) string {
	line := ""
	switch e.Message.Type {
	case storage.MessageForgottenUsername:
		return "username: " + e.Username
	case storage.MessageAccountLocked:
		return "locked after failed sign-ins: " + e.Username
	case storage.MessageContactChanged:
		return "e-mail address or phone number changed: " + e.Username
	case storage.MessageForgottenPassword:
		line = fmt.Sprintf("code to renew the password of %s: %s", e.Username, e.Code)
	case storage.MessageNewUserInvitation:
		line = fmt.Sprintf("invitation for %s: %s", e.Username, e.Code)
	default:
		return fmt.Sprintf("one-time password for %s: %s", e.Username, e.Code)
	}
	if e.URL != "" {
		line += " at " + e.URL
	}
	return line
}

// printable replaces each character of s that is not printable.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
