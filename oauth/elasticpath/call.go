package elasticpath

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

const (
	// maxBodyBytes is the largest body of a request below /v2.
	maxBodyBytes = 64 << 10

	accountTokenHeader = "EP-Account-Management-Authentication-Token" // #nosec G101 -- a name, not a secret
)

// call is one request with its sender.
type call struct {
	*http.Request
	w      http.ResponseWriter
	cfg    *Config
	base   string // address of the server, without a slash at the end
	caller *token.Caller
	holder *token.AccountHolder // the account member who calls; nil: the caller acts for itself
	values url.Values           // of the query string, as surface.ReadQuery returns them
}

// read decodes the data of the body into the shape that into points to; see
// wire.DecodeData.
func (c *call) read(into any, kinds ...string) (wire.Members, error) {
	raw, err := c.rawBody()
	if err != nil {
		return nil, err
	}
	var body struct{ Data json.RawMessage }
	if json.Unmarshal(raw, &body) != nil {
		return nil, wire.ErrBody
	}
	return wire.DecodeData(body.Data, into, kinds...)
}

// rawBody returns the body, which must be JSON in UTF-8 without repeated members. The
// content type may be missing, or any kind of JSON.
func (c *call) rawBody() ([]byte, error) {
	if given := c.Header.Get("Content-Type"); given != "" {
		media, _, err := mime.ParseMediaType(given)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, errContentType
		}
	}
	raw, err := surface.ReadJSON(c.w, c.Request, maxBodyBytes)
	if err != nil {
		return nil, err
	}
	if name := surface.RepeatedMember(raw); name != "" {
		return nil, wire.Invalid(name[:min(len(name), surface.MaxID)], "unique")
	}
	return raw, nil
}

// id returns an id of the path in its stored form. ok is false if no resource can
// have the id.
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
	return id, id != "" && len(id) <= surface.MaxID && surface.IsPlainText(id)
}

// includes reports whether the caller asks for related resources of the type.
func (c *call) includes(kind string) bool {
	return slices.Contains(strings.Split(strings.Join(c.values["include"], ","), ","), kind)
}

// newID returns a random UUID, the form of Elastic Path's ids.
func (c *call) newID() (string, error) { return storage.NewUUID(c.cfg.Rand) }

// record records that the caller changed a resource, and which members of it.
func (c *call) record(kind, verb, id string, changed ...string) {
	c.recordOutcome(kind, verb, "success", id, changed...)
}

// recordOutcome is record with an outcome.
func (c *call) recordOutcome(kind, verb, outcome, id string, changed ...string) {
	user := c.caller.Principal
	if c.holder != nil {
		user = c.holder.Principal
	}
	c.cfg.Record(c.Context(), c.caller.Client, user, storage.AuditEvent{
		Action: kind + "." + verb, Outcome: outcome, Object: kind + "/" + id, Changed: changed,
	})
}
