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

// Console writes codes for a person at a terminal. It is for trying out and
// for demonstrations.
type Console struct {
	mu sync.Mutex
	w  io.Writer
}

// NewConsole returns a Console that writes to w, one line a message.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Send implements Transport. What a terminal would not print as itself is
// replaced in the username, so a name cannot forge a line.
func (c *Console) Send(_ context.Context, _ storage.Sender, e Envelope) error {
	line := fmt.Sprintf("one-time password for %s: %s\n", printable(e.Username), e.Code)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.w, line); err != nil {
		return fmt.Errorf("write to console: %w", err)
	}
	return nil
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
