package domain_test

import (
	"testing"

	"latchkey/otp/domain"
)

func TestToASCII(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                      "",
		"mail.example":          "mail.example",
		"Mail_1.Example.":       "Mail_1.Example.",
		"192.0.2.1":             "192.0.2.1",
		"[::1]":                 "[::1]",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
		"b\u00fccher.example":   "xn--bcher-kva.example",
		"B\u00dcCHER.example":   "xn--bcher-kva.example",
		"bu\u0308cher.example":  "xn--bcher-kva.example",
	} {
		if got, err := domain.ToASCII(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"\u00fc\u00df .example", "\ufffd.example", "a\u200b\u00fc..example/"} {
		if got, err := domain.ToASCII(name); err == nil {
			t.Errorf("%q: got %q, want an error", name, got)
		}
	}
}
