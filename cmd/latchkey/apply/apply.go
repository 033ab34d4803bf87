package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/grants"
	"latchkey/oauth/ordercloud"
	"latchkey/storage"
)

// Transactor runs fn in one transaction: all of its writes or none take
// effect.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// RealmStore keeps realms and password profiles.
type RealmStore interface {
	Realm(ctx context.Context, id string) (storage.Realm, error)
	PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error)
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
}

// SecurityProfileStore keeps security profiles and who holds them.
type SecurityProfileStore interface {
	SecurityProfile(ctx context.Context, id string) (storage.SecurityProfile, error)
	PutSecurityProfile(ctx context.Context, p storage.SecurityProfile) (storage.SecurityProfile, error)
	SecurityProfileParties(ctx context.Context, id string) ([]storage.Party, error)
	// SecurityProfilesOf gives the IDs of those that are assigned to the user, its
	// account and its kind.
	SecurityProfilesOf(ctx context.Context, u storage.User) ([]string, error)
	AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error
	UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error
}

// PeopleStore keeps accounts, users and memberships.
type PeopleStore interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error)
	PutUser(ctx context.Context, u storage.User) (storage.User, error)
	Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
}

// LoginStore keeps logins.
type LoginStore interface {
	Login(ctx context.Context, profileID, usernameKey string) (storage.Login, error)
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	PutLogin(ctx context.Context, l storage.Login) (storage.Login, error)
	SetPassword(ctx context.Context, loginID, hash string, now time.Time, endSessions bool) error
}

// ClientStore keeps clients.
type ClientStore interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	AddClientSecret(ctx context.Context, clientID string, secret storage.ClientSecret, limit int) error
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
}

// SenderStore keeps message senders and knows delivery configs.
type SenderStore interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	PutSender(ctx context.Context, s storage.Sender) (storage.Sender, error)
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
}

// Hasher makes and verifies password hashes: *signin.Hasher.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error)
}

// Config is what an Applier needs. All stores, Hasher, Peppers and Sealer are
// required.
type Config struct {
	Tx               Transactor
	Realms           RealmStore
	SecurityProfiles SecurityProfileStore
	People           PeopleStore
	Logins           LoginStore
	Clients          ClientStore
	Senders          SenderStore
	Hasher           Hasher
	Peppers          grants.Digester
	Sealer           ordercloud.Sealer

	// ForcePasswords stores the PasswordHash of users who have a password
	// already.
	ForcePasswords bool
	GuessCeiling   float64          // of the password profiles, see otp.CheckRisk; 0: its default
	Now            func() time.Time // default time.Now
	Rand           io.Reader        // default crypto/rand
}

// Applier brings records in line with documents.
type Applier struct{ cfg Config }

// New fails if a required field is missing.
func New(cfg Config) (*Applier, error) {
	for _, required := range []any{cfg.Tx, cfg.Realms, cfg.SecurityProfiles, cfg.People, cfg.Logins, cfg.Clients, cfg.Senders, cfg.Hasher, cfg.Peppers, cfg.Sealer} {
		if required == nil {
			return nil, errors.New("apply: a store or a collaborator is missing")
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &Applier{cfg}, nil
}

// Apply finds what differs from the document and, unless dryRun, writes it:
// all of it or nothing. What the document asks for and the stored records do
// not allow is ordercloud.Faults, all of them at once. storage.ErrStale and
// storage.ErrConflict mean that somebody else changed a record meanwhile; then
// another run may succeed.
func (a *Applier) Apply(ctx context.Context, doc Document, dryRun bool) (Result, error) {
	p := newPlan(a.cfg, dryRun)
	if err := p.build(ctx, doc); err != nil {
		return Result{}, err
	}
	if err := p.faults.Err(); err != nil {
		return Result{}, err
	}
	if dryRun || len(p.writes) == 0 {
		return p.result, nil
	}
	err := a.cfg.Tx.InTx(ctx, func(ctx context.Context) error {
		for _, write := range p.writes {
			if err := write(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("apply: %w", err)
	}
	return p.result, nil
}
