package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"latchkey/grants"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Transactor runs fn in one transaction: all writes of fn take effect, or none.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// RealmStore stores realms and password profiles.
type RealmStore interface {
	Realm(ctx context.Context, id string) (storage.Realm, error)
	PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error)
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
}

// SecurityProfileStore stores security profiles and their assignments.
type SecurityProfileStore interface {
	SecurityProfile(ctx context.Context, id string) (storage.SecurityProfile, error)
	PutSecurityProfile(ctx context.Context, p storage.SecurityProfile) (storage.SecurityProfile, error)
	SecurityProfileParties(ctx context.Context, id string) ([]storage.Party, error)
	// SecurityProfilesOf returns the IDs of the profiles that are assigned to the
	// user, to its account, or to its kind.
	SecurityProfilesOf(ctx context.Context, u storage.User) ([]string, error)
	AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error
	UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error
}

// UserStore stores accounts, users and memberships.
type UserStore interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error)
	PutUser(ctx context.Context, u storage.User) (storage.User, error)
	Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
}

// LoginStore stores logins.
type LoginStore interface {
	Login(ctx context.Context, profileID, usernameKey string) (storage.Login, error)
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	PutLogin(ctx context.Context, l storage.Login) (storage.Login, error)
	SetPassword(ctx context.Context, loginID, hash string, now time.Time, endSessions bool) error
}

// ClientStore stores clients.
type ClientStore interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	AddClientSecret(ctx context.Context, clientID string, secret storage.ClientSecret, limit int) error
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
}

// SenderStore stores message senders and reads delivery configs.
type SenderStore interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	PutSender(ctx context.Context, s storage.Sender) (storage.Sender, error)
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
}

// RecordStore lists the records that a document can have, and deletes them. A deletion
// takes the version of the record, or 0 for any.
type RecordStore interface {
	ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error)
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
	ListSecurityProfiles(ctx context.Context, q storage.Query) (storage.Page[storage.SecurityProfile], error)
	ListProfileAssignments(ctx context.Context, q storage.Query) (storage.Page[storage.ProfileAssignment], error)
	ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error)
	ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error)
	ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error)
	ListClients(ctx context.Context, q storage.Query) (storage.Page[storage.Client], error)
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)

	DeletePasswordProfile(ctx context.Context, id string, version int64) error
	DeleteSecurityProfile(ctx context.Context, id string, version int64) error
	DeleteAccount(ctx context.Context, uid string, version int64) error
	DeleteUser(ctx context.Context, uid string, version int64) error
	DeleteMembership(ctx context.Context, id string, version int64) error
	DeleteClient(ctx context.Context, id string, version int64) error
	DeleteSender(ctx context.Context, id string, version int64) error
}

// Hasher computes and verifies password hashes. *signin.Hasher implements it.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error)
}

// Config configures an Applier. All stores, Hasher, Peppers and Sealer are
// required.
type Config struct {
	Tx               Transactor
	Realms           RealmStore
	SecurityProfiles SecurityProfileStore
	People           UserStore
	Logins           LoginStore
	Clients          ClientStore
	Senders          SenderStore
	Hasher           Hasher
	Peppers          grants.Digester
	Sealer           surface.Sealer

	// Prune is the store from which the records that the document does not name are
	// deleted, of each list that the document has. nil: nothing is deleted.
	Prune RecordStore
	// ForcePasswords stores the PasswordHash also of users who have a password.
	ForcePasswords bool
	GuessCeiling   float64          // for password profiles, see otp.CheckRisk; 0: its default
	Now            func() time.Time // default time.Now
	Rand           io.Reader        // default crypto/rand
}

// complete sets the defaults, and returns an error if a required field is missing.
func (c *Config) complete() error {
	for _, required := range []any{c.Tx, c.Realms, c.SecurityProfiles, c.People, c.Logins, c.Clients, c.Senders, c.Hasher, c.Peppers, c.Sealer} {
		if required == nil {
			return errors.New("apply: a required field of Config is missing")
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return nil
}
