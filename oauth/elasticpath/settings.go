package elasticpath

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"latchkey/oauth/token"
	"latchkey/storage"
)

const (
	typeSettings           = "account_authentication_settings"
	typeMembershipSettings = "account_membership_setting"
	typeStoreSettings      = "settings"

	settingsRealm   = storage.DefaultRealmID // whose settings they are
	defaultTokenTTL = 24 * time.Hour
	maxTokenTTL     = token.MaxAccountTokenTTL

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

// MembershipSettingsChange is what is sent to change the limit of memberships. It is
// fixed here, so that only the limit that is in force is taken.
type MembershipSettingsChange struct {
	Type  *string `json:"type"`
	Limit *int    `json:"membership_limit"`
}

// StoreSettings are the settings of the store that concern what is served here. They
// are fixed.
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
	before, r, err := a.changeRealm(c, settingsRealm, body.apply)
	if err != nil {
		return reply{}, err
	}
	done := a.settingsReply(r).changedFrom(a.settings(before))
	a.record(c, typeSettings, "updated", r.ID, done.changed...)
	return done, nil
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

func (a *API) getStoreSettings(*call) (reply, error) {
	settings := StoreSettings{
		Type: typeStoreSettings, PageLength: defaultPageLimit, PageOffsetLimit: maxPageOffset,
		FilterLimit: maxFilters, EventLimit: maxObserved, AdditionalLanguages: []string{},
	}
	return a.document(http.StatusOK, settings, "/v2/settings", 0), nil
}

func (a *API) putMembershipSettings(c *call) (reply, error) {
	if wanted, err := c.wantsVersion(); err != nil || wanted != 0 {
		return reply{}, cmp.Or[error](err, errStale) // they have no entity tag
	}
	var body MembershipSettingsChange
	if _, err := c.read(&body, typeMembershipSettings); err != nil {
		return reply{}, err
	}
	var check check
	check.between("membership_limit", body.Limit, 1, membershipLimit)
	if err := check.err(); err != nil {
		return reply{}, err
	}
	if body.Limit != nil && *body.Limit != membershipLimit {
		return reply{}, refuse(http.StatusUnprocessableEntity, "membership_limit is fixed at "+strconv.Itoa(membershipLimit))
	}
	return a.getMembershipSettings(c)
}

func (a *API) getMembershipSettings(*call) (reply, error) {
	settings := MembershipSettings{Type: typeMembershipSettings, Limit: membershipLimit}
	return a.document(http.StatusOK, settings, "/v2/settings/account-membership", 0), nil
}
