package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// controlsTerminal reports whether a character has an effect on a terminal, or on how
// the characters around it are shown: control characters, including C1 and DEL, line
// separators, and characters that change the direction of text.
func controlsTerminal(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u061c', r == '\ufeff':
		return true
	}
	return r >= '\u200b' && r <= '\u200f' || r >= '\u202a' && r <= '\u202e' || r >= '\u2060' && r <= '\u206f'
}

// jsonWriter writes JSON, and escapes characters that control a terminal, such as
// \u202e. In JSON they occur in strings only, so a parser gets the same text.
type jsonWriter struct{ to io.Writer }

// Write implements io.Writer. Each call must write whole lines.
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

// plainJSON reports whether nothing has to be escaped. It checks ASCII byte by byte,
// because most lines are ASCII.
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
		if r == utf8.RuneError && size == 1 || controlsTerminal(r) {
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
		case r == '\n' || !controlsTerminal(r) && (r != utf8.RuneError || size > 1):
			out = append(out, p[:size]...)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		p = p[size:]
	}
	return out
}
