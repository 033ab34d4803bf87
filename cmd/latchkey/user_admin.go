package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/cmd/latchkey/apply"
	"latchkey/oauth/admin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// userView is a user with a login in the output.
type userView struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Profile  string `json:"profile"`
	Kind     string `json:"kind"`              // buyer, supplier or admin
	Account  string `json:"account,omitempty"` // ID of the buyer or supplier
	Name     string `json:"name"`
	Email    string `json:"email"`
	Active   bool   `json:"active"`
	Password bool   `json:"has_password"`
	Failures int    `json:"failures"`

	Lockout *lockoutView `json:"lockout,omitempty"` // by "user show"
}

// lockoutView says what is locked for a login. Null: not locked.
type lockoutView struct {
	Passwords *time.Time     `json:"passwords_until"` // from addresses that are not known
	Codes     *time.Time     `json:"codes_until"`     // likewise
	Addresses []knownAddress `json:"addresses"`       // that the user has signed in from
}

type knownAddress struct {
	Address     string     `json:"address"`
	Failures    int        `json:"failures"`
	LockedUntil *time.Time `json:"locked_until"`
}

func viewLockout(l storage.LoginLockout, now time.Time) *lockoutView {
	until := func(end time.Time) *time.Time {
		if !now.Before(end) {
			return nil
		}
		return &end
	}
	view := &lockoutView{
		Passwords: until(l.Login.Lockout.LockedUntil), Codes: until(l.Login.Lockout.Codes.LockedUntil), Addresses: []knownAddress{},
	}
	for _, s := range l.Sources {
		view.Addresses = append(view.Addresses, knownAddress{s.Source.Address, s.Counter.Failures, until(s.Counter.LockedUntil)})
	}
	return view
}

// writeLockout writes a line for each lock.
func writeLockout(w io.Writer, view *lockoutView) error {
	var text strings.Builder
	locked := func(what string, until *time.Time) {
		if until != nil {
			fmt.Fprintf(&text, "%s are locked until %s\n", what, showTime(*until, "-"))
		}
	}
	locked("passwords from addresses that are not known", view.Passwords)
	locked("one-time passwords from addresses that are not known", view.Codes)
	for _, a := range view.Addresses {
		locked("sign-ins from "+a.Address, a.LockedUntil)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func viewUser(u storage.User, l storage.Login, account string) userView {
	return userView{
		ID: u.ID, Username: l.Username, Profile: l.ProfileID, Kind: string(u.Kind), Account: account, Email: u.Email,
		Name: strings.TrimSpace(u.FirstName + " " + u.LastName), Active: u.Active && (l.ID == "" || l.Active),
		Password: l.PasswordHash != "", Failures: l.Lockout.Failures,
	}
}

// writeUsers writes a row for each user.
func writeUsers(w io.Writer, views []userView) error {
	return table(w, "USERNAME\tID\tKIND\tACCOUNT\tNAME\tE-MAIL\tACTIVE\tFAILURES", len(views), func(i int) string {
		v := views[i]
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%t\t%d", v.Username, v.ID, v.Kind, v.Account, v.Name, v.Email, v.Active, v.Failures)
	})
}

// home says which users are meant.
type home struct {
	buyer, supplier string
	admin           bool
}

func (h *home) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&h.buyer, "buyer", "", "users of this buyer")
	f.StringVar(&h.supplier, "supplier", "", "users of this supplier")
	f.BoolVar(&h.admin, "admin", false, "admin users")
	cmd.MarkFlagsMutuallyExclusive("buyer", "supplier", "admin")
}

// account returns the buyer or supplier. For admin users it has only a kind, and without
// any flag not even that.
func (h *home) account(ctx context.Context, store *gormstore.Store) (storage.Account, error) {
	kind, id := storage.Buyer, h.buyer
	switch {
	case h.admin:
		return storage.Account{Kind: storage.Admin}, nil
	case h.supplier != "":
		kind, id = storage.Supplier, h.supplier
	case h.buyer == "":
		return storage.Account{}, nil
	}
	account, err := store.Account(ctx, storage.DefaultRealmID, kind, id)
	if errors.Is(err, storage.ErrNotFound) {
		return account, fmt.Errorf("no %s %q", kind, id)
	}
	return account, err
}

