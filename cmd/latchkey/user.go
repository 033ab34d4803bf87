package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"latchkey/oauth/admin"
	"latchkey/otp"
	"latchkey/storage"
)

func (c *cli) userCommand() *cobra.Command {
	var profile string
	unlock := &cobra.Command{
		Use:   "unlock USERNAME",
		Short: "Clear the failures and the lock of a login",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.unlock(cmd, profile, args[0])
		},
	}
	unlock.Flags().StringVar(&profile, "profile", storage.DefaultProfileID, "password profile of the login")
	return group("user", "Users", c.userCreateCommand(), c.userListCommand(), c.userShowCommand(), unlock,
		c.userActiveCommand("enable", "Let a user sign in again", true),
		c.userActiveCommand("disable", "Refuse a user and all its tokens and codes", false))
}

func (c *cli) unlock(cmd *cobra.Command, profile, username string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
		login, err := a.store.Login(cmd.Context(), storage.PasswordProfileID(profile), otp.NormalizeUsername(username))
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("no login %q in the password profile %q", username, profile)
		}
		if err != nil {
			return err
		}
		if err := a.unlock(cmd.Context(), login); err != nil {
			return err
		}
		return c.done("login %q is unlocked", login.Username)
	})
}

// lockouts are the locks of the database.
func (a *app) lockouts() *admin.Lockouts { return &admin.Lockouts{Store: a.store, Now: a.now} }

// unlock clears the failures of a login and stores an audit event.
func (a *app) unlock(ctx context.Context, login storage.Login) error {
	return a.store.InTx(ctx, func(ctx context.Context) error {
		if err := a.lockouts().UnlockLogin(ctx, login.ID); err != nil {
			return err
		}
		return a.audit(ctx, "login.unlocked", "Login/"+login.ProfileID+"/"+login.Username)
	})
}
