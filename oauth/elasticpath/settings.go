package elasticpath

import (
	"net/http"
	"time"

	"latchkey/oauth"
	"latchkey/storage"
)

const (
	typeSettings           = "account_authentication_settings"
	typeMembershipSettings = "account_membership_setting"

	settingsRealm   = storage.DefaultRealmID // whose settings they are
	defaultTokenTTL = 24 * time.Hour
	maxTokenTTL     = oauth.MaxAccountTokenTTL

	// membershipLimit is how many accounts a member may have; Elastic Path's
	// highest, and fixed here.
	membershipLimit = 10_000
)

// SettingsChange is what can be changed about the sign-ins of account members.
// What is left out stays.
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

// SettingsRelationships lead to the realm whose settings they are.
type SettingsRelationships struct {
	Realm Relation `json:"authentication_realm"`
}

// SettingsMeta names the client of single sign-on flows, as Elastic Path does.
type SettingsMeta struct {
	ClientID string `json:"client_id"`
}

// MembershipSettings limit the memberships of an account member.
type MembershipSettings struct {
	Type  string `json:"type"`
	Limit int    `json:"membership_limit"`
}

// tokenTTL is how long account management tokens of the realm live.
func tokenTTL(r storage.Realm) time.Duration {
	if r.AccountTokenTTL <= 0 {
		return defaultTokenTTL
	}
	return r.AccountTokenTTL
}

func (a *API) settings(r storage.Realm) Settings {
	management := r.SelfManagement
	if management == "" {
		management = storage.SelfManagementDisabled
	}
	return Settings{
		ID: storage.RealmUUID(r.ID), Type: typeSettings,
		SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement: string(management), TokenTTL: int(tokenTTL(r) / time.Second),
		Relationships: SettingsRelationships{Realm: Relation{Data: &Reference{
			ID: storage.RealmUUID(r.ID), Type: "authentication_realm", Links: &Links{Self: a.base + realmPath(r.ID)},
		}}},
		Meta: SettingsMeta{ClientID: "account-management"},
	}
}

func (a *API) settingsReply(r storage.Realm) reply {
	return a.document(http.StatusOK, a.settings(r), "/v2/settings/account-authentication", r.Version)
}

func (a *API) getSettings(c *call) (reply, error) {
	r, err := a.cfg.Realms.Realm(c.Context(), settingsRealm)
	return a.settingsReply(r), err
}

func (a *API) putSettings(c *call) (reply, error) {
	var body SettingsChange
	if _, err := c.read(&body, typeSettings); err != nil {
		return reply{}, err
	}
	var check check
	check.oneOf("account_member_self_management", body.SelfManagement,
		string(storage.SelfManagementDisabled), string(storage.SelfManagementUpdate))
	check.between("account_management_authentication_token_timeout_secs", body.TokenTTL, 1, int(maxTokenTTL/time.Second))
	if err := check.err(); err != nil {
		return reply{}, err
	}
	r, err := a.changeRealm(c, settingsRealm, body.apply)
	if err != nil {
		return reply{}, err
	}
	a.record(c, typeSettings, "updated", r.ID)
	return a.settingsReply(r), nil
}

// apply writes what was given into the realm.
func (s SettingsChange) apply(r *storage.Realm) {
	take(&r.SelfSignup, s.SelfSignup)
	take(&r.AutoCreateAccount, s.AutoCreateAccount)
	if s.SelfManagement != nil {
		r.SelfManagement = storage.SelfManagement(*s.SelfManagement)
	}
	if s.TokenTTL != nil {
		r.AccountTokenTTL = time.Duration(*s.TokenTTL) * time.Second
	}
}

func (a *API) getMembershipSettings(*call) (reply, error) {
	settings := MembershipSettings{Type: typeMembershipSettings, Limit: membershipLimit}
	return a.document(http.StatusOK, settings, "/v2/settings/account-membership", 0), nil
}
