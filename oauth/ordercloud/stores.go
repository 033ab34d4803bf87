package ordercloud

import (
	"context"
	"errors"
	"time"

	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// Stores store the resources. All fields are required. *gormstore.Store implements all of
// them except Keys.
type Stores struct {
	Clients          ClientStore
	Secrets          SecretStore
	Profiles         SecurityProfileStore
	Assignments      AssignmentStore
	Accounts         surface.AccountStore
	Users            surface.UserStore
	UserSearch       UserSearcher
	Memberships      MembershipStore
	Consents         ConsentStore
	Logins           LoginStore
	Senders          SenderStore
	DeliveryConfigs  DeliveryConfigStore
	Records          RecordStore
	Figures          FigureStore
	Messages         otp.RetryStore
	PasswordProfiles PasswordProfileStore
	Keys             KeyRing // *keys.Ring
}

func (s Stores) complete() error {
	for _, required := range []any{
		s.Clients, s.Secrets, s.Profiles, s.Assignments, s.Accounts, s.Users, s.UserSearch, s.Memberships, s.Consents, s.Logins, s.Senders,
		s.DeliveryConfigs, s.Records, s.Figures, s.Messages, s.Keys, s.PasswordProfiles,
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
	// AddClientSecret returns storage.ErrTooMany if the client has limit secrets
	// already; 0: no limit.
	AddClientSecret(ctx context.Context, clientID string, s storage.ClientSecret, limit int) error
	// ChangeClientSecret stores the name and the expiry that change sets.
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

// PasswordProfileStore keeps password profiles.
type PasswordProfileStore interface {
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
}

// AssignmentStore stores the assignments of security profiles.
type AssignmentStore interface {
	AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error
	UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error
	ListProfileAssignments(ctx context.Context, q storage.Query) (storage.Page[storage.ProfileAssignment], error)
}

// LoginStore reads the logins of users and revokes their tokens.
type LoginStore interface {
	surface.LoginReader
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	// Principal returns the login of the key with its user, account and roles. Known is
	// false if there is none.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	RevokeUserTokens(ctx context.Context, userUID string, now time.Time) error
}

// UserSearcher finds users of all companies.
type UserSearcher interface {
	SearchUsers(ctx context.Context, find storage.UserSearch) (storage.Page[storage.UserLogin], error)
}

// MembershipStore keeps the memberships of users in accounts.
type MembershipStore interface {
	ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error)
	MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
	DeleteMembership(ctx context.Context, id string, version int64) error
}

// ConsentStore keeps what users allowed third-party clients.
type ConsentStore interface {
	Consents(ctx context.Context, userUID string, limit int) ([]storage.Consent, error)
	// EndConsent deletes a consent with the tokens that the client got by it.
	EndConsent(ctx context.Context, userUID, clientID string, now time.Time) error
}

// SenderStore keeps message senders.
type SenderStore interface {
	surface.SenderStore
	Senders(ctx context.Context) ([]storage.Sender, error)
}

// DeliveryConfigStore keeps delivery configs.
type DeliveryConfigStore interface {
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
	PutDeliveryConfig(ctx context.Context, c storage.DeliveryConfig) (storage.DeliveryConfig, error)
	ListDeliveryConfigs(ctx context.Context, q storage.Query) (storage.Page[storage.DeliveryConfig], error)
	DeleteDeliveryConfig(ctx context.Context, id string, version int64) error
}

// RecordStore reads audit events, requests and messages.
type RecordStore interface {
	ListAuditEvents(ctx context.Context, q storage.Query) (storage.Page[storage.AuditEvent], error)
	// EachAuditEvent calls do with the events that the filter selects, the oldest first.
	EachAuditEvent(ctx context.Context, f storage.AuditFilter, do func(storage.AuditRecord) error) error
	// AuditState returns the ends of the chain of audit events.
	AuditState(ctx context.Context) (storage.AuditVerdict, error)
	ListRequests(ctx context.Context, q storage.Query) (storage.Page[storage.Timeline], error)
	// FindRequests returns the IDs of the newest requests that match the words.
	FindRequests(ctx context.Context, words storage.RequestWords, limit int) ([]string, error)
	ListMessages(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.Message], error)
	otp.TimelineStore
}

// FigureStore counts codes and messages. It reads a bounded number of rows.
type FigureStore interface {
	CodeFunnel(ctx context.Context, until time.Time, periods ...time.Duration) ([]storage.CodeFunnel, error)
	SenderActivity(ctx context.Context, since time.Time) ([]storage.SenderActivity, error)
}

// KeyRing holds the signing keys.
type KeyRing interface {
	List(ctx context.Context) ([]keys.KeyInfo, error)
	Rotate(ctx context.Context, alg string) (keys.KeyInfo, error)
	Revoke(ctx context.Context, kid string) error
	// PlanRotate and PlanRevoke return what these would do.
	PlanRotate(ctx context.Context, alg string) (keys.Plan, error)
	PlanRevoke(ctx context.Context, kid string) (keys.Plan, error)
}

// Transactor runs fn in one transaction; *gormstore.Store is one.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Passwords sets permanent passwords; *signin.Passwords is one.
type Passwords interface {
	surface.PasswordMaker
	// Change sets the password of a signed-in user, whose sessions end except
	// keepSession.
	Change(ctx context.Context, p *storage.Principal, password, keepSession string) error
	// Renew sets a forgotten password by a verification code.
	Renew(ctx context.Context, c *storage.Client, r signin.Renewal) error
}

// Codes takes requests for codes and messages; *otp.Service is one.
type Codes interface {
	// Request stores a request for codes or messages through the client.
	Request(ctx context.Context, client storage.Client, r otp.Request) error
	// Invitation returns the request that invites a user. The caller stores it together
	// with the user.
	Invitation(ctx context.Context, r otp.Request) (storage.CodeRequest, error)
	// Wake makes the service look for stored requests at once.
	Wake()
}
