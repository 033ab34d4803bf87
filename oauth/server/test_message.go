package server

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// The contents of a test message. The code belongs to no login.
const (
	testCode     = "TEST"
	testUsername = "test"
	testLogin    = "lgn_test"
	testURL      = "https://example.com/"
	testLife     = 10 * time.Minute
	testTimeout  = 15 * time.Second // as a worker allows
)

// TestRecipient returns the user that a test message is for. The user does not
// exist in the database.
func TestRecipient(email, locale string) storage.User {
	return storage.User{
		UID: "usr_test", RealmID: storage.DefaultRealmID, Kind: storage.Admin, ID: testUsername,
		Email: email, Locale: locale, Active: true,
	}
}

// SendTestMessage sends one message to the user through the sender at once, without
// the queue and without a second attempt, and returns its id. Console senders write
// it to console. Errors of the sender are those of package otp/deliver.
func (a *App) SendTestMessage(ctx context.Context, sender storage.Sender, kind storage.MessageType, to storage.User, console io.Writer) (string, error) {
	transport, err := a.testTransport(sender.Kind, to, console)
	if err != nil {
		return "", err
	}
	e, err := a.testEnvelope(sender, kind, to)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	return e.Message.ID, transport.Send(ctx, sender, e)
}

// testTransport returns a transport for which every message is to the user.
func (a *App) testTransport(kind storage.SenderKind, to storage.User, console io.Writer) (deliver.Transport, error) {
	recipient := func(context.Context, token.RecipientRequest) (storage.Principal, string, error) {
		return storage.Principal{User: to, Login: storage.Login{Username: testUsername}}, "", nil
	}
	user := func(context.Context, string) (storage.User, error) { return to, nil }
	transports, err := a.newTransports(recipient, user, console)
	if err != nil {
		return nil, err
	}
	transport, ok := transports[kind]
	if !ok {
		return nil, fmt.Errorf("no transport for senders of kind %q", kind)
	}
	return transport, nil
}

// testEnvelope returns a message of the type to the user, in the form in which a
// worker takes it from the queue.
func (a *App) testEnvelope(sender storage.Sender, kind storage.MessageType, to storage.User) (deliver.Envelope, error) {
	id, err := storage.NewID(a.Rand, storage.MessagePrefix)
	if err != nil {
		return deliver.Envelope{}, err
	}
	now := a.Now().UTC()
	p := otp.Payload{
		Username: testUsername, Code: testCode, UserUID: to.UID, RequestedAt: now, ExpiresAt: now.Add(testLife),
		Purpose: storage.PurposeSignIn, RealmID: to.RealmID, ProfileID: storage.DefaultProfileID, LoginID: testLogin,
	}
	switch kind {
	case storage.MessageForgottenUsername:
		p.Code = ""
	case storage.MessageAccountLocked:
		p.Code, p.LockedUntil = "", now.Add(testLife)
	case storage.MessageContactChanged:
		p.Code, p.Email = "", to.Email
	case storage.MessageForgottenPassword, storage.MessageNewUserInvitation:
		p.URL, p.Purpose = testURL, ""
	default:
	}
	if len(sender.PublicJWK) > 0 && p.Code != "" {
		if p.Code, err = p.SealCode(sender.PublicJWK, id); err != nil {
			return deliver.Envelope{}, err
		}
	}
	return deliver.NewEnvelope(storage.Message{
		ID: id, SenderID: sender.ID, Type: kind, UserUID: to.UID, TraceID: id,
	}, p), nil
}

// TestMessageType returns the type of a test message. It is the wanted one. If
// wanted is empty, it is OneTimePassword if the sender has that type, or no types;
// otherwise it is the first type of the sender.
func TestMessageType(sender storage.Sender, wanted string) (storage.MessageType, error) {
	kind := storage.MessageType(wanted)
	if wanted == "" {
		kind = storage.MessageOneTimePassword
		if !slices.Contains(sender.Types, kind) && len(sender.Types) > 0 {
			kind = sender.Types[0]
		}
	}
	switch kind {
	case storage.MessageOneTimePassword, storage.MessageForgottenPassword, storage.MessageForgottenUsername, storage.MessageNewUserInvitation,
		storage.MessageAccountLocked, storage.MessageContactChanged:
		return kind, nil
	case storage.MessageLogout: // goes to clients, without a sender
	}
	return "", fmt.Errorf("no messages of type %s are ever sent", kind)
}
