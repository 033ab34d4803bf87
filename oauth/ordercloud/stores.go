package ordercloud

import (
	"context"
	"errors"
	"time"

	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

// Stores are what keeps the resources; *gormstore.Store is all of them.
type Stores struct {
	Clients         ClientStore
	Secrets         SecretStore
	Profiles        SecurityProfileStore
	Assignments     AssignmentStore
	Accounts        AccountStore
	Users           UserStore
	Logins          LoginStore
	Senders         SenderStore
	DeliveryConfigs DeliveryConfigStore
	Records         RecordStore
	Messages        otp.RetryStore
	Keys            KeyRing // *keys.Ring
}

func (s Stores) complete() error {
	for _, required := range []any{
		s.Clients, s.Secrets, s.Profiles, s.Assignments, s.Accounts, s.Users, s.Logins, s.Senders,
		s.DeliveryConfigs, s.Records, s.Messages, s.Keys,
	} {
		if required == nil {
			return errors.New("a store is missing")
		}
	}
	return nil
}

// ClientStore keeps API clients.
type ClientStore interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	Clients(ctx context.Context) ([]storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	ListClients(ctx context.Context, q storage.Query) (storage.Page[storage.Client], error)
	DeleteClient(ctx context.Context, id string, version int64) error
	// PasswordProfile returns the profile whose logins sign in through a client,
	// or storage.ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
}

// SecretStore keeps the secrets of API clients.
type SecretStore interface {
	// AddClientSecret answers storage.ErrTooMany if the client has limit secrets
	// already; 0: no limit.
	AddClientSecret(ctx context.Context, clientID string, s storage.ClientSecret, limit int) error
	// ChangeClientSecret stores what change makes of the name and the expiry.
	ChangeClientSecret(ctx context.Context, clientID, secretID string, change func(*storage.ClientSecret) error) (storage.ClientSecret, error)
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
}

// SecurityProfileStore keeps security profiles.
type SecurityProfileStore interface {
	SecurityProfile(ctx context.Context, id string) (storage.SecurityProfile, error)
	PutSecurityProfile(ctx context.Context, p storage.SecurityProfile) (storage.SecurityProfile, error)
	ListSecurityProfiles(ctx context.Context, q storage.Query) (storage.Page[storage.SecurityProfile], error)
	DeleteSecurityProfile(ctx context.Context, id string, version int64) error
}

// AssignmentStore keeps who holds which security profile.
type AssignmentStore interface {
	AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error
	UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error
	ListProfileAssignments(ctx context.Context, q storage.Query) (storage.Page[storage.ProfileAssignment], error)
}

// AccountStore keeps buyers and suppliers.
type AccountStore interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	AccountByUID(ctx context.Context, uid string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error)
	DeleteAccount(ctx context.Context, uid string, version int64) error
}

// UserStore keeps users with their logins.
type UserStore interface {
	User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error)
	UserByUID(ctx context.Context, uid string) (storage.User, error)
	ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error)
	AddUser(ctx context.Context, n storage.NewUser) (storage.UserLogin, error)
	ChangeUser(ctx context.Context, u storage.User, l *storage.Login, p *storage.PasswordChange) (storage.UserLogin, error)
	DeleteUser(ctx context.Context, uid string, version int64) error
}

// LoginStore knows how users sign in.
type LoginStore interface {
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	// Principal returns all that there is to know of a login by its name; Known
	// reports whether there is one.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
	Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error)
	Unlock(ctx context.Context, loginID string, now time.Time) error
	RevokeUserTokens(ctx context.Context, userUID string, now time.Time) error
}

// SenderStore keeps message senders.
type SenderStore interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	Senders(ctx context.Context) ([]storage.Sender, error)
	PutSender(ctx context.Context, s storage.Sender) (storage.Sender, error)
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)
	DeleteSender(ctx context.Context, id string, version int64) error
}

// DeliveryConfigStore keeps delivery configs.
type DeliveryConfigStore interface {
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
	PutDeliveryConfig(ctx context.Context, c storage.DeliveryConfig) (storage.DeliveryConfig, error)
	ListDeliveryConfigs(ctx context.Context, q storage.Query) (storage.Page[storage.DeliveryConfig], error)
	DeleteDeliveryConfig(ctx context.Context, id string, version int64) error
}

// RecordStore keeps what happened.
type RecordStore interface {
	ListAuditEvents(ctx context.Context, q storage.Query) (storage.Page[storage.AuditEvent], error)
	ListRequests(ctx context.Context, q storage.Query) (storage.Page[storage.RequestSummary], error)
	Timeline(ctx context.Context, requestID string) (storage.Timeline, error)
}

// Sealer encrypts what must be read back: *keys.Sealer.
type Sealer interface {
	Seal(plain []byte, context string) (storage.Sealed, error)
	Open(sealed storage.Sealed, context string) ([]byte, error)
}

// KeyRing holds the signing keys.
type KeyRing interface {
	List(ctx context.Context) ([]keys.KeyInfo, error)
	Rotate(ctx context.Context, alg string) (keys.KeyInfo, error)
	Revoke(ctx context.Context, kid string) error
}
