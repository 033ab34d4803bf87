package terminal

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Controls reports whether a character has an effect on a terminal, or on how the
// characters around it are shown: control characters, including C1 and DEL, line
// separators, and format characters, such as those that change the direction of text.
func Controls(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// JSON returns a writer of JSON that escapes characters that control a terminal, such as
// \u202e. In JSON they occur in strings only, so a parser gets the same text. Each call
// of Write must write whole lines.
func JSON(to io.Writer) io.Writer { return jsonWriter{to} }

type jsonWriter struct{ to io.Writer }

// Write implements io.Writer.
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
		if r == utf8.RuneError && size == 1 || Controls(r) {
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
		if r == '\n' || !Controls(r) && (r != utf8.RuneError || size > 1) {
			out = append(out, p[:size]...)
		} else {
			for _, unit := range utf16.AppendRune(nil, r) { // RFC 8259 §7
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
		p = p[size:]
	}
	return out
}
