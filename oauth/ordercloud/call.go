package ordercloud

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"net/url"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
)

// maxBodyBytes is the largest body of a request below /v1. A resource with the largest xp
// fits into it.
const maxBodyBytes = 256 << 10

// maxBodyDepth is the deepest nesting of a body. It is more than the deepest valid xp and
// the resource around it need. So an xp that is one level too deep is refused with a fault
// that names xp.
const maxBodyDepth = wire.MaxXPDepth + 8

// API serves the resources below /v1.
type API struct {
	cfg     Config
	routes  []route
	exports chan struct{} // has an element for each export of audit events that runs

	counting chan struct{} // has an element while counted is read or made
	counted  wire.OneTimePasswordFunnel
}

// route is one operation with the function that serves it.
type route struct {
	openapi.Operation
	who   audience
	serve func(*call) (surface.Answer, error)
	alias bool // another path of an operation; the OpenAPI document leaves it out
}

// audience says which callers may use an operation. Their roles are checked in addition.
type audience int

const (
	sellers      audience = iota // clients that act for themselves and admin users
	companyUsers                 // sellers, and users of the buyer or supplier that the path names
	everyUser                    // any caller with a token
	anybody                      // no token is needed
)

// call is one request with its caller.
type call struct {
	*http.Request
	w      http.ResponseWriter
	api    *API
	caller *token.Caller // nil where anybody may call
	route  route
	values url.Values // of the query string, as surface.ReadQuery returns them
}

var errContentType = refuse(http.StatusUnsupportedMediaType, "Request.InvalidContentType", "Invalid content type. Please use application/json.")

// maxRewrites is how often a change is tried if other requests change the record in
// between. A failed try means that another request succeeded, so this many requests can
// change one record at the same time.
const maxRewrites = 100

// inTx makes a change in one transaction: its writes take effect together or not
// at all, and it reads the stored records, not cached ones.
func (c *call) inTx(change func(*call) error) error {
	return c.api.cfg.Tx.InTx(c.Context(), func(ctx context.Context) error {
		within := *c
		within.Request = c.WithContext(ctx)
		return change(&within)
	})
}

// rewriteInTx makes a change in one transaction, and repeats it if somebody else
// changed the record in between.
func (c *call) rewriteInTx(change func(*call) error) error {
	return surface.Rewrite(maxRewrites, 0, func() error { return c.inTx(change) })
}

// read decodes the body into the shape that into points to. Members that the
// shape does not have are ignored. It returns wire.Faults, which name the paths of wrong
// members.
func (c *call) read(into any) error {
	raw, err := c.rawBody()
	if err != nil {
		return err
	}
	return c.decode(raw, into)
}

// decode decodes a body that rawBody returned; see read.
func (c *call) decode(raw []byte, into any) error {
	ignored, faults := wire.DecodeKnown(raw, into)
	c.noteIgnored("members", ignored)
	return faults.Err()
}

// readExactly decodes the body of an assignment, or of a resource that OrderCloud does not
// have. It refuses members that the shape does not have. Such a member could limit an
// assignment, and without it the assignment would be for more users than the caller meant.
func (c *call) readExactly(into any) error {
	raw, err := c.rawBody()
	if err != nil {
		return err
	}
	return wire.Decode(raw, "", into).Err()
}

// maxIgnored is how many ignored names are logged for one request.
const maxIgnored = 20

// noteIgnored logs the names of unknown members or parameters of a request. what says which
// of the two they are.
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
	raw, err := surface.ReadJSON(c.w, c.Request, maxBodyBytes)
	if err != nil {
		return nil, err
	}
	if raw = bytes.TrimLeft(raw, " \t\r\n"); raw[0] != '{' || isTooDeep(raw) {
		return nil, surface.ErrBodyNotJSON
	}
	return raw, nil
}

// isTooDeep reports whether a document is nested deeper than maxBodyDepth. A merge patch
// parses every level again, so its cost grows with the square of the depth.
func isTooDeep(document []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // skips the escaped character
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
