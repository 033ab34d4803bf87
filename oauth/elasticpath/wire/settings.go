package wire

import (
	"strconv"
	"time"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// The types of the other settings.
const (
	TypeMembershipSettings = "account_membership_setting"
	TypeStoreSettings      = "settings"
)

// MembershipLimit is how many accounts a member may have. It is the highest limit
// that Elastic Path allows, and fixed here.
const MembershipLimit = 10_000

// SettingsChange is what can be changed about the sign-ins of account members. An
// absent member keeps its value.
type SettingsChange struct {
	Type              *string `json:"type"`
	SelfSignup        *bool   `json:"enable_self_signup"`
	AutoCreateAccount *bool   `json:"auto_create_account_for_account_members"`
	SelfManagement    *string `json:"account_member_self_management"` // disabled or update_only
	TokenTTL          *int    `json:"account_management_authentication_token_timeout_secs"`
}

// Settings are the account authentication settings.
type Settings struct {
	ID                string                `json:"id"`
	Type              string                `json:"type"`
	SelfSignup        bool                  `json:"enable_self_signup"`
	AutoCreateAccount bool                  `json:"auto_create_account_for_account_members"`
	SelfManagement    string                `json:"account_member_self_management"`
	TokenTTL          int                   `json:"account_management_authentication_token_timeout_secs"`
	Relationships     SettingsRelationships `json:"relationships"`
	Meta              SettingsMeta          `json:"meta"`
}

// SettingsRelationships lead to the realm that the settings belong to.
type SettingsRelationships struct {
	Realm Relation `json:"authentication_realm"`
}

// SettingsMeta names the client of single sign-on flows, as Elastic Path does.
type SettingsMeta struct {
	ClientID string `json:"client_id"`
}

// MembershipSettingsChange is what is sent to change the limit of memberships. Only
// the limit that is in force is accepted.
type MembershipSettingsChange struct {
	Type  *string `json:"type"`
	Limit *int    `json:"membership_limit"`
}

// StoreSettings are the settings of the store as far as they concern this server.
// They are fixed.
type StoreSettings struct {
	Type                string   `json:"type"`
	PageLength          int      `json:"page_length"`
	PageOffsetLimit     int      `json:"page_offset_limit"`
	FilterLimit         int      `json:"filter_limit"`
	EventLimit          int      `json:"event_limit"` // of the events that an integration observes
	AdditionalLanguages []string `json:"additional_languages"`
}

// MembershipSettings limit the memberships of an account member.
type MembershipSettings struct {
	Type  string `json:"type"`
	Limit int    `json:"membership_limit"`
}

// Check returns an *InvalidError if a member is wrong.
func (s SettingsChange) Check() error {
	var c Check
	c.oneOf("account_member_self_management", s.SelfManagement,
		string(storage.SelfManagementDisabled), string(storage.SelfManagementUpdate))
	c.Between("account_management_authentication_token_timeout_secs", s.TokenTTL, 1, int(token.MaxAccountTokenTTL/time.Second))
	return c.Err()
}

// Apply writes what was sent into the realm.
func (s SettingsChange) Apply(r *storage.Realm) {
	surface.Overwrite(&r.SelfSignup, s.SelfSignup)
	surface.Overwrite(&r.AutoCreateAccount, s.AutoCreateAccount)
	if s.SelfManagement != nil {
		r.SelfManagement = storage.SelfManagement(*s.SelfManagement)
	}
	takeSeconds(&r.AccountTokenTTL, s.TokenTTL)
}

// SettingsFromRecord returns the settings of a realm as they are shown. base is the
// address of the server.
func SettingsFromRecord(r storage.Realm, base string) Settings {
	management := r.SelfManagement
	if management == "" {
		management = storage.SelfManagementDisabled
	}
	return Settings{
		ID: storage.RealmUUID(r.ID), Type: TypeSettings,
		SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement: string(management), TokenTTL: int(token.AccountTokenTTL(r) / time.Second),
		Relationships: SettingsRelationships{Realm: Relation{Data: &Reference{
			ID: storage.RealmUUID(r.ID), Type: TypeRealmUnderscore, Links: &Links{Self: base + RealmPath(r.ID)},
		}}},
		Meta: SettingsMeta{ClientID: "account-management"},
	}
}

// Check returns an *InvalidError or an UnsupportedError if the limit cannot be set.
func (s MembershipSettingsChange) Check() error {
	var c Check
	c.Between("membership_limit", s.Limit, 1, MembershipLimit)
	if err := c.Err(); err != nil {
		return err
	}
	if s.Limit != nil && *s.Limit != MembershipLimit {
		return UnsupportedError("membership_limit is fixed at " + strconv.Itoa(MembershipLimit))
	}
	return nil
}
