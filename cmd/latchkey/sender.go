package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

func (c *cli) senderCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the message senders, without their secrets",
		Args:  cobra.NoArgs,
		RunE:  c.listSenders,
	}
	return group("sender", "Message senders", list, c.senderTestCommand())
}

func (c *cli) senderTestCommand() *cobra.Command {
	var to, locale, kind string
	cmd := withAllSettings(&cobra.Command{
		Use:               "test ID --to ADDRESS",
		ValidArgsFunction: c.completeSenders,
		Short:             "Send a harmless test message through a sender at once",
		Long: `Send a message through a sender at once, and print the outcome.

It looks like a message with a one-time password or, with --type, like a message
of another type. The code is TEST and cannot be used. A webhook gets no user
token. The message is not queued, and a failed delivery is not repeated. The
sender may be inactive.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !otp.IsEmail(to) {
				return usagef("--to must be an e-mail address")
			}
			return c.testSender(cmd, args[0], kind, server.TestRecipient(to, locale))
		},
	})
	cmd.Flags().StringVar(&to, "to", "", "e-mail address of the recipient")
	cmd.Flags().StringVar(&locale, "locale", "", "language of the mail, for instance de-AT")
	cmd.Flags().StringVar(&kind, "type", "", "type of the message, for instance ForgottenPassword")
	return cmd
}

// senderView is a sender in the output.
type senderView struct {
	ID        string   `json:"sender_id"`
	Name      string   `json:"sender_name"`
	Kind      string   `json:"kind"`
	Types     []string `json:"message_types"`
	Target    string   `json:"target"`               // URL, delivery config, or host and port
	Active    bool     `json:"active"`               // an inactive sender serves nobody
	Signature string   `json:"signature,omitempty"`  // of a webhook
	Encrypted bool     `json:"encrypted"`            // codes are encrypted to the receiver's key
	Buyers    bool     `json:"serves_all_buyers"`    // without an assignment
	Admins    bool     `json:"serves_admin_users"`   // by assignment
	Accounts  int      `json:"serves_accounts"`      // number of buyers and suppliers assigned
	TLS       string   `json:"tls,omitempty"`        // of mail
	From      string   `json:"from,omitempty"`       // of mail
	UpdatedAt string   `json:"updated_at,omitempty"` // RFC 3339
}

func viewSender(s storage.Sender) senderView {
	v := senderView{
		ID: s.ID, Name: s.Name, Kind: string(s.Kind), Types: []string{}, Target: s.URL, Active: s.Active, Encrypted: len(s.PublicJWK) > 0,
		Buyers: s.AllowAllBuyers, Admins: s.AllowSeller, Accounts: len(s.AccountUIDs),
		TLS: string(s.SMTP.TLS), From: s.SMTP.From, UpdatedAt: s.UpdatedAt.Format(time.RFC3339),
	}
	for _, t := range s.Types {
		v.Types = append(v.Types, string(t))
	}
	switch s.Kind {
	case storage.SMTPSender:
		v.Target = net.JoinHostPort(s.SMTP.Host, strconv.Itoa(s.SMTP.Port))
	case storage.WebhookSender:
		v.Signature = signatureOf(s)
		if s.DeliveryConfig != "" {
			v.Target = "delivery config " + s.DeliveryConfig
		}
	case storage.ConsoleSender:
		v.Target = "the terminal"
	case storage.ClientSender:
		v.Target = "the client"
	}
	return v
}

// signatureOf returns the name of the signature of the webhook's calls.
func signatureOf(s storage.Sender) string {
	switch {
	case s.Signature != storage.DialectSignature:
		return string(s.Signature)
	case s.Dialect == storage.ElasticPathDialect:
		return "secret-key"
	}
	return "oc-hash"
}

// serves returns the users that the sender serves, for people.
func (v senderView) serves() string {
	var parties []string
	if !v.Active {
		return "nobody (inactive)"
	}
	if v.Buyers {
		parties = append(parties, "all buyers")
	}
	if v.Admins {
		parties = append(parties, "admin users")
	}
	if v.Accounts > 0 {
		parties = append(parties, fmt.Sprintf("%d accounts", v.Accounts))
	}
	if parties == nil {
		return "nobody"
	}
	return strings.Join(parties, ", ")
}

func (c *cli) listSenders(cmd *cobra.Command, _ []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
		senders, err := store.Senders(cmd.Context())
		if err != nil {
			return err
		}
		views := make([]senderView, len(senders))
		for i, s := range senders {
			views[i] = viewSender(s)
		}
		return c.print(views, func(w io.Writer) error {
			return table(w, "ID\tKIND\tTARGET\tSERVES\tSIGNATURE\tENCRYPTED\tTYPES", len(views), func(i int) string {
				v := views[i]
				return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%t\t%s", v.ID, v.Kind, v.Target, v.serves(), v.Signature, v.Encrypted,
					strings.Join(v.Types, ","))
			})
		})
	})
}

func (c *cli) testSender(cmd *cobra.Command, id, kind string, to storage.User) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withReadingApp(cmd.Context(), cfg, func(a *app) error {
		sender, err := a.store.Sender(cmd.Context(), id)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("no message sender %q", id)
		}
		if err != nil {
			return err
		}
		if err := server.CheckSenders(cfg, []storage.Sender{sender}); err != nil {
			return err
		}
		of, err := server.TestMessageType(sender, kind)
		if err != nil {
			return usagef("%v", err)
		}
		return c.sendTest(cmd.Context(), a, sender, of, to)
	})
}

// sendTest sends a test message to the user, who does not exist in the database,
// and prints the outcome.
func (c *cli) sendTest(ctx context.Context, a *app, sender storage.Sender, kind storage.MessageType, to storage.User) error {
	begun := c.now()
	id, err := a.core.SendTestMessage(ctx, sender, kind, to, c.stderr)
	switch {
	case id == "":
		return err
	case err != nil:
		a.log.Debug().Err(err).Str("sender", sender.ID).Msg("test message was not delivered")
		return fmt.Errorf("message sender %s did not deliver: %w (%s)", sender.ID, deliver.ReasonOf(err), outlook(err))
	}
	return c.printTest(sender.ID, id, c.now().Sub(begun))
}

// outlook says whether a worker would try again after the error.
func outlook(err error) string {
	if deliver.IsPermanent(err) {
		return "it would not be tried again"
	}
	return "it would be tried again"
}

func (c *cli) printTest(sender, message string, took time.Duration) error {
	return c.print(struct {
		Sender       string `json:"sender_id"`
		Message      string `json:"message_id"`
		Outcome      string `json:"outcome"`
		Milliseconds int64  `json:"milliseconds"`
	}{sender, message, "delivered", took.Milliseconds()}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "message sender %s delivered test message %s in %d ms\n", sender, message, took.Milliseconds())
		return err
	})
}
