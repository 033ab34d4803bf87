package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

const (
	exportMediaType = "application/x-ndjson"
	// maxExports is how many exports run on a server at the same time.
	maxExports = 2
	// exportTime bounds an export, which takes longer than other requests may.
	exportTime = 30 * time.Minute
	// exportWriteTime is how long a client may take to receive exportFlush events.
	exportWriteTime = 30 * time.Second
	exportFlush     = 200 // events
)

// errExports is the answer while maxExports exports are running.
var errExports = &refusal{status: http.StatusTooManyRequests, retryAfter: exportWriteTime, entries: []wire.Error{
	{ErrorCode: "TooManyRequests", Message: "Other exports are running. Try again later."},
}}

// export streams the events while it reads them, so its memory does not grow with their
// number. It records an audit event, because the data leave the server.
func (a auditEvents) export(c *call) (surface.Answer, error) {
	q, err := a.query(c)
	if err != nil {
		return surface.Answer{}, err
	}
	// A wrong filter must be refused before the status 200 is sent.
	check := q
	check.Limit, check.Offset, check.After, check.Sort = 1, 0, "", nil
	if err := a.checkFilter(c, check); err != nil {
		return surface.Answer{}, err
	}
	select {
	case a.exports <- struct{}{}:
	default:
		return surface.Answer{}, errExports
	}
	a.record(c, "auditevents.exported", "AuditEvents")
	return surface.Answer{Status: http.StatusOK, Stream: func(w http.ResponseWriter) error {
		defer func() { <-a.exports }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), exportTime)
		defer cancel()
		return a.writeEvents(ctx, w, q.Where)
	}, StreamType: exportMediaType}, nil
}

// checkFilter returns the error of the store for a wrong filter. It asks for events of the
// future, so it reads none.
func (a auditEvents) checkFilter(c *call, q storage.Query) error {
	none := errors.New("enough")
	future := storage.AuditFilter{Where: q.Where, Since: a.cfg.Now().AddDate(100, 0, 0)}
	return a.cfg.Stores.Records.EachAuditEvent(c.Context(), future, func(storage.AuditRecord) error { return none })
}

// writeEvents writes each event as a line of JSON. It returns an error if the client does
// not receive exportFlush events within exportWriteTime.
func (a auditEvents) writeEvents(ctx context.Context, w http.ResponseWriter, where []storage.Condition) error {
	deadline := http.NewResponseController(w)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	n := 0
	extend := func() error {
		err := deadline.SetWriteDeadline(time.Now().Add(exportWriteTime))
		if errors.Is(err, http.ErrNotSupported) {
			return nil
		}
		return err
	}
	if err := extend(); err != nil {
		return err
	}
	return a.cfg.Stores.Records.EachAuditEvent(ctx, storage.AuditFilter{Where: where}, func(r storage.AuditRecord) error {
		if n++; n%exportFlush == 0 {
			if err := errors.Join(extend(), flush(deadline)); err != nil {
				return err
			}
		}
		return lines.Encode(wire.ExportedAuditEventFromRecord(r))
	})
}

func flush(w *http.ResponseController) error {
	err := w.Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
