package surface

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// ErrIfMatch says that the header If-Match is not an entity tag of this server.
var ErrIfMatch = errors.New("If-Match is not an entity tag of this server")

// EntityTag returns the entity tag of a record's version (RFC 9110 §8.8.3).
func EntityTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// IfMatch returns the version that the header If-Match demands, or 0 if it
// demands none. An asterisk demands that the record exists, which the operation
// checks anyway. The error is ErrIfMatch.
func IfMatch(h http.Header) (version int64, err error) {
	tag := h.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	number, opened := strings.CutPrefix(tag, `"`)
	number, closed := strings.CutSuffix(number, `"`)
	version, err = strconv.ParseInt(number, 10, 64)
	if !opened || !closed || err != nil || version < 1 {
		return 0, ErrIfMatch
	}
	return version, nil
}
