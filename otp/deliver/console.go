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

// Console writes messages for a person at a terminal. It is for trying out and
// for demonstrations.
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole returns a Console that writes to w, one line a message.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Send implements Transport. What a terminal would not print as itself is
// replaced, so a name or a URL cannot forge a line.
func (c *Console) Send(_ context.Context, _ storage.Sender, e Envelope) error {
	line := printable(told(e)) + "\n"
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.w, line); err != nil {
		return fmt.Errorf("write to console: %w", err)
	}
	return nil
}

// told is what the message tells, in a line.
func told(e Envelope) string {
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

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
