package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// senderScreens returns the screens of the message senders.
func (c *Console) senderScreens() []screen {
	const one = "/senders/{id}"
	return []screen{
		{path: "/senders", operation: "messagesenders.List", nav: "senders.title", serve: (*call).showSenders},
		{path: one, operation: "messagesenders.Get", serve: (*call).showSender},
		{path: one + "/edit", operation: "messagesenders.Patch", posts: true, serve: (*call).editSender},
		{path: one + "/test", operation: "messagesenders.Test", posts: true, serve: (*call).testSender},
		{path: one + "/rotate", operation: "messagesenders.secret.Rotate", posts: true, serve: (*call).rotateSecret},
		{path: one + "/retire", operation: "messagesenders.secret.Retire", posts: true, serve: (*call).retireSecret},
		{path: one + "/mails", operation: "messagesenders.Previews", serve: (*call).showMails},
	}
}

// sentTypes are the types of messages that senders deliver.
var sentTypes = []string{"OneTimePassword", "ForgottenPassword", "ForgottenUsername", "NewUserInvitation", "AccountLocked", "ContactChanged"}

// sender is a message sender with its status.
type sender struct {
	wire.MessageSender
	Status wire.MessageSenderStatus
}

// KindName returns the name of the kind.
func (s sender) KindName() string {
	if s.Kind != nil {
		return *s.Kind
	}
	return "webhook"
}

// Types returns all types of messages that the sender delivers.
func (s sender) Types() []string { return slices.Concat(s.MessageTypes, s.FurtherMessageTypes) }

// Rotates reports whether the secret can be exchanged here.
func (s sender) Rotates() bool { return s.Status.SecretKind != nil }

// Overlaps reports whether two secrets sign at the moment.
func (s sender) Overlaps() bool { return s.Status.Secrets > 1 }

// withStatus adds the status to each of the senders.
func (x *call) withStatus(senders []wire.MessageSender) ([]sender, error) {
	all, ids := make([]sender, len(senders)), make([]string, len(senders))
	for i := range senders {
		all[i].MessageSender, ids[i] = senders[i], senders[i].ID
	}
	if len(all) == 0 || !x.caller.Permits("messagesenderstatus.List") {
		return all, nil
	}
	var found wire.List[wire.MessageSenderStatus]
	query := url.Values{"MessageSenderID": {strings.Join(ids, "|")}, "pageSize": {"100"}}
	if _, err := x.get(pathOf("messagesenderstatus"), query, &found); err != nil {
		return nil, err
	}
	for _, status := range found.Items {
		if i := slices.Index(ids, status.MessageSenderID); i >= 0 {
			all[i].Status = status
		}
	}
	return all, nil
}

// sendersView is the data of the template "senders".
type sendersView struct {
	list[wire.MessageSender]
	Senders []sender
}

func (x *call) showSenders() error {
	found, err := readList[wire.MessageSender](x, pathOf("messagesenders"))
	if err != nil {
		return err
	}
	v := sendersView{list: found}
	if v.Senders, err = x.withStatus(found.Items); err != nil {
		return err
	}
	return x.show("senders", "senders.title", v)
}

// senderView is the data of the template "sender".
type senderView struct {
	sender
	Messages list[wire.SentMessage]
	State    string            // of the messages, as chosen; empty: any
	Test     *wire.SentMessage // that was sent last by this administrator; nil: none
	URL      string            // of the page
}

// States returns the states by which messages can be filtered.
func (v senderView) States() []string { return []string{"", "queued", "dead", "expired", "delivered"} }

// Moving reports whether a test message is on its way.
func (v senderView) Moving() bool { return v.Test != nil && v.Test.State == "queued" }

func (x *call) showSender() error {
	id := x.PathValue("id")
	read, err := x.readSender(id)
	if err != nil {
		return err
	}
	v := senderView{sender: read, State: x.URL.Query().Get("State"), URL: x.console.base + x.URL.RequestURI()}
	if x.caller.Permits("messagesenders.messages.List") {
		if v.Messages, err = readList[wire.SentMessage](x, pathOf("messagesenders", id, "messages"), "State"); err != nil {
			return err
		}
		if v.Test, err = x.testMessage(id, x.URL.Query().Get("test")); err != nil {
			return err
		}
	}
	return x.show("sender", "senders.one", v)
}

// readSender reads a sender with its status.
func (x *call) readSender(id string) (sender, error) {
	var one wire.MessageSender
	if _, err := x.get(pathOf("messagesenders", id), nil, &one); err != nil {
		return sender{}, err
	}
	all, err := x.withStatus([]wire.MessageSender{one})
	if err != nil {
		return sender{}, err
	}
	return all[0], nil
}

// testMessage reads a test message of the sender. The list has it on all servers.
func (x *call) testMessage(sender, id string) (*wire.SentMessage, error) {
	if id == "" {
		return nil, nil
	}
	var found wire.List[wire.SentMessage]
	if _, err := x.get(pathOf("messagesenders", sender, "messages"), url.Values{"ID": {id}}, &found); err != nil || len(found.Items) == 0 {
		return nil, err
	}
	return &found.Items[0], nil
}

