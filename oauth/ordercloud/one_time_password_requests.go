package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// oneTimePasswordRequests are the stored requests for one-time passwords and other
// messages.
type oneTimePasswordRequests struct{ *API }

func (a oneTimePasswordRequests) routes() []route {
	const path = "/v1/onetimepasswordrequests"
	admin, read := []string{"OneTimePasswordAdmin"}, []string{"OneTimePasswordAdmin", "OneTimePasswordReader"}
	tag := "OneTimePasswordRequest"
	return []route{
		{serve: a.list, Operation: openapi.Operation{
			Method: http.MethodGet, Path: path, ID: "onetimepasswordrequests.List", Tag: tag, Roles: read,
			Summary: "List the requests for one-time passwords and other messages, the newest first",
			Query:   listParameters(), Answers: map[int]any{http.StatusOK: wire.List[wire.CodeRequest]{}}, Refuses: []int{400},
		}},
		{serve: a.get, Operation: openapi.Operation{
			Method: http.MethodGet, Path: path + "/{requestID}", ID: "onetimepasswordrequests.Get", Tag: tag, Roles: read,
			Summary: "Get a request with what became of its codes and messages",
			Answers: map[int]any{http.StatusOK: wire.CodeRequest{}}, Refuses: []int{404},
		}},
		{serve: a.retry, Operation: openapi.Operation{
			Method: http.MethodPost, Path: path + "/{requestID}/messages/{messageID}/retry", ID: "onetimepasswordrequests.messages.Retry",
			Tag: tag, Summary: "Bring a message on its way again while its code lives", Roles: admin,
			Answers: map[int]any{http.StatusOK: wire.MessageRetry{}}, Refuses: []int{404, 409},
		}},
	}
}

func (a oneTimePasswordRequests) list(c *call) (surface.Answer, error) {
	f := text("ID", "Type", "ClientID", "Username", "Email", "TraceID").with("CreatedAt", "CreatedAt", timeField).
		with("ExpiresAt", "ExpiresAt", timeField).with("ResolvedAt", "ResolvedAt", timeField)
	q, err := c.query(f, []string{"Username", "Email", "ClientID"})
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "CreatedAt", Descending: true}}
	}
	found, err := a.cfg.Stores.Records.ListRequests(c.Context(), q)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.CodeRequestFromRecord)
}

func (a oneTimePasswordRequests) timeline(c *call) (storage.Timeline, error) {
	t, err := a.cfg.Stores.Records.Timeline(c.Context(), c.PathValue("requestID"))
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("OneTimePasswordRequest", c.PathValue("requestID"))
	}
	return t, err
}

func (a oneTimePasswordRequests) get(c *call) (surface.Answer, error) {
	t, err := a.timeline(c)
	if err != nil {
		return surface.Answer{}, err
	}
	w := wire.CodeRequestFromRecord(storage.RequestSummary{Request: t.Request, ResolvedAt: t.ResolvedAt})
	for _, step := range otp.Steps(t, a.cfg.Now()) {
		w.Timeline = append(w.Timeline, wire.TimelineStepFromStep(step))
	}
	return surface.Answer{Status: http.StatusOK, Body: w}, nil
}

func (a oneTimePasswordRequests) retry(c *call) (surface.Answer, error) {
	t, err := a.timeline(c)
	if err != nil {
		return surface.Answer{}, err
	}
	w := wire.MessageRetry{RequestID: t.Request.ID, MessageID: c.PathValue("messageID")}
	if !hasMessage(t, w.MessageID) {
		return surface.Answer{}, notFound("Message", w.MessageID)
	}
	another, err := otp.Retry(c.Context(), a.cfg.Stores.Messages, a.cfg.Rand, w.MessageID, a.cfg.Now().UTC())
	switch {
	case errors.Is(err, otp.ErrNoRetry):
		_, reason, _ := strings.Cut(err.Error(), ": ")
		return surface.Answer{}, refuse(http.StatusConflict, "Message.NoRetry", "The message cannot be sent again: "+reason+".")
	case errors.Is(err, storage.ErrNotFound):
		return surface.Answer{}, notFound("Message", w.MessageID)
	case err != nil:
		return surface.Answer{}, err
	}
	if another != "" {
		w.RequestID = another
	}
	a.cfg.Wake()
	a.record(c, "message.retried", "Message/"+w.MessageID)
	return surface.Answer{Status: http.StatusOK, Body: w}, nil
}

func hasMessage(t storage.Timeline, id string) bool {
	for _, m := range t.Messages {
		if m.ID == id {
			return true
		}
	}
	return false
}
