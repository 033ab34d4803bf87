package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"latchkey/config"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// SenderWarnings returns a warning for each probable mistake: receivers that the setting
// outbound_allow refuses, and several webhooks that each get the codes of all buyers.
func SenderWarnings(cfg config.Config, senders []storage.Sender) []string {
	var warnings, all []string
	for i := range senders {
		s := &senders[i]
		if host, port := receiverOf(s); refusesReceiver(cfg.OutboundAllow, host, port) {
			warnings = append(warnings, fmt.Sprintf("MessageSender %s: its messages to %s will be refused, because the setting outbound_allow (LATCHKEY_OUTBOUND_ALLOW) does not name that address", s.ID, host))
		}
		if s.Active && s.Kind == storage.WebhookSender && s.AllowAllBuyers && s.Handles(storage.MessageOneTimePassword) {
			all = append(all, s.ID)
		}
	}
	if len(all) > 1 {
		warnings = append(warnings, fmt.Sprintf("each one-time password of a buyer's user goes to %d webhooks, because their senders have AllowAllBuyers: %s", len(all), strings.Join(all, ", ")))
	}
	return warnings
}

// receiverOf returns the host and the port that a sender connects to. Both are "" for a
// sender that connects to none.
func receiverOf(s *storage.Sender) (host, port string) {
	switch s.Kind {
	case storage.SMTPSender:
		return s.SMTP.Host, "587"
	case storage.WebhookSender:
		u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s.URL))
		if err != nil {
			return "", ""
		}
		return u.Hostname(), cmp.Or(u.Port(), "443")
	case storage.ConsoleSender, storage.ClientSender:
	}
	return "", ""
}

// refusesReceiver reports whether a connection to the host is certainly refused. It returns
// false for all names but localhost: looking up a name would show it to other servers.
func refusesReceiver(allow []netip.Prefix, host, port string) bool {
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	dialer, err := deliver.GuardedDialer(allow, 0)
	if err != nil {
		return false
	}
	network := "tcp6"
	if address.Is4() {
		network = "tcp4"
	}
	return deliver.IsForbiddenAddress(dialer.Control(network, net.JoinHostPort(host, port), nil))
}

// SenderLister lists message senders page by page.
type SenderLister interface {
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)
}

// WithStoredSenders returns the senders, and those of the store that have other IDs.
func WithStoredSenders(ctx context.Context, store SenderLister, senders []storage.Sender) ([]storage.Sender, error) {
	known := map[string]bool{}
	for i := range senders {
		known[senders[i].ID] = true
	}
	stored, err := readAll(func(q storage.Query) (storage.Page[storage.Sender], error) { return store.ListSenders(ctx, q) })
	for i := range stored {
		if !known[stored[i].ID] {
			senders = append(senders, stored[i])
		}
	}
	return senders, err
}
