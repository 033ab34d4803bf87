package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"

	"latchkey/config"
	elasticpathwire "latchkey/oauth/elasticpath/wire"
	ordercloudwire "latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/signinpage"
	"latchkey/oauth/token"
	"latchkey/otp/deliver"
	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

// recipientOf finds the recipient of a webhook's message; see
// ordercloudwire.MessageEncoder and elasticpathwire.WebhookEncoder.
type recipientOf func(context.Context, token.RecipientRequest) (storage.Principal, string, error)

// userOf finds the recipient of a mail; see mailer.Config.
type userOf func(ctx context.Context, uid string) (storage.User, error)

// newTransports returns the transport of each kind of sender. Console senders write
// to console; nil: nowhere.
func (a *App) newTransports(recipient recipientOf, user userOf, console io.Writer) (map[storage.SenderKind]deliver.Transport, error) {
	if console == nil {
		console = io.Discard
	}
	webhook, err := deliver.NewWebhook(deliver.WebhookConfig{Encode: a.encoder(recipient), Allow: a.Settings.OutboundAllow, Inject: a.inject()})
	if err != nil {
		return nil, err
	}
	templates, err := a.mailTemplates()
	if err != nil {
		return nil, err
	}
	mail, err := mailer.New(mailer.Config{
		User: user, Password: a.opens(ordercloudwire.SMTPPasswordContext), Templates: templates, SiteName: a.Settings.SiteName,
		TrustURL: a.trustURL, Allow: a.Settings.OutboundAllow, AllowPlaintext: a.Settings.SMTPPlaintext, Now: a.Now,
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

// mailTemplates returns the mail templates as they were when a transport was first made.
func (a *App) mailTemplates() (*mailer.Templates, error) {
	a.mails.once.Do(func() { a.mails.templates, a.mails.err = LoadTemplates(a.Settings) })
	return a.mails.templates, a.mails.err
}

// inject returns what adds the headers of a span to the requests of webhooks, or nil.
func (a *App) inject() func(context.Context, http.Header) {
	if a.tracer == nil {
		return nil
	}
	return a.tracer.Inject
}

// encodeFunc encodes a message for a webhook; see deliver.WebhookConfig.
type encodeFunc func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error)

// encoder returns a function that encodes each message in the dialect of its
// sender.
func (a *App) encoder(recipient recipientOf) encodeFunc {
	endpoints := deliver.Endpoints{
		Config:         a.Store.DeliveryConfig,
		SharedKey:      a.openSharedKey,
		SigningSecrets: a.openSigningSecrets,
		ConfigSecret:   a.opens(ordercloudwire.DeliverySecretContext),
		ConfigHeader:   a.opens(ordercloudwire.DeliveryHeaderContext),
	}
	messages := ordercloudwire.MessageEncoder{
		Recipient: recipient, Endpoint: endpoints.Of, Now: a.Now, Environment: "Production",
	}
	events := elasticpathwire.WebhookEncoder{
		Recipient: recipient, Endpoint: endpoints.Of, Now: a.Now, StoreID: storage.StoreUUID,
	}
	return func(ctx context.Context, s storage.Sender, e deliver.Envelope) (deliver.Call, error) {
		if s.Dialect == storage.ElasticPathDialect {
			return events.Encode(ctx, s, e)
		}
		return messages.Encode(ctx, s, e)
	}
}

// trustURL reports whether mails may link to the URL: its origin is one of the
// setting renewal_origins or of the realm's redirect URIs.
func (a *App) trustURL(ctx context.Context, realmID, link string) (bool, error) {
	origin, ok := originOf(link)
	if !ok || slices.Contains(a.Settings.RenewalOrigins, origin) {
		return ok, nil
	}
	realm, err := a.Store.Realm(ctx, realmID)
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

// LoadTemplates reads the mail templates of the configured directory, or the
// built-in ones if none is configured. Invalid templates are config.Faults.
func LoadTemplates(cfg config.Config) (*mailer.Templates, error) {
	if cfg.MailTemplates == "" {
		return mailer.LoadTemplates(nil)
	}
	templates, err := mailer.LoadTemplates(os.DirFS(cfg.MailTemplates))
	if err != nil {
		return nil, config.Faults{{Setting: "mail_templates", Problem: err.Error()}}
	}
	return templates, nil
}

// LoadPageTemplates reads the files of the sign-in pages of the configured directory, or
// the built-in ones if none is configured. Invalid files are config.Faults.
func LoadPageTemplates(cfg config.Config) (*signinpage.Templates, error) {
	if cfg.PageTemplates == "" {
		return signinpage.LoadTemplates(nil)
	}
	templates, err := signinpage.LoadTemplates(os.DirFS(cfg.PageTemplates))
	if err != nil {
		return nil, config.Faults{{Setting: "page_templates", Problem: err.Error()}}
	}
	return templates, nil
}

// CheckTemplates returns the faults of the templates of mails and pages as config.Faults.
func CheckTemplates(cfg config.Config) error {
	_, mails := LoadTemplates(cfg)
	_, pages := LoadPageTemplates(cfg)
	var all config.Faults
	for _, err := range []error{mails, pages} {
		faults, ok := errors.AsType[config.Faults](err)
		if err != nil && !ok {
			return err
		}
		all = append(all, faults...)
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// opens returns a function that opens secrets that were sealed with the context.
func (a *App) opens(context string) func(storage.Sealed) (string, error) {
	return func(sealed storage.Sealed) (string, error) {
		plain, err := a.Sealer.Open(sealed, context)
		return string(plain), err
	}
}

// openSharedKey opens the key of a sender. Each dialect seals it with a context of
// its own.
func (a *App) openSharedKey(s storage.Sender) (string, error) {
	if s.Dialect == storage.ElasticPathDialect {
		return a.opens(elasticpathwire.SecretKeyContext)(s.SharedKey)
	}
	return a.opens(ordercloudwire.SharedKeyContext)(s.SharedKey)
}

func (a *App) openSigningSecrets(s storage.Sender) (secrets []string, err error) {
	plain, err := a.Sealer.Open(s.SigningSecrets, ordercloudwire.SigningSecretsContext)
	if err == nil {
		err = json.Unmarshal(plain, &secrets)
	}
	return secrets, err
}

// originOf returns the origin of a URL (RFC 6454 §4), if it has one.
func originOf(link string) (config.Origin, bool) {
	u, err := url.Parse(link)
	if err != nil || u.User != nil {
		return "", false
	}
	var o config.Origin
	err = o.UnmarshalText([]byte(fmt.Sprintf("%s://%s", u.Scheme, u.Host)))
	return o, err == nil
}
