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
			t.Errorf("Send: got %q, error %v; want %q", out.String(), err, test.want)
		}
	}
}

func TestConsoleMessageTypes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[storage.MessageType]string{
		storage.MessageOneTimePassword:   "one-time password for bob: ABC123\n",
		storage.MessageForgottenPassword: "code to renew the password of bob: ABC123 at https://x.example/\ufffdone-time password\n",
		storage.MessageForgottenUsername: "username: bob\n",
		storage.MessageNewUserInvitation: "invitation for bob: ABC123 at https://x.example/\ufffdone-time password\n",
	} {
		var out strings.Builder
		e := deliver.Envelope{
			Message: storage.Message{Type: kind}, Username: "bob", Code: "ABC123", URL: "https://x.example/\none-time password",
		}
		if err := deliver.NewConsole(&out).Send(t.Context(), storage.Sender{}, e); err != nil || out.String() != want {
			t.Errorf("%s: got %q, error %v; want %q", kind, out.String(), err, want)
		}
	}
}

func TestConsoleConcurrentLines(t *testing.T) {
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
		t.Errorf("got %q", out.String())
	}
}

func TestConsoleWriteError(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	reader.Close()
	err := deliver.NewConsole(writer).Send(t.Context(), storage.Sender{}, deliver.Envelope{})
	if !errors.Is(err, io.ErrClosedPipe) || deliver.IsPermanent(err) {
		t.Errorf("Send: got %v, want ErrClosedPipe", err)
	}
}