func (c *cli) userListCommand() *cobra.Command {
	var of home
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List users with their logins",
		Example: "  latchkey user list --buyer acme",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error { return c.listUsers(cmd.Context(), store, of) })
		},
	}
	of.addFlags(cmd)
	return cmd
}

func (c *cli) listUsers(ctx context.Context, store *gormstore.Store, of home) error {
	account, err := of.account(ctx, store)
	if err != nil {
		return err
	}
	accounts, views := map[string]string{}, []userView{}
	q := storage.Query{Limit: usersPage}
	for {
		page, err := store.ListUsers(ctx, storage.UserScope{Kind: account.Kind, AccountUID: account.UID}, q)
		if err != nil {
			return err
		}
		for _, u := range page.Items {
			id, err := accountID(ctx, store, accounts, u.User.AccountUID)
			if err != nil {
				return err
			}
			views = append(views, viewUser(u.User, u.Login, id))
		}
		if q.After = page.Next; q.After == "" {
			return c.print(views, func(w io.Writer) error { return writeUsers(w, views) })
		}
	}
}

// usersPage is how many users are read at a time.
const usersPage = 500

// accountID returns the ID of an account. known is filled with what was read.
func accountID(ctx context.Context, store *gormstore.Store, known map[string]string, uid string) (string, error) {
	if id, ok := known[uid]; ok || uid == "" {
		return id, nil
	}
	account, err := store.AccountByUID(ctx, uid)
	if err == nil {
		known[uid] = account.ID
	}
	return account.ID, err
}

// findUser reads a login with its user.
func findUser(ctx context.Context, store *gormstore.Store, profile, username string) (storage.User, storage.Login, error) {
	login, err := store.Login(ctx, storage.PasswordProfileID(profile), otp.NormalizeUsername(username))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.User{}, login, fmt.Errorf("no login %q in the password profile %q", username, profile)
	}
	if err != nil {
		return storage.User{}, login, err
	}
	user, err := store.UserByUID(ctx, login.UserUID)
	return user, login, err
}

func (c *cli) userShowCommand() *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:     "show USERNAME",
		Short:   "Show a user with a login, its failures and its locks",
		Example: "  latchkey user show jane",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
				user, login, err := findUser(cmd.Context(), store, profile, args[0])
				if err != nil {
					return err
				}
				account, err := accountID(cmd.Context(), store, map[string]string{}, user.AccountUID)
				if err != nil {
					return err
				}
				lockout, err := (&admin.Lockouts{Store: store, Now: c.now}).OfLogin(cmd.Context(), login.ID)
				if err != nil {
					return err
				}
				view := viewUser(user, login, account)
				view.Lockout = viewLockout(lockout, c.now())
				return c.print(view, func(w io.Writer) error {
					return errors.Join(writeUsers(w, []userView{view}), writeLockout(w, view.Lockout))
				})
			})
		},
	}
	cmd.Flags().StringVar(&profile, "profile", storage.DefaultProfileID, "password profile of the login")
	return cmd
}

// userActiveCommand is "user enable" or "user disable".
func (c *cli) userActiveCommand(verb, short string, active bool) *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:     verb + " USERNAME",
		Short:   short,
		Example: "  latchkey user " + verb + " jane",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
				user, login, err := findUser(cmd.Context(), a.store, profile, args[0])
				if err != nil {
					return err
				}
				user.Active = active
				err = a.store.InTx(cmd.Context(), func(ctx context.Context) error {
					if _, err := a.store.PutUser(ctx, user); err != nil {
						return err
					}
					return a.audit(ctx, "user.updated", "User/"+user.ID)
				})
				if err != nil {
					return err
				}
				return c.done("user %s is %sd", login.Username, verb)
			})
		},
	}
	cmd.Flags().StringVar(&profile, "profile", storage.DefaultProfileID, "password profile of the login")
	return cmd
}

// newUser holds the flags of "user create".
type newUser struct {
	home
	id, email, firstName, lastName, profile, passwordFile string
	fullAccess                                            bool
}

