package storetest

import (
	"context"
	"time"

	"latchkey/storage"
)

// Store holds all methods of a store, grouped by topic.
type Store interface {
	Lifecycle
	Realms
	Roles
	Clients
	People
	Memberships
	Logins
	Senders
	SignIn
	Sessions
	Families
	Revocations
	Requests
	Messages
	Timelines
	Keys
	MembersAndPasswords
	Tasks
	Resources
}

// Lifecycle holds the methods about the store as a whole.
type Lifecycle interface {
	Run(ctx context.Context) error
	OnChange(f func())
	Ping(ctx context.Context) error
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
	Sweep(ctx context.Context, now time.Time, limit int) (int, error)
	Overdue(ctx context.Context, now time.Time) (map[string]time.Duration, error)
}

// Realms stores realms and their password profiles.
type Realms interface {
	Realm(ctx context.Context, id string) (storage.Realm, error)
	PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error)
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
}

// Roles stores security profiles and their assignments.
type Roles interface {
	SecurityProfile(ctx context.Context, id string) (storage.SecurityProfile, error)
	PutSecurityProfile(ctx context.Context, p storage.SecurityProfile) (storage.SecurityProfile, error)
	SecurityProfileParties(ctx context.Context, id string) ([]storage.Party, error)
	RolesOfParty(ctx context.Context, party storage.Party) ([]string, error)
	AdminRoles(ctx context.Context, userUID string) ([]string, error)
	AdminRolesOfPasswordProfile(ctx context.Context, profileID string) ([]string, error)
	AdminRolesOfSecurityProfile(ctx context.Context, id string) (roles []string, all bool, err error)
	AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error
	UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error
}

// Clients stores clients and their secrets.
type Clients interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	Clients(ctx context.Context) ([]storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	AddClientSecret(ctx context.Context, clientID string, secret storage.ClientSecret, limit int) error
	ChangeClientSecret(ctx context.Context, clientID, secretID string, change func(*storage.ClientSecret) error) (storage.ClientSecret, error)
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
}

// People stores users and accounts.
type People interface {
	Account(ctx context.Context, realmID string, kind storage.UserKind, id string) (storage.Account, error)
	PutAccount(ctx context.Context, a storage.Account) (storage.Account, error)
	User(ctx context.Context, realmID string, kind storage.UserKind, accountUID, id string) (storage.User, error)
	UserByUID(ctx context.Context, uid string) (storage.User, error)
	PutUser(ctx context.Context, u storage.User) (storage.User, error)
}

// Memberships stores the memberships of users in accounts.
type Memberships interface {
	Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
	DeleteMembership(ctx context.Context, id string, version int64) error
}

// Logins stores logins and their passwords.
type Logins interface {
	Login(ctx context.Context, profileID, usernameKey string) (storage.Login, error)
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	PutLogin(ctx context.Context, l storage.Login) (storage.Login, error)
	SetPassword(ctx context.Context, loginID, hash string, now time.Time, endSessions bool) error
	Unlock(ctx context.Context, loginID string, now time.Time) error
	Sources(ctx context.Context, loginID string) ([]storage.SourceState, error)
}

// Senders stores message senders.
type Senders interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	Senders(ctx context.Context) ([]storage.Sender, error)
	PutSender(ctx context.Context, m storage.Sender) (storage.Sender, error)
}

// SignIn reads principals and settles attempts.
type SignIn interface {
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
	SettleLogin(ctx context.Context, x storage.Settlement) error
	RedeemCode(ctx context.Context, r storage.Redemption) (storage.Redeemed, bool, error)
	RestoreCode(ctx context.Context, r storage.Redemption, done storage.Redeemed) error
}

// Sessions stores sign-ins of browsers, authorization codes and consents.
type Sessions interface {
	Session(ctx context.Context, id string) (storage.SessionState, error)
	UseSession(ctx context.Context, use storage.SessionUse) error
	Sessions(ctx context.Context, userUID string, now time.Time, limit int) ([]storage.SessionState, error)
	EndSession(ctx context.Context, logout storage.CodeRequest) (bool, error)
	Authorization(ctx context.Context, id string) (storage.AuthorizationState, error)
	RedeemAuthorization(ctx context.Context, use storage.AuthorizationUse) error
	Consent(ctx context.Context, userUID, clientID string) (storage.Consent, error)
	PutConsent(ctx context.Context, c storage.Consent) error
	Consents(ctx context.Context, userUID string, limit int) ([]storage.Consent, error)
	EndConsent(ctx context.Context, userUID, clientID string, now time.Time) error
}

