package ordercloud

import (
	"context"
	"errors"
	"net/http"
	"time"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// SenderTests sends test messages and shows mails; see package server.
type SenderTests interface {
	// Begin stores a test message and sends it in the background. It returns the ID of the
	// message, whose state shows whether it was delivered. kind is the type of the message;
	// empty: the first type of the sender. locale is a language tag. The error wraps storage.ErrQuery if there are no messages of the kind.
	Begin(ctx context.Context, sender storage.Sender, kind, to, locale, traceID string) (messageID string, err error)
	// Previews returns the mail of the type in all languages, with sample values. Its errors
	// are those of Begin.
	Previews(ctx context.Context, sender storage.Sender, kind string) ([]wire.MailPreview, error)
}

// messageSenderDelivery has the status, the messages, the test messages and the previews of
// message senders.
type messageSenderDelivery struct{ *API }

const senderStatusTime = time.Hour // of the attempts that the status counts

func (a messageSenderDelivery) routes() []route {
	const path, one = "/v1/messagesenderstatus", "/v1/messagesenders/{messageSenderID}"
	admins, readers := []string{"MessageSenderAdmin"}, []string{"MessageSenderAdmin", "MessageSenderReader"}
	operation := func(method, path, id, summary string, roles []string, status int, answer any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: id, Tag: "MessageSender", Summary: summary, Roles: roles,
			Answers: map[int]any{status: answer}, Refuses: refuses,
		}
	}
	statuses := operation(http.MethodGet, path, "messagesenderstatus.List", "List what message senders have to do, and have done in the last hour",
		readers, http.StatusOK, wire.List[wire.MessageSenderStatus]{}, 400)
	statuses.Query = listParameters()
	messages := operation(http.MethodGet, one+"/messages", "messagesenders.messages.List", "List the messages of a sender, the newest first",
		readers, http.StatusOK, wire.List[wire.SentMessage]{}, 400, 404)
	messages.Query = listParameters()
	test := operation(http.MethodPost, one+"/test", "messagesenders.Test", "Send a test message through a sender, once; its message says what became of it",
		admins, http.StatusAccepted, wire.MessageSenderTestStarted{}, 400, 404, 429)
	test.Body = wire.MessageSenderTest{}
	previews := operation(http.MethodGet, one+"/previews", "messagesenders.Previews", "Get a mail of a sender with sample values in all languages",
		readers, http.StatusOK, wire.List[wire.MailPreview]{}, 400, 404)
	previews.Query = []openapi.Parameter{{Name: "messageType", About: "Type of the message; default: the first type of the sender"}}
	return []route{
		{Operation: statuses, serve: a.statuses},
		{Operation: messages, serve: a.messages},
		{Operation: test, serve: a.test},
		{Operation: previews, serve: a.previews},
	}
}

// existing reads the sender in the path.
func (a messageSenderDelivery) existing(c *call) (storage.Sender, error) {
	found, err := a.sender(c, c.PathValue("messageSenderID"))
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("MessageSender", c.PathValue("messageSenderID"))
	}
	return found, err
}

func (a messageSenderDelivery) statuses(c *call) (surface.Answer, error) {
	f := text("MessageSenderID", "State").withMembersOf(wire.MessageSenderStatus{})
	q, err := c.query(f, []string{"MessageSenderID"})
	if err != nil {
		return surface.Answer{}, err
	}
	senders, err := a.cfg.Stores.Senders.Senders(c.Context())
	if err != nil {
		return surface.Answer{}, err
	}
	activity, err := a.cfg.Stores.Figures.SenderActivity(c.Context(), a.cfg.Now().UTC().Add(-senderStatusTime))
	if err != nil {
		return surface.Answer{}, err
	}
	of := map[string]storage.SenderActivity{}
	for _, x := range activity {
		of[x.SenderID] = x
	}
	var all []wire.MessageSenderStatus
	for i := range senders {
		if senders[i].Dialect == storage.OrderCloudDialect {
			all = append(all, a.statusOf(senders[i], of[senders[i].ID]))
		}
	}
	found, err := queryInMemory(q, all, func(s wire.MessageSenderStatus, field string) string {
		return map[string]string{"MessageSenderID": s.MessageSenderID, "State": s.State}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, func(s wire.MessageSenderStatus) wire.MessageSenderStatus { return s })
}

func (a messageSenderDelivery) statusOf(s storage.Sender, activity storage.SenderActivity) wire.MessageSenderStatus {
	state := string(admin.SenderState(&activity))
	if !s.Active {
		state = "inactive"
	}
	w := wire.MessageSenderStatusFromRecord(state, s, activity)
	if secrets, err := wire.OpenSigningSecrets(a.cfg.Sealer, s); err == nil {
		w.Secrets = len(secrets)
	}
	return w
}

func (a messageSenderDelivery) messages(c *call) (surface.Answer, error) {
	f := text("ID", "RequestID", "State", "LastError").with("MessageType", "Type", textField).with("CreatedAt", "CreatedAt", timeField).
		with("EndedAt", "EndedAt", timeField).withMembersOf(wire.SentMessage{})
	q, err := c.query(f, []string{"ID", "RequestID", "LastError"})
	if err != nil {
		return surface.Answer{}, err
	}
	sender, err := a.existing(c)
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "CreatedAt", Descending: true}}
	}
	found, err := a.cfg.Stores.Records.ListMessages(c.Context(), sender.ID, q)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.SentMessageFromRecord)
}

// test starts to send a test message. The caller needs the roles that a change of the sender
// needs.
func (a messageSenderDelivery) test(c *call) (surface.Answer, error) {
	var w wire.MessageSenderTest
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	sender, err := a.existing(c)
	if err == nil {
		err = a.cfg.Rules.ChangeSender(c.caller.Authority(), &sender, &sender)
	}
	if err == nil {
		err = a.cfg.AdmitTest(c.Context(), sender.ID)
	}
	if err != nil {
		return surface.Answer{}, err
	}
	id, err := a.cfg.Tests.Begin(c.Context(), sender, surface.ValueOr(w.MessageType, ""), w.To, surface.ValueOr(w.Locale, ""), a.cfg.TraceID(c.Context()))
	if errors.Is(err, storage.ErrQuery) {
		return surface.Answer{}, wire.Faults{{Path: "MessageType", Problem: "is no type of message that is sent"}}
	}
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "messagesender.tested", "MessageSender/"+sender.ID)
	return surface.Answer{Status: http.StatusAccepted, Body: wire.MessageSenderTestStarted{MessageID: id}}, nil
}

func (a messageSenderDelivery) previews(c *call) (surface.Answer, error) {
	sender, err := a.existing(c)
	if err != nil {
		return surface.Answer{}, err
	}
	var all []wire.MailPreview // empty unless the sender sends by SMTP
	if sender.Kind == storage.SMTPSender {
		all, err = a.cfg.Tests.Previews(c.Context(), sender, c.values.Get("messageType"))
	}
	if errors.Is(err, storage.ErrQuery) {
		return surface.Answer{}, wire.Faults{{Path: "messageType", Problem: "is no type of message that is sent"}}
	}
	if err != nil {
		return surface.Answer{}, err
	}
	page := storage.Page[wire.MailPreview]{Items: all, Total: len(all)}
	return listOf(c, storage.Query{Limit: max(len(all), 1)}, page, func(p wire.MailPreview) wire.MailPreview { return p })
}
