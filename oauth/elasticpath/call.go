package elasticpath

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

const (
	// maxBodyBytes bounds the body of a request below /v2.
	maxBodyBytes = 64 << 10
	// maxRewrites is how often a change is tried anew on what somebody else has
	// changed meanwhile.
	maxRewrites = 10

	accountTokenHeader = "EP-Account-Management-Authentication-Token" // #nosec G101 -- a name, not a secret
)

// call is one request with who sent it.
type call struct {
	*http.Request
	w      http.ResponseWriter
	api    *API
	caller *token.Caller
	holder *token.AccountHolder // the account member who calls; nil: the caller acts for itself
	values url.Values           // of the query string, as surface.ReadQuery returns them
}

// members are the members of a body's data by their names.
type members map[string]json.RawMessage

// isNull reports whether the member is there and null.
func (m members) isNull(name string) bool { return string(m[name]) == "null" }

// read decodes the data of the body into the shape that into points to. Its type
// must be one of kinds, or absent. Members that the shape does not have are
// ignored, since clients send what they were sent.
func (c *call) read(into any, kinds ...string) (members, error) {
	raw, err := c.rawBody()
	if err != nil {
		return nil, err
	}
	var body struct{ Data json.RawMessage }
	if json.Unmarshal(raw, &body) != nil {
		return nil, errBody
	}
	return decodeData(body.Data, into, kinds...)
}

// decodeData decodes one resource; see read.
func decodeData(data json.RawMessage, into any, kinds ...string) (members, error) {
	var all members
	if len(data) == 0 || json.Unmarshal(data, &all) != nil || all == nil {
		return nil, refuse(http.StatusBadRequest, validation("data", "required"))
	}
	var kind string
	if given, ok := all["type"]; ok && (json.Unmarshal(given, &kind) != nil || !slices.Contains(kinds, kind)) {
		return nil, refuse(http.StatusBadRequest, validation("type", "eq"))
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, into); {
	case errors.As(err, &wrong):
		return nil, refuse(http.StatusBadRequest, validation(memberName(wrong.Field), "type"))
	case err != nil:
		return nil, errBody
	}
	return all, nil
}

// memberName returns the path of a member on the wire: of the path that
// encoding/json tells, without the names of embedded structs.
func memberName(path string) string {
	parts := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p != "" && p[0] >= 'A' && p[0] <= 'Z' }), ".")
}

// rawBody returns the body, which is JSON in UTF-8 without repeated members. A missing content type is
// taken for the right one, and so is every kind of JSON.
func (c *call) rawBody() ([]byte, error) {
	if given := c.Header.Get("Content-Type"); given != "" {
		media, _, err := mime.ParseMediaType(given)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, errContentType
		}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil || !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errBody
	}
	if name := surface.RepeatedMember(raw); name != "" {
		return nil, refuse(http.StatusBadRequest, validation(name[:min(len(name), maxID)], "unique"))
	}
	return raw, nil
}

// id returns a name out of the path, as it is stored; ok is false for what no name
// can be.
func (c *call) id(parameter string) (id string, ok bool) {
	id = c.PathValue(parameter)
	switch parameter {
	case "realm":
		id = storage.RealmID(id)
	case "profile":
		id = storage.PasswordProfileID(id)
	case "job":
		id = storage.UUIDToID(storage.MessagePrefix, id)
	}
	return id, id != "" && len(id) <= maxID && plain(id)
}

// includes reports whether the caller asked for related resources of that name.
func (c *call) includes(name string) bool {
	return slices.Contains(strings.Split(strings.Join(c.values["include"], ","), ","), name)
}

// wantsVersion returns the version that If-Match demands; 0: any. An asterisk
// demands that there is one, which whoever calls this has seen to.
func (c *call) wantsVersion() (int64, error) {
	tag := c.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	number, ok := strings.CutPrefix(tag, `"`)
	number, closed := strings.CutSuffix(number, `"`)
	version, err := strconv.ParseInt(number, 10, 64)
	if !ok || !closed || err != nil || version < 1 {
		return 0, errIfMatch
	}
	return version, nil
}

// rewrite stores what change makes of the record that read finds. With If-Match
// it is refused if the record is another version by then; else it is tried anew
// on what others have changed, so that no change is lost.
func rewrite[R any](c *call, read func() (R, error), version func(R) int64, change func(R) (R, error), write func(R) (R, error)) (R, error) {
	wanted, err := c.wantsVersion()
	var r R
	if err != nil {
		return r, err
	}
	for range maxRewrites {
		if r, err = read(); err != nil {
			return r, err
		}
		if wanted != 0 && version(r) != wanted {
			return r, errStale
		}
		if r, err = change(r); err != nil {
			return r, err
		}
		stored, err := write(r)
		if wanted != 0 || !errors.Is(err, storage.ErrStale) {
			return stored, err
		}
	}
	return r, errStale
}

// take overwrites into with what was given.
func take[T any](into *T, given *T) {
	if given != nil {
		*into = *given
	}
}

// takeNullable overwrites a text with what was given, and empties it for null.
func takeNullable(into *string, given *string, body members, name string) {
	take(into, given)
	if body.isNull(name) {
		*into = ""
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
