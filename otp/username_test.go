package otp_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey/otp"
	"latchkey/storage"
)

func TestNormalizeUsername(t *testing.T) {
	t.Parallel()
	tests := []struct{ typed, want string }{
		{"", ""},
		{" \t\u00a0", ""},
		{"bob", "bob"},
		{"Bob", "bob"},
		{"bob ", "bob"},
		{"\uff22\uff4f\uff42", "bob"}, // full width
		{"Bob.O'Neil@Example.com", "bob.o'neil@example.com"},
		{"STRASSE", "strasse"},
		{"Straße", "strasse"},
		{"ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"e\u0301", "\u00e9"}, // composed
		{"\u00c9", "\u00e9"},
		{"ﬁ", "fi"},
		{"bob smith", "bob smith"},
		{"a\x00b", "a\ufffdb"},
		{"a\xffb", "a\ufffdb"},
	}
	for _, test := range tests {
		if got := otp.NormalizeUsername(test.typed); got != test.want {
			t.Errorf("NormalizeUsername(%q): got %q, want %q", test.typed, got, test.want)
		}
	}
}

func TestHasInvisible(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"bob\u200b", "b\u00adob", "\ufeffbob", "bob\u200d", "b\u200cob", "\u202ebob", "bob\u2066", "bob\u061c", "bo\u034fb",
		"bob\u3164", "bob\ufe0f", "bob\U000e0041", "bob\u2060", "\u200fbob",
	} {
		if !otp.HasInvisible(name) {
			t.Errorf("%+q: got false, want true", name)
		}
	}
	for _, name := range []string{"", "bob", "bob smith", "b\u00f6b", "e\u0301", "\u5f35\u4e09", "\u0645\u062d\u0645\u062f", "bob@example.com"} {
		if otp.HasInvisible(name) {
			t.Errorf("%+q: got true, want false", name)
		}
	}
}

func FuzzNormalizeUsername(f *testing.F) {
	for _, seed := range []string{"", "Bob ", "\uff22ob", "ǰ\u0345", "\u1fb4", "İ", "\u00b4x", "\xff\x00", "ᾼ\u0301", "Ꭰꭰ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got := otp.NormalizeUsername(typed)
		if again := otp.NormalizeUsername(got); again != got {
			t.Errorf("NormalizeUsername(%q): got %q, and normalized again %q", typed, got, again)
		}
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) || strings.TrimSpace(got) != got {
			t.Errorf("NormalizeUsername(%q): got %q, want valid trimmed text", typed, got)
		}
	})
}

func TestSetUsername(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		format, username string
		want             error
	}{
		{storage.UsernameAny, "Bob ", nil},
		{storage.UsernameAny, " ", otp.ErrUsernameEmpty},
		{storage.UsernameAny, "bo\u200bb", otp.ErrUsernameInvisible},
		{storage.UsernameEmail, "Bob@Example.com", nil},
		{storage.UsernameEmail, "bob", otp.ErrUsernameNotEmail},
		{storage.UsernameEmail, "Bob <bob@example.com>", otp.ErrUsernameNotEmail},
		{storage.UsernameEmail, "bo\u200bb@example.com", otp.ErrUsernameNotEmail},
	} {
		l := storage.Login{Username: "old", UsernameKey: "old"}
		err := otp.SetUsername(&l, storage.PasswordProfile{UsernameFormat: test.format}, test.username)
		if !errors.Is(err, test.want) || err == nil && (l.Username != test.username || l.UsernameKey != otp.NormalizeUsername(test.username)) ||
			err != nil && l.Username != "old" {
			t.Errorf("%s %q: got error %v, %+v", test.format, test.username, err, l)
		}
	}
}
