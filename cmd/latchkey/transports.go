package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"

	"latchkey/config"
	"latchkey/oauth"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/ordercloud"
	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

// recipientOf finds the recipient of a webhook's message; see
// ordercloud.MessageEncoder and elasticpath.WebhookEncoder.
type recipientOf func(context.Context, oauth.RecipientRequest) (storage.Principal, string, error)

// userOf finds the recipient of a mail; see mailer.Config.
type userOf func(ctx context.Context, uid string) (storage.User, error)

// newTransports returns what delivers for each kind of sender. Codes of console
// senders are written to console.
func (a *app) newTransports(recipient recipientOf, user userOf, console io.Writer) (map[storage.SenderKind]deliver.Transport, error) {
	webhook, err := deliver.NewWebhook(deliver.WebhookConfig{Encode: a.encoder(recipient), Allow: a.cfg.OutboundAllow})
	if err != nil {
		return nil, err
	}
	templates, err := loadTemplates(a.cfg)
	if err != nil {
		return nil, err
	}
	mail, err := mailer.New(mailer.Config{
		User: user, Password: a.opens(ordercloud.SMTPPasswordContext), Templates: templates, SiteName: a.cfg.SiteName,
		TrustURL: a.trustURL, Allow: a.cfg.OutboundAllow, AllowPlaintext: a.cfg.SMTPPlaintext, Now: a.now,
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

// encoding writes a message for a webhook; see deliver.WebhookConfig.
type encoding func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error)

// encoder returns what writes each message in the words of its sender's
// dialect.
func (a *app) encoder(recipient recipientOf) encoding {
	endpoints := deliver.Endpoints{
		Config:         a.store.DeliveryConfig,
		SharedKey:      a.openSharedKey,
		SigningSecrets: a.openSigningSecrets,
		ConfigSecret:   a.opens(ordercloud.DeliverySecretContext),
		ConfigHeader:   a.opens(ordercloud.DeliveryHeaderContext),
	}
	messages := ordercloud.MessageEncoder{
		Recipient: recipient, Endpoint: endpoints.Of, Now: a.now, Environment: "Production",
	}
	events := elasticpath.WebhookEncoder{
		Recipient: recipient, Endpoint: endpoints.Of, Now: a.now, StoreID: storage.StoreUUID,
	}
	return func(ctx context.Context, s storage.Sender, e deliver.Envelope) (deliver.Call, error) {
		if s.Dialect == storage.ElasticPathDialect {
			return events.Encode(ctx, s, e)
		}
		return messages.Encode(ctx, s, e)
	}
}

// trustURL tells whether mails may link to the URL: the configuration names its
// origin, or the realm redirects to it.
func (a *app) trustURL(ctx context.Context, realmID, link string) (bool, error) {
	origin, ok := originOf(link)
	if !ok || slices.Contains(a.cfg.RenewalOrigins, origin) {
		return ok, nil
	}
	realm, err := a.store.Realm(ctx, realmID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(realm.RedirectURIs, func(uri string) bool {
		trusted, ok := originOf(uri)
		return ok && trusted == origin
	}), nil
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

// openSharedKey opens the key of a sender, which either dialect seals as its
// own.
func (a *app) openSharedKey(s storage.Sender) (string, error) {
	if s.Dialect == storage.ElasticPathDialect {
		return a.opens(elasticpath.SecretKeyContext)(s.SharedKey)
	}
	return a.opens(ordercloud.SharedKeyContext)(s.SharedKey)
}

func (a *app) openSigningSecrets(s storage.Sender) (secrets []string, err error) {
	plain, err := a.sealer.Open(s.SigningSecrets, ordercloud.SigningSecretsContext)
	if err == nil {
		err = json.Unmarshal(plain, &secrets)
	}
	return secrets, err
}
