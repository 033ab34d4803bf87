package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// drives tells whether a character does something to a terminal, or to how the
// characters around it are shown, other than being one: controls, those of
// C1 and DEL too, separators of lines, and what changes the direction.
func drives(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u061c', r == '\ufeff':
		return true
	}
	return r >= '\u200b' && r <= '\u200f' || r >= '\u202a' && r <= '\u202e' || r >= '\u2060' && r <= '\u206f'
}

// jsonWriter passes JSON on, and writes what drives a terminal as JSON does what
// is special: \u202e. In JSON such characters occur in strings only, so that
// every reader gets the same texts.
type jsonWriter struct{ to io.Writer }

// Write implements io.Writer. It takes whole lines.
func (w jsonWriter) Write(p []byte) (int, error) {
	n := len(p)
	if !plainJSON(p) {
		p = escapedJSON(p)
	}
	if _, err := w.to.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

// plainJSON tells whether there is nothing to write otherwise; of most lines it
// is found out byte by byte.
func plainJSON(p []byte) bool {
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			if p[i] < ' ' && p[i] != '\n' || p[i] == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size == 1 || drives(r) {
			return false
		}
		i += size
	}
	return true
}

func escapedJSON(p []byte) []byte {
	out := make([]byte, 0, 2*len(p))
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r == '\n' || !drives(r) && (r != utf8.RuneError || size > 1):
			out = append(out, p[:size]...)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		p = p[size:]
	}
	return out
}
