package storetest

import (
	"context"
	"time"

	"latchkey/storage"
)

// Resources holds the methods that list and delete records.
type Resources interface {
	ConfigurationLists
	PeopleLists
	RecordLists
	ConfigurationDeletes
	PeopleDeletes
	DeliveryConfigs
	Audit
	Figures
}

// Figures counts events and rows for administrators.
type Figures interface {
	CodeFunnel(ctx context.Context, until time.Time, periods ...time.Duration) ([]storage.CodeFunnel, error)
	SenderActivity(ctx context.Context, since time.Time) ([]storage.SenderActivity, error)
	DeadMessages(ctx context.Context, since time.Time) (storage.DeadMessages, error)
	AddTestMessage(ctx context.Context, m storage.Message) error
}

// ConfigurationLists lists configuration records.
type ConfigurationLists interface {
	ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error)
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
	ListSecurityProfiles(ctx context.Context, q storage.Query) (storage.Page[storage.SecurityProfile], error)
	ListProfileAssignments(ctx context.Context, q storage.Query) (storage.Page[storage.ProfileAssignment], error)
	ListClients(ctx context.Context, q storage.Query) (storage.Page[storage.Client], error)
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)
}

// PeopleLists lists users, logins, accounts and memberships.
type PeopleLists interface {
	ListAccounts(ctx context.Context, realmID string, kind storage.UserKind, q storage.Query) (storage.Page[storage.Account], error)
	ListUsers(ctx context.Context, scope storage.UserScope, q storage.Query) (storage.Page[storage.UserLogin], error)
	SearchUsers(ctx context.Context, find storage.UserSearch) (storage.Page[storage.UserLogin], error)
	ListLogins(ctx context.Context, userUID string, q storage.Query) (storage.Page[storage.Login], error)
	ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error)
	ListNonMembers(ctx context.Context, realmID, accountUID string, q storage.Query) (storage.Page[storage.User], error)
}

// RecordLists lists requests, messages and deliveries.
type RecordLists interface {
	ListRequests(ctx context.Context, q storage.Query) (storage.Page[storage.Timeline], error)
	FindRequests(ctx context.Context, words storage.RequestWords, limit int) ([]string, error)
	ListMessages(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.Message], error)
	ListDeliveries(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.DeliveryRecord], error)
}

// ConfigurationDeletes deletes configuration records.
type ConfigurationDeletes interface {
	DeleteClient(ctx context.Context, id string, version int64) error
	DeletePasswordProfile(ctx context.Context, id string, version int64) error
	DeleteSecurityProfile(ctx context.Context, id string, version int64) error
	DeleteSender(ctx context.Context, id string, version int64) error
}

// PeopleDeletes deletes users, logins and accounts.
type PeopleDeletes interface {
	DeleteAccount(ctx context.Context, uid string, version int64) error
	DeleteUser(ctx context.Context, uid string, version int64) error
	DeleteUserLogin(ctx context.Context, u storage.UserLogin) error
	DeleteLogin(ctx context.Context, id string, version int64) error
}

// DeliveryConfigs stores delivery configs.
type DeliveryConfigs interface {
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
	PutDeliveryConfig(ctx context.Context, c storage.DeliveryConfig) (storage.DeliveryConfig, error)
	DeleteDeliveryConfig(ctx context.Context, id string, version int64) error
	ListDeliveryConfigs(ctx context.Context, q storage.Query) (storage.Page[storage.DeliveryConfig], error)
}

// Audit stores audit events.
type Audit interface {
	AddAuditEvents(ctx context.Context, events []storage.AuditEvent) error
	ListAuditEvents(ctx context.Context, q storage.Query) (storage.Page[storage.AuditEvent], error)
	EachAuditEvent(ctx context.Context, f storage.AuditFilter, do func(storage.AuditRecord) error) error
	VerifyAudit(ctx context.Context, expect storage.AuditHead, progress func(read, all int64) error) (storage.AuditVerdict, error)
	AuditState(ctx context.Context) (storage.AuditVerdict, error)
	VerifyRecentAudit(ctx context.Context, events int64) (storage.AuditVerdict, error)
	AuditHead(ctx context.Context) (storage.AuditHead, error)
	RestartAudit(ctx context.Context, why storage.AuditEvent) (int64, error)
}
