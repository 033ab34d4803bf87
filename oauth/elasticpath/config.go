package elasticpath

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
)

// Config is what an API needs. All fields but StoreID, AdmitUsername, GuessCeiling
// and the optional ones of Runtime are required.
type Config struct {
	surface.Runtime

	Issuer  string // the address of the server as callers know it: an absolute URL
	StoreID string // store_id in tokens; default: storage.StoreUUID

	Rules        *admin.Rules // who may change what
	Bearer       Bearer
	Realms       RealmStore
	Profiles     ProfileStore
	Users        surface.UserStore
	Logins       LoginStore
	Accounts     surface.AccountStore
	Memberships  MembershipStore
	Senders      SenderStore
	Codes        CodeRequester
	Passwords    surface.PasswordMaker
	SignIns      SignIns
	SignUps      *signin.SignUps
	Tokens       TokenMaker
	AccessTokens AccessTokens
	Sealer       surface.Sealer

	// AdmitUsername returns a *storage.LimitError to a member who has tried too many
	// usernames. It is called before a member changes its username. Default: there is
	// no limit.
	AdmitUsername func(ctx context.Context, userUID string) error

	GuessCeiling float64 // of the password profiles, see otp.CheckRisk; 0: its default

	// CallerAddress returns the address of the user whom a caller signs in.
	CallerAddress func(*http.Request, *token.Caller) netip.Addr
}

// complete sets the defaults, and returns an error if a required field is missing.
func (c *Config) complete() error {
	if u, err := url.Parse(c.Issuer); err != nil || u.Scheme == "" || u.Host == "" {
		return errors.New("elasticpath: Issuer is not an absolute URL")
	}
	for _, required := range []any{
		c.Bearer, c.Realms, c.Profiles, c.Users, c.Logins, c.Accounts, c.Memberships, c.Senders,
		c.Codes, c.Passwords, c.SignIns, c.Tokens, c.AccessTokens, c.Sealer,
	} {
		if required == nil {
			return errors.New("elasticpath: a store or a service is missing")
		}
	}
	if c.Rules == nil || c.SignUps == nil || c.CallerAddress == nil {
		return errors.New("elasticpath: Rules, SignUps and CallerAddress are required")
	}
	if err := c.Complete(); err != nil {
		return errors.Join(errors.New("elasticpath"), err)
	}
	if c.AdmitUsername == nil {
		c.AdmitUsername = func(context.Context, string) error { return nil }
	}
	if c.StoreID == "" {
		c.StoreID = storage.StoreUUID
	}
	return nil
}

// Bearer finds out who presents a token; *token.Verifier is one.
type Bearer interface {
	surface.Bearer
	// AccountHolder returns who presents an account management authentication token.
	AccountHolder(ctx context.Context, token string) (*token.AccountHolder, error)
}

// SignIns decides sign-ins; *signin.Authenticator is one.
type SignIns interface {
	// Verify checks a credential. It only counts a failure, and changes nothing else.
	Verify(ctx context.Context, c *storage.Client, at signin.Attempt) (*signin.SignIn, error)
	// Settle lets a verified sign-in take effect.
	Settle(ctx context.Context, s *signin.SignIn, family *storage.TokenFamily) error
	// Abandon records that a verified sign-in cannot be settled.
	Abandon(ctx context.Context, s *signin.SignIn)
}

// TokenMaker signs account management authentication tokens; *token.Verifier is one.
type TokenMaker interface {
	MintAccountToken(ctx context.Context, r token.AccountTokenRequest) (string, error)
}

// AccessTokens issues access tokens to clients; *oauth.Endpoints does.
type AccessTokens interface {
	// ImplicitToken issues a token without roles to a client that names itself.
	ImplicitToken(ctx context.Context, clientID string) (token string, expires time.Time, err error)
	// ClientToken issues a token to a client that authenticates itself in the form.
	ClientToken(ctx context.Context, form url.Values) (oauth.ClientToken, error)
}

// CodeRequester stores requests for one-time passwords; *otp.Service is one.
type CodeRequester interface {
	Request(ctx context.Context, client storage.Client, r otp.Request) error
}

// RealmStore stores authentication realms.
type RealmStore interface {
	Realm(ctx context.Context, id string) (storage.Realm, error)
	PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error)
	ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error)
}

// ProfileStore stores password profiles.
type ProfileStore interface {
	// PasswordProfile may answer from a cache; lists do not.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error)
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
	// DeletePasswordProfile deletes the logins of the profile as well. The error is
	// storage.ErrConflict if the profile is in use.
	DeletePasswordProfile(ctx context.Context, id string, version int64) error
}

// LoginStore stores the logins of users.
type LoginStore interface {
	surface.LoginReader
	LoginByID(ctx context.Context, id string) (storage.Login, error)
	ListLogins(ctx context.Context, userUID string, q storage.Query) (storage.Page[storage.Login], error)
	PutLogin(ctx context.Context, l storage.Login) (storage.Login, error)
	DeleteLogin(ctx context.Context, id string, version int64) error
}

// MembershipStore stores memberships.
type MembershipStore interface {
	MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error)
	PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error)
	DeleteMembership(ctx context.Context, id string, version int64) error
	ListMemberships(ctx context.Context, scope storage.MembershipScope, q storage.Query) (storage.Page[storage.MembershipDetail], error)
	// ListNonMembers lists the users who are not members of the account.
	ListNonMembers(ctx context.Context, realmID, accountUID string, q storage.Query) (storage.Page[storage.User], error)
	// Members lists the active accounts of a user in a fixed order.
	Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error)
}

// SenderStore stores integrations, which are message senders of this dialect.
type SenderStore interface {
	surface.SenderStore
	// ListMessages lists the messages of a sender.
	ListMessages(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.Message], error)
	// ListDeliveries lists the attempts to deliver to a sender, or to all senders if
	// senderID is empty.
	ListDeliveries(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.DeliveryRecord], error)
}
