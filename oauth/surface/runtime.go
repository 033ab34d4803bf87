package surface

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"latchkey/oauth/token"
	"latchkey/storage"
)

// Runtime is what a surface gets from the server that runs it. All fields but
// Recorder, Now and Logger are required.
type Runtime struct {
	TraceID  func(context.Context) string     // correlation id of a request
	Address  func(context.Context) netip.Addr // of the sender of a request
	Recorder storage.Recorder                 // of what callers change; default: discards
	Now      func() time.Time                 // default: time.Now
	Rand     io.Reader
	Logger   zerolog.Logger
}

// Complete sets the defaults, and returns an error if a required field is missing.
func (r *Runtime) Complete() error {
	if r.TraceID == nil || r.Address == nil || r.Rand == nil {
		return errors.New("TraceID, Address and Rand are required")
	}
	if r.Recorder == nil {
		r.Recorder = storage.DiscardEvents{}
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	return nil
}

// Record records an audit event of a request: what was done to which object, with
// which outcome. It adds the time, the request and who sent it: the client, and the
// user for whom the client calls, which may be nil. The server's Recorder adds the address.
func (r *Runtime) Record(ctx context.Context, client *storage.Client, user *storage.Principal, event storage.AuditEvent) {
	event.Time, event.TraceID, event.ClientID = r.Now().UTC(), r.TraceID(ctx), client.ID
	if user != nil {
		event.UserUID, event.Username = user.User.UID, user.Login.Username
	}
	r.Recorder.Record(ctx, event)
}

// Refuse prepares the answer to a request that failed with err and is answered
// with the status. It logs errors that the caller cannot correct, and sets the
// challenge of a 401. The dialect writes the body.
func (r *Runtime) Refuse(w http.ResponseWriter, request *http.Request, status int, err error) {
	ctx := request.Context()
	if status >= http.StatusInternalServerError {
		r.Logger.Error().Ctx(ctx).Err(err).Str("path", request.Pattern).
			Str("request_id", r.TraceID(ctx)).Int("status", status).Msg("request failed")
	}
	if status == http.StatusUnauthorized {
		token.SetChallenge(w.Header(), err)
	}
}