func (c *cli) userCreateCommand() *cobra.Command {
	var n newUser
	cmd := &cobra.Command{
		Use:   "create USERNAME",
		Short: "Create a user of a buyer or supplier, or an admin user",
		Example: `  latchkey user create jane --buyer acme --email jane@example.com
  latchkey user create root --admin --full-access --password-file password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
				if err := a.createUser(cmd.Context(), n, args[0]); err != nil {
					return c.faulty("user create", nil, err)
				}
				if !n.fullAccess {
					return c.done("user %s is created", args[0])
				}
				return c.done("user %s is created and may sign in at %s/console", args[0], strings.TrimSuffix(cfg.Issuer, "/"))
			})
		},
	}
	n.addFlags(cmd)
	cmd.MarkFlagsOneRequired("buyer", "supplier", "admin")
	f := cmd.Flags()
	f.StringVar(&n.id, "id", "", "ID of the user; default: made from the username")
	f.StringVar(&n.email, "email", "", "e-mail address, for codes")
	f.StringVar(&n.firstName, "first-name", "", "first name")
	f.StringVar(&n.lastName, "last-name", "", "last name")
	f.StringVar(&n.profile, "profile", storage.DefaultProfileID, "password profile of the login")
	f.StringVar(&n.passwordFile, "password-file", "", "file that holds a permanent password")
	f.BoolVar(&n.fullAccess, "full-access", false, "give the admin user the role FullAccess, by the security profile "+fullAccessProfile)
	cmd.MarkFlagsMutuallyExclusive("full-access", "buyer")
	cmd.MarkFlagsMutuallyExclusive("full-access", "supplier")
	return cmd
}

// createUser applies a document with the user alone, so that its rules hold.
func (a *app) createUser(ctx context.Context, n newUser, username string) error {
	if _, _, err := findUser(ctx, a.store, n.profile, username); err == nil {
		return fmt.Errorf("the login %q exists in the password profile %q", username, n.profile)
	}
	account, err := n.account(ctx, a.store)
	if err != nil {
		return err
	}
	user := apply.User{User: wire.User{
		ID: n.id, Username: username, Email: n.email, FirstName: n.firstName, LastName: n.lastName, PasswordProfileID: &n.profile,
	}}
	if n.passwordFile != "" {
		password, err := os.ReadFile(n.passwordFile)
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(password), "\r\n")
		user.Password = &text
	}
	var doc apply.Document
	switch account.Kind {
	case storage.Admin:
		doc.AdminUsers = []apply.User{user}
	case storage.Supplier:
		doc.Suppliers = []apply.Supplier{{Supplier: wire.SupplierFromRecord(account), Users: []apply.User{user}}}
	case storage.Buyer:
		doc.Buyers = []apply.Buyer{{Buyer: wire.BuyerFromRecord(account), Users: []apply.User{user}}}
	}
	if err := doc.Check(); err != nil {
		return err
	}
	applier, err := a.newApplier(applyFlags{})
	if err != nil {
		return err
	}
	result, err := applier.Apply(ctx, doc, false)
	if err == nil {
		err = a.auditApply(ctx, "user create", result.Changes)
	}
	if err == nil && n.fullAccess {
		err = a.giveFullAccess(ctx, n.profile, username)
	}
	return err
}

// fullAccessProfile is the ID of the security profile of administrators who may do
// everything.
const fullAccessProfile = "full-access"

// giveFullAccess assigns the security profile with the role FullAccess to an admin user,
// and creates the profile if there is none.
func (a *app) giveFullAccess(ctx context.Context, profile, username string) error {
	user, _, err := findUser(ctx, a.store, profile, username)
	if err != nil {
		return err
	}
	return a.store.InTx(ctx, func(ctx context.Context) error {
		has, err := a.store.SecurityProfile(ctx, fullAccessProfile)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			if _, err := a.store.PutSecurityProfile(ctx, storage.SecurityProfile{
				ID: fullAccessProfile, RealmID: storage.DefaultRealmID, Name: "Full access", Roles: []string{admin.RoleFullAccess}, Version: storage.MustBeNew,
			}); err != nil {
				return err
			}
			if err := a.audit(ctx, "securityprofile.created", "SecurityProfile/"+fullAccessProfile); err != nil {
				return err
			}
		case err != nil:
			return err
		case !slices.Contains(has.Roles, admin.RoleFullAccess):
			return fmt.Errorf("the security profile %s does not have the role %s", fullAccessProfile, admin.RoleFullAccess)
		}
		if err := a.store.AssignSecurityProfile(ctx, fullAccessProfile, storage.UserParty(user.UID)); err != nil {
			return err
		}
		return a.audit(ctx, "securityprofileassignment.created", "SecurityProfileAssignment/"+fullAccessProfile)
	})
}