// Families stores refresh token families.
type Families interface {
	Family(ctx context.Context, id string) (storage.FamilyState, error)
	AdvanceFamily(ctx context.Context, id string, next storage.FamilyAdvance) error
	UseFamily(ctx context.Context, use storage.FamilyUse) (storage.FamilyState, bool, error)
	RestoreFamily(ctx context.Context, f storage.TokenFamily) error
	RevokeFamily(ctx context.Context, id string, now time.Time) error
}

// Revocations stores revoked tokens and IDs that may be used once.
type Revocations interface {
	RevokeToken(ctx context.Context, jti string, expiresAt time.Time) error
	TokenStatus(ctx context.Context, of storage.TokenRef) (storage.TokenStatus, error)
	SpendID(ctx context.Context, id []byte, expiresAt time.Time) error
	IsSpent(ctx context.Context, id []byte) (bool, error)
	KeptAnswer(ctx context.Context, id string, now time.Time) (storage.KeptAnswer, error)
	KeepAnswer(ctx context.Context, a storage.KeptAnswer) error
	CloseAnswer(ctx context.Context, id string) error
}

// Requests stores code requests and issues codes.
type Requests interface {
	Charge(ctx context.Context, now time.Time, charges ...storage.Charge) error
	AddCodeRequest(ctx context.Context, r storage.CodeRequest, charges ...storage.Charge) error
	ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error)
	Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error)
	IssueCodes(ctx context.Context, x storage.Issuance) (storage.IssueResult, error)
	Recipient(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	IssueCode(ctx context.Context, loginID string, code storage.Code) error
	EndUnknownRequests(ctx context.Context, names []storage.RequestNames) ([]string, error)
	WaitingRequests(ctx context.Context, now, after time.Time) ([]storage.WaitingRequests, error)
}

// Messages is the queue of messages to deliver.
type Messages interface {
	Message(ctx context.Context, id string) (storage.Message, error)
	ClaimMessages(ctx context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error)
	ExtendLease(ctx context.Context, messageID string, attempt int, until time.Time) error
	FinishAttempt(ctx context.Context, a storage.Attempt) error
	ExpireMessages(ctx context.Context, now time.Time, limit int) ([]storage.Message, error)
}

// Timelines reads the history of requests and messages.
type Timelines interface {
	Timeline(ctx context.Context, requestID string) (storage.Timeline, error)
	Messages(ctx context.Context, f storage.MessageFilter) ([]storage.Message, error)
	HurryMessage(ctx context.Context, id string, now time.Time) error
}

// Keys stores signing keys and peppers.
type Keys interface {
	SigningKeys(ctx context.Context) ([]storage.SigningKey, error)
	ChangeSigningKeys(ctx context.Context, c storage.SigningKeyChange) error
	ClientSigningAlgs(ctx context.Context) ([]string, error)
	Peppers(ctx context.Context) ([]storage.Pepper, error)
	AddFirstPepper(ctx context.Context, p storage.Pepper) error
	CountSealed(ctx context.Context) ([]storage.SealedCount, error)
	SealedOtherwise(ctx context.Context, kind storage.SealedKind, keyID, after string, limit int) ([]storage.SealedSecret, error)
	Reseal(ctx context.Context, was storage.SealedSecret, now storage.Sealed) (bool, error)
}

// Tasks stores tasks, which take longer than a request.
type Tasks interface {
	AddTask(ctx context.Context, t storage.Task, limit int) error
	ClaimTask(ctx context.Context) (storage.Task, error)
	AdvanceTask(ctx context.Context, id string, read, all int64) error
	FinishTask(ctx context.Context, t storage.Task) error
	Task(ctx context.Context, kind storage.TaskKind, object, id string) (storage.Task, error)
	Tasks(ctx context.Context, kind storage.TaskKind, object string, limit int) ([]storage.Task, error)
}
