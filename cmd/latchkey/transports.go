package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"latchkey/config"
	"latchkey/oauth/ordercloud"
	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

// recipientOf finds the recipient of a webhook's message; see
// ordercloud.MessageEncoder.
type recipientOf func(ctx context.Context, clientID, username string, elevated []string) (storage.Principal, string, error)

// userOf finds the recipient of a mail; see mailer.Config.
type userOf func(ctx context.Context, uid string) (storage.User, error)

// newTransports returns what delivers for each kind of sender. Codes of console
// senders are written to console.
func (a *app) newTransports(recipient recipientOf, user userOf, console io.Writer) (map[storage.SenderKind]deliver.Transport, error) {
	encoder := ordercloud.MessageEncoder{
		Recipient:      recipient,
		SharedKey:      a.opens(ordercloud.SharedKeyContext),
		SigningSecrets: a.openSigningSecrets,
		Now:            a.now,
		Environment:    "Production",
	}
	webhook, err := deliver.NewWebhook(deliver.WebhookConfig{Encode: encoder.Encode, Allow: a.cfg.OutboundAllow})
	if err != nil {
		return nil, err
	}
	templates, err := loadTemplates(a.cfg)
	if err != nil {
		return nil, err
	}
	mail, err := mailer.New(mailer.Config{
		User: user, Password: a.opens(ordercloud.SMTPPasswordContext), Templates: templates, SiteName: a.cfg.SiteName,
		Allow: a.cfg.OutboundAllow, AllowPlaintext: a.cfg.SMTPPlaintext, Now: a.now,
	})
	if err != nil {
		return nil, err
	}
	return map[storage.SenderKind]deliver.Transport{
		storage.WebhookSender: webhook,
		storage.SMTPSender:    mail,
		storage.ConsoleSender: deliver.NewConsole(console),
	}, nil
}

// loadTemplates reads those of the configured directory, if there is one. What
// is wrong with them is a fault of the configuration.
func loadTemplates(cfg config.Config) (*mailer.Templates, error) {
	if cfg.MailTemplates == "" {
		return mailer.LoadTemplates(nil)
	}
	templates, err := mailer.LoadTemplates(os.DirFS(cfg.MailTemplates))
	if err != nil {
		return nil, config.Faults{{Setting: "mail_templates", Problem: err.Error()}}
	}
	return templates, nil
}

// opens returns what opens secrets that were sealed with the context.
func (a *app) opens(context string) func(storage.Sealed) (string, error) {
	return func(sealed storage.Sealed) (string, error) {
		plain, err := a.sealer.Open(sealed, context)
		return string(plain), err
	}
}

func (a *app) openSigningSecrets(sealed storage.Sealed) (secrets []string, err error) {
	plain, err := a.sealer.Open(sealed, ordercloud.SigningSecretsContext)
	if err == nil {
		err = json.Unmarshal(plain, &secrets)
	}
	return secrets, err
}
