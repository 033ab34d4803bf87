package surface

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"
)

// Faults of a body. Each dialect answers them in its own words.
var (
	ErrBodyTooLarge = errors.New("the request body is too large")
	ErrBodyNotJSON  = errors.New("the request body is not JSON in UTF-8")
)

// ReadJSON returns the body of a request, which must be JSON in UTF-8 of at most
// limit bytes. Errors are ErrBodyTooLarge and ErrBodyNotJSON; the second also
// stands for a body that cannot be read to its end.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, ErrBodyTooLarge
	case err != nil, !utf8.Valid(raw), !json.Valid(raw):
		return nil, ErrBodyNotJSON
	}
	return raw, nil
}
