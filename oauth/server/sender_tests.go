package server

import (
	"context"
	"fmt"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

// senderTestLife is how long a test message may be on its way: its attempt, and the time to
// store its outcome.
const senderTestLife = 2 * testTimeout

// senderTests is an ordercloud.SenderTests.
type senderTests struct{ app *App }

// Begin implements ordercloud.SenderTests. The attempt goes on if the caller leaves. If the
// server ends meanwhile, the message expires.
func (t senderTests) Begin(ctx context.Context, sender storage.Sender, kind, to, locale, traceID string) (string, error) {
	a := t.app
	of, err := TestMessageType(sender, kind)
	if err != nil {
		return "", fmt.Errorf("%w: %w", err, storage.ErrQuery)
	}
	user := TestRecipient(to, locale)
	transport, err := a.testTransport(sender.Kind, user, a.Console)
	if err != nil {
		return "", err
	}
	e, err := a.testEnvelope(sender, of, user)
	if err != nil {
		return "", err
	}
	now := a.Now().UTC()
	e.Message.TraceID, e.Message.CreatedAt, e.Message.ExpiresAt = traceID, now, now.Add(senderTestLife)
	if err := a.Store.AddTestMessage(ctx, e.Message); err != nil {
		return "", err
	}
	go t.send(context.WithoutCancel(ctx), transport, sender, e)
	return e.Message.ID, nil
}

// send makes the attempt and stores its outcome.
func (t senderTests) send(ctx context.Context, transport deliver.Transport, sender storage.Sender, e deliver.Envelope) {
	a, began := t.app, t.app.Now().UTC()
	attempt := storage.Attempt{MessageID: e.Message.ID, Number: 1, State: storage.MessageDelivered, BeganAt: began}
	sending, cancel := context.WithTimeout(ctx, testTimeout)
	err := transport.Send(sending, sender, e)
	cancel()
	if err != nil {
		attempt.State, attempt.Error = storage.MessageDead, storage.StorableText(deliver.ReasonOf(err).Error())
		a.Logger.Warn().Err(err).Str("sender", sender.ID).Str("message", e.Message.ID).Msg("test message was not delivered")
	}
	attempt.Now = a.Now().UTC()
	if err := within(ctx, func(ctx context.Context) error { return a.Store.FinishAttempt(ctx, attempt) }); err != nil {
		a.Logger.Warn().Err(err).Str("message", e.Message.ID).Msg("the outcome of a test message could not be stored")
	}
}

// Previews implements ordercloud.SenderTests.
func (t senderTests) Previews(ctx context.Context, sender storage.Sender, kind string) ([]wire.MailPreview, error) {
	a := t.app
	of, err := TestMessageType(sender, kind)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, storage.ErrQuery)
	}
	user := TestRecipient("", "")
	transport, err := a.testTransport(sender.Kind, user, nil)
	if err != nil {
		return nil, err
	}
	mail, ok := transport.(*mailer.Mailer)
	if !ok {
		return nil, fmt.Errorf("senders of kind %s send no mail", sender.Kind)
	}
	templates, err := a.mailTemplates()
	if err != nil {
		return nil, err
	}
	sender.PublicJWK = nil // mails are not encrypted
	e, err := a.testEnvelope(sender, of, user)
	if err != nil {
		return nil, err
	}
	var all []wire.MailPreview
	for _, locale := range templates.Locales(of) {
		text, err := mail.Preview(ctx, sender, e, locale)
		if err != nil {
			return nil, err
		}
		all = append(all, wire.MailPreview{Locale: locale, Subject: text.Subject, Text: text.Plain, HTML: text.HTML})
	}
	return all, nil
}

// usualKeyRotation is the age at which keys must be rotated by hand, if the server does not
// rotate them. keyRotationDelay is how late a rotation may be.
const (
	usualKeyRotation = 90 * 24 * time.Hour
	keyRotationDelay = 10 * 24 * time.Hour
)
