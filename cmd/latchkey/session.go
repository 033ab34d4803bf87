package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/oauth/admin"
	"latchkey/otp"
	"latchkey/storage"
)

func (c *cli) sessionCommand() *cobra.Command {
	var profile string
	list := &cobra.Command{
		Use:   "list USERNAME",
		Short: "List the sessions in which a user is signed in at a browser",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withSessions(cmd, c.withReadingApp, func(a *app, sessions *admin.Sessions) error {
				return c.listSessions(cmd.Context(), a, sessions, profile, args[0])
			})
		},
	}
	list.Flags().StringVar(&profile, "profile", storage.DefaultProfileID, "password profile of the login")
	end := &cobra.Command{
		Use:   "end ID",
		Short: "End a session with its refresh tokens, and notify its clients",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withSessions(cmd, c.withExistingApp, func(a *app, sessions *admin.Sessions) error {
				return c.endSession(cmd.Context(), a, sessions, args[0])
			})
		},
	}
	return group("session", "Sessions of browsers", list, end)
}

// withSessions calls do with the sessions of the database.
func (c *cli) withSessions(cmd *cobra.Command, open opensApp, do func(*app, *admin.Sessions) error) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return open(cmd.Context(), cfg, func(a *app) error {
		return do(a, &admin.Sessions{Store: a.store, Rand: c.random, Now: c.now, Wake: func() {}})
	})
}

// sessionView is a session in the output.
type sessionView struct {
	ID         string    `json:"id"`
	ClientID   string    `json:"client_id"` // that the user signed in for
	Clients    []string  `json:"clients"`   // that got tokens in it
	AMR        []string  `json:"amr"`
	SignedInAt time.Time `json:"signed_in_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	IdleUntil  time.Time `json:"idle_until"`
	ExpiresAt  time.Time `json:"expires_at"`
}

func (c *cli) listSessions(ctx context.Context, a *app, sessions *admin.Sessions, profile, username string) error {
	login, err := a.store.Login(ctx, storage.PasswordProfileID(profile), otp.NormalizeUsername(username))
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("no login %q in the password profile %q", username, profile)
	}
	if err != nil {
		return err
	}
	found, err := sessions.OfUser(ctx, login.UserUID)
	if err != nil {
		return err
	}
	views := make([]sessionView, len(found))
	for i, x := range found {
		views[i] = sessionView{
			ID: x.ID, ClientID: x.ClientID, Clients: append([]string{}, x.Clients...), AMR: x.AMR, SignedInAt: x.AuthTime,
			LastUsedAt: x.LastUsedAt, IdleUntil: x.IdleUntil, ExpiresAt: x.ExpiresAt,
		}
	}
	return c.print(views, func(w io.Writer) error {
		return table(w, "ID\tCLIENTS\tSIGNED IN\tLAST USED\tIDLE UNTIL", len(views), func(i int) string {
			x := views[i]
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", x.ID, cmp.Or(strings.Join(x.Clients, ","), "-"),
				showTime(x.SignedInAt, "-"), showTime(x.LastUsedAt, "-"), showTime(x.IdleUntil, "-"))
		})
	})
}

// endSession ends a session and stores an audit event. Running servers notify the clients.
func (c *cli) endSession(ctx context.Context, a *app, sessions *admin.Sessions, id string) error {
	err := a.store.InTx(ctx, func(ctx context.Context) error {
		state, err := a.store.Session(ctx, id)
		if err == nil {
			err = sessions.EndOfUser(ctx, state.Session.UserUID, id, "")
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, "session.ended", "Session/"+id)
	})
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("no session %q, or it has ended", id)
	}
	if err == nil {
		err = a.store.NotifyOthers(ctx)
	}
	if err != nil {
		return err
	}
	return c.done("session %q has ended", id)
}
