package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
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
	return group("user", "Users", unlock)
}

func (c *cli) unlock(cmd *cobra.Command, profile, username string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
		login, err := store.Login(cmd.Context(), profile, otp.NormalizeUsername(username))
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("no login %q in the password profile %q", username, profile)
		}
		if err != nil {
			return err
		}
		if err := store.Unlock(cmd.Context(), login.ID, c.now()); err != nil {
			return err
		}
		return c.done("login %q is unlocked", login.Username)
	})
}