// editSender changes the members that most failing senders need. The others can be changed
// with the API only.
func (x *call) editSender() error {
	id := x.PathValue("id")
	s, err := x.readSender(id)
	if err != nil {
		return err
	}
	f := &form{Name: "sender", Fields: []field{{Name: "Name", Kind: textField, Required: true}, {Name: "Active", Kind: checkField}}}
	switch s.KindName() {
	case "webhook":
		f.Fields = append(f.Fields, field{Name: "URL", Kind: textField})
	case "smtp":
		f.Fields = append(f.Fields, field{Name: "SMTP", Kind: jsonField})
	}
	f.Fields = append(f.Fields, field{Name: "AllowAllBuyers", Kind: checkField})
	return x.change(change{
		Title: "senders.edit", Button: "senders.save", Method: http.MethodPatch, Path: pathOf("messagesenders", id), Read: pathOf("messagesenders", id),
		Object: "MessageSender/" + id, Back: "/senders/" + id, Form: f,
	})
}

// testSender sends a test message. The page after it shows the outcome.
func (x *call) testSender() error {
	id := x.PathValue("id")
	types := []option{{Value: "", Label: x.t("senders.firstType")}}
	for _, t := range sentTypes {
		types = append(types, option{Value: t, Label: x.t("home.types." + t)})
	}
	return x.change(change{
		Title: "senders.test", Button: "senders.send", Method: http.MethodPost, Path: pathOf("messagesenders", id, "test"), Object: "MessageSender/" + id,
		Back: "/senders/" + id,
		Form: &form{Name: "test", Fields: []field{
			{Name: "To", Kind: textField, Required: true}, {Name: "MessageType", Kind: choiceField, Options: types}, {Name: "Locale", Kind: textField},
		}},
		Effects: func(_, sent resource) ([]string, error) {
			to, _ := sent["To"].(string)
			return []string{x.t("senders.testEffect", "to", to, "sender", id)}, nil
		},
		Body: func(sent resource) {
			for _, name := range []string{"MessageType", "Locale"} {
				if sent[name] == "" {
					delete(sent, name)
				}
			}
		},
		Done: func(got resource) (string, notice) {
			message, _ := got["MessageID"].(string)
			return "/senders/" + url.PathEscape(id) + "?" + url.Values{"test": {message}}.Encode(), notice{Text: "senders.testing"}
		},
	})
}

// rotateSecret makes a new secret, which the next page shows once.
func (x *call) rotateSecret() error {
	id := x.PathValue("id")
	s, err := x.readSender(id)
	if err != nil {
		return err
	}
	effect := "senders.rotateNone"
	if s.Rotates() {
		effect = "senders.rotate" + *s.Status.SecretKind
	}
	return x.change(change{
		Title: "senders.rotate", Button: "senders.rotate", Method: http.MethodPost, Path: pathOf("messagesenders", id, "secret", "rotate"),
		Read: pathOf("messagesenders", id), Object: "MessageSender/" + id, Back: "/senders/" + id, Danger: s.Rotates() && *s.Status.SecretKind == "SharedKey",
		Effects: func(resource, resource) ([]string, error) {
			sentences := []string{x.t(effect)}
			if s.Overlaps() {
				sentences = append(sentences, x.t("senders.rotateThird"))
			}
			return sentences, nil
		},
		Done: func(got resource) (string, notice) {
			secret, _ := got["Secret"].(string)
			return "/senders/" + id, notice{Text: "senders.rotated", Label: "senders.secret", Secret: secret}
		},
	})
}

// retireSecret ends the overlap of two secrets.
func (x *call) retireSecret() error {
	id := x.PathValue("id")
	return x.change(change{
		Title: "senders.retire", Button: "senders.retire", Method: http.MethodPost, Path: pathOf("messagesenders", id, "secret", "retire"),
		Read: pathOf("messagesenders", id), Object: "MessageSender/" + id, Back: "/senders/" + id, Danger: true,
		Effects: func(resource, resource) ([]string, error) { return []string{x.t("senders.retireEffect")}, nil },
		Done:    func(resource) (string, notice) { return "/senders/" + id, notice{Text: "senders.retired"} },
	})
}

// mailsView is the data of the template "mails".
type mailsView struct {
	ID, Type string
	Mails    []wire.MailPreview
	Action   string
}

// Types returns the message types that can be chosen.
func (v mailsView) Types() []string { return sentTypes }

// showMails shows the mails of a sender in all languages.
func (x *call) showMails() error {
	v := mailsView{ID: x.PathValue("id"), Type: x.URL.Query().Get("type"), Action: x.console.base + x.URL.Path}
	if !slices.Contains(sentTypes, v.Type) {
		v.Type = sentTypes[0]
	}
	var found wire.List[wire.MailPreview]
	if _, err := x.get(pathOf("messagesenders", v.ID, "previews"), url.Values{"messageType": {v.Type}}, &found); err != nil {
		return err
	}
	v.Mails = found.Items
	return x.show("mails", "senders.mails", v)
}
