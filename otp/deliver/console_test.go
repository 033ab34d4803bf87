package deliver_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

func TestConsole(t *testing.T) {
	t.Parallel()
	tests := []struct{ username, want string }{
		{"bob", "one-time password for bob: ABC123\n"},
		{"bob smith@example.com", "one-time password for bob smith@example.com: ABC123\n"},
		{"Zoë", "one-time password for Zoë: ABC123\n"},
		{"eve\r\none-time password for bob: X\x1b[2J\u202e", "one-time password for eve\ufffd\ufffdone-time password for bob: X\ufffd[2J\ufffd: ABC123\n"},
	}
	for _, test := range tests {
		var out strings.Builder
		err := deliver.NewConsole(&out).Send(t.Context(), storage.Sender{}, deliver.Envelope{Username: test.username, Code: "ABC123"})
		if err != nil || out.String() != test.want {
			t.Errorf("Send wrote %q, %v; want %q", out.String(), err, test.want)
		}
	}
}

func TestConsoleLinesStayWhole(t *testing.T) {
	t.Parallel()
	var out strings.Builder // not safe for concurrent use
	console := deliver.NewConsole(&out)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := console.Send(t.Context(), storage.Sender{}, deliver.Envelope{Username: "bob", Code: "ABC123"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if want := strings.Repeat("one-time password for bob: ABC123\n", 20); out.String() != want {
		t.Errorf("wrote %q", out.String())
	}
}

func TestConsoleThatIsGone(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	reader.Close()
	err := deliver.NewConsole(writer).Send(t.Context(), storage.Sender{}, deliver.Envelope{})
	if !errors.Is(err, io.ErrClosedPipe) || deliver.IsPermanent(err) {
		t.Errorf("Send = %v", err)
	}
}
