package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"latchkey/oauth/admin"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// maxBodyBytes bounds the body of a request below /v1: a resource with the
// largest xp.
const maxBodyBytes = 256 << 10

// maxBodyDepth is the nesting of the deepest xp and of what may be around it,
// and one more, so that xp itself is told what is wrong with it.
const maxBodyDepth = maxXPDepth + 8

// call is one request with who sent it.
type call struct {
	*http.Request
	w      http.ResponseWriter
	api    *API
	caller *token.Caller // nil where anybody may call
	route  route
	values url.Values // of the query string, as surface.ReadQuery returns them
}

var (
	errBody        = refuse(http.StatusBadRequest, "Request.InvalidRequestBody", "The request body is not a JSON object of the expected shape.")
	errContentType = refuse(http.StatusUnsupportedMediaType, "Request.InvalidContentType", "Invalid content type. Please use application/json.")
	errTooLarge    = refuse(http.StatusRequestEntityTooLarge, "Request.InvalidRequestBody", "The request body is too large.")
	errStale       = refuse(http.StatusPreconditionFailed, "PreconditionFailed", "The object was changed since it was read.")
	errIfMatch     = refuse(http.StatusBadRequest, "InvalidRequest", "The header If-Match is not an entity tag of ours.")
)

// inTx makes a change in one transaction: its writes take effect together or
// not at all, and it reads what is stored, not what memory holds.
func (c *call) inTx(change func(*call) error) error {
	return c.api.cfg.Tx.InTx(c.Context(), func(ctx context.Context) error {
		within := *c
		within.Request = c.WithContext(ctx)
		return change(&within)
	})
}

// revise makes a change in one transaction, and anew whenever somebody else
// changed meanwhile what it is to write.
func (c *call) revise(change func(*call) error) error {
	for range maxRewrites {
		if err := c.inTx(change); !errors.Is(err, storage.ErrStale) {
			return err
		}
	}
	return errStale
}

// read decodes the body into the shape that into points to. Members that the
// shape does not have are ignored; faults are told with their path.
func (c *call) read(into any) error {
	raw, err := c.rawBody()
	if err != nil {
		return err
	}
	return c.decode(raw, into)
}

// decode decodes a body that rawBody returned; see read.
func (c *call) decode(raw []byte, into any) error {
	ignored, faults := decodeKnown(raw, into)
	c.noteIgnored("members", ignored)
	return faults.Err()
}

// readExactly decodes the body of an assignment, or of a resource that OrderCloud
// does not have. A member that the shape does not have is refused: it could say
// whom the assignment is for, and without it the assignment would be for more
// than the caller meant.
func (c *call) readExactly(into any) error {
	raw, err := c.rawBody()
	if err != nil {
		return err
	}
	return Decode(raw, "", into).Err()
}

// maxIgnored is how many ignored names are logged for one request.
const maxIgnored = 20

// noteIgnored logs what a request has that this server does not know.
func (c *call) noteIgnored(what string, names []string) {
	if len(names) == 0 {
		return
	}
	shown := make([]string, 0, maxIgnored)
	for _, name := range names[:min(len(names), maxIgnored)] {
		shown = append(shown, printable(name))
	}
	c.api.cfg.Logger.Debug().Str("request_id", c.api.cfg.TraceID(c.Context())).Str("pattern", c.Pattern).
		Str("ignored", what).Strs("names", shown).Msg("the request has unknown names")
}

// rawBody returns the body, which is a JSON object in UTF-8.
func (c *call) rawBody() ([]byte, error) {
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errContentType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil || !utf8.Valid(raw) || deep(raw) || !json.Valid(raw) || !strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return nil, errBody
	}
	return raw, nil
}

// deep reports whether a document is nested beyond what any resource is: a merge
// patch reads every level anew, so that its cost rises with the square of their
// number.
func deep(document []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // whatever it escapes
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxBodyDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
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

func entityTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// writeReply answers with JSON, or with nothing.
func writeReply(w http.ResponseWriter, r reply) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.version > 0 {
		h.Set("ETag", entityTag(r.version))
	}
	if len(r.changed) > 0 {
		h.Set(admin.ChangedHeader, strings.Join(r.changed, ", "))
	}
	if r.notice != "" {
		h.Set(admin.NoticeHeader, r.notice)
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	encoded, err := json.Marshal(r.body)
	if err != nil { // only possible for a body that is not made of plain values
		panic(err)
	}
	h.Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(r.status)
	_, _ = w.Write(encoded) // a client that has gone gets nothing
}
