package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// wireUUID matches a UUID of RFC 9562 in the form of the vendors' specifications.
var wireUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestElasticPathIDs tests that every ID below /v2 is a UUID, whichever surface created the
// record.
func TestElasticPathIDs(t *testing.T) {
	kit.EachElasticPath(t, func(t *testing.T, m *kit.ElasticPath) {
		w := &storeSetup{ElasticPath: m}
		each(m, t, []storefrontTest{
			{"every id is a UUID", func(t *testing.T, _ *kit.ElasticPath) { *w = *prepareStore(m, t); w.idsAreUUIDs(t) }},
			{"the preset profile", presetProfile},
			{"rows of earlier versions", earlierRows},
			{"one profile, two spellings", twoSpellings},
		})
	})
}

// idsAreUUIDs checks every member with an ID in all answers.
func (w *storeSetup) idsAreUUIDs(t *testing.T) {
	admin := w.Admin()
	// Users of /v1 and of apply are members too.
	w.Apply(`Buyers: [{ID: 5c5fe9ba-5a3c-4bd0-9e05-6ed9ae1b2c2a, Name: B, Active: true, Users: [{ID: ann, Username: ann, Active: true}]}]`)
	body := `{"ID":"bob","Username":"bob","Active":true}`
	if got := admin.SendText(http.MethodPost, "/v1/buyers/5c5fe9ba-5a3c-4bd0-9e05-6ed9ae1b2c2a/users", body); got.Status != 201 {
		t.Fatalf("a user below /v1: got %d %s, want 201", got.Status, got.Body)
	}
	// The server chooses the ID of a company that is created without one.
	if got := admin.SendText(http.MethodPost, "/v1/buyers", `{"Name":"C"}`); got.Status != 201 {
		t.Fatalf("a buyer below /v1: got %d %s, want 201", got.Status, got.Body)
	}
	e := w.requestCode(t, "passwordless_authentication")
	mustHaveUUIDs(t, "event", e.Body)
	token := w.redeem(t, e.Payload.Code)
	_, claims := kit.DecodeJWT(t, token)
	for _, name := range []string{"sub", "account_member_id", "account_id", "scope", "realm_id", "store_id", "login_id"} {
		if id, _ := claims[name].(string); !wireUUID.MatchString(id) {
			t.Errorf("got claim %s %q", name, id)
		}
	}
	realm := "/v2/authentication-realms/" + w.realm
	user := realm + "/user-authentication-info/" + w.member
	account := "/v2/accounts/" + fmt.Sprint(claims["account_id"])
	paths := []string{
		kit.SettingsPath, "/v2/authentication-realms", realm, realm + "/password-profiles", realm + "/password-profiles/default",
		realm + "/user-authentication-info", user, user + "/user-authentication-password-profile-info",
		user + "/user-authentication-password-profile-info/" + w.info, "/v2/accounts", account,
		"/v2/account-members", "/v2/account-members/" + w.member, "/v2/account-members/" + w.member + "/account-memberships?include=account",
		account + "/account-memberships?include=account_member", account + "/account-memberships/unassigned-account-members",
		"/v2/integrations", "/v2/integrations/" + w.integration, "/v2/integrations/logs",
		"/v2/integrations/" + w.integration + "/logs", "/v2/integrations/" + w.integration + "/jobs",
	}
	for _, path := range paths {
		got := admin.Try(http.MethodGet, path, nil)
		if got.Status != 200 {
			t.Errorf("%s: got %d %s, want 200", path, got.Status, got.Body)
		}
		mustHaveUUIDs(t, path, got.Body)
	}
	users := admin.Send(t, 200, http.MethodGet, realm+"/user-authentication-info", nil).Column("id")
	if len(users) < 3 {
		t.Errorf("got %d users, want those of /v1 and of apply as well", len(users))
	}
	for _, id := range users {
		logins := admin.Try(http.MethodGet, realm+"/user-authentication-info/"+id+"/user-authentication-password-profile-info", nil)
		mustHaveUUIDs(t, "logins of "+id, logins.Body)
	}

	// A job links to its logs.
	jobs := admin.Send(t, 200, http.MethodGet, "/v2/integrations/"+w.integration+"/jobs", nil)
	logs := admin.Send(t, 200, http.MethodGet, "/v2/integrations/"+w.integration+"/jobs/"+jobs.Text("data", 0, "id")+"/logs", nil)
	if job := logs.Text("data", 0, "relationships", "job", "data", "id"); job == "" || job != jobs.Text("data", 0, "id") {
		t.Errorf("got the logs of job %[2]q for job %[1]s", jobs.Text("data", 0, "id"), job)
	}

	// A client cannot take the ID of a user, which is the sub of tokens, even after the user
	// was deleted. Other servers may still have data of the user under that sub.
	w.noClientWithIDOfMember(t, admin)
	if got := admin.SendText(http.MethodDelete, user, ""); got.Status != http.StatusNoContent {
		t.Fatalf("deleting the user: got %d %s, want 204", got.Status, got.Body)
	}
	w.noClientWithIDOfMember(t, admin)
}

func (w *storeSetup) noClientWithIDOfMember(t *testing.T, admin kit.Caller) {
	t.Helper()
	for _, id := range []string{w.member, strings.ToUpper(w.member), strings.ReplaceAll(w.member, "-", "")} {
		for method, path := range map[string]string{http.MethodPost: "/v1/apiclients", http.MethodPut: "/v1/apiclients/" + id} {
			if got := admin.SendText(method, path, `{"ID":"`+id+`","AppName":"A"}`); got.Status != http.StatusConflict {
				t.Errorf("%s %s: got %d %s, want 409", method, path, got.Status, got.Body)
			}
		}
	}
}

// mustHaveUUIDs checks the members that contain IDs, and the links.
func mustHaveUUIDs(t *testing.T, what, body string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Errorf("%s: %v in %s", what, err, body)
		return
	}
	found := 0
	eachMember(value, func(name, text string) {
		switch {
		case name == "id" || strings.HasSuffix(name, "_id") && name != "client_id" && name != "registration_id":
			found++
			chosen := text == "digits" || text == "wordy" // these IDs are chosen in the file for apply
			if !wireUUID.MatchString(text) && !chosen {
				t.Errorf("%s: got %s %q", what, name, text)
			}
		case name == "self" && strings.Contains(text, "/default"):
			t.Errorf("%s: got a link to %s", what, text)
		}
	})
	if found == 0 {
		t.Errorf("%s: got no ID in %s", what, body)
	}
}

func eachMember(value any, visit func(name, text string)) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if text, ok := member.(string); ok {
				visit(name, text)
			}
			eachMember(member, visit)
		}
	case []any:
		for _, item := range value {
			eachMember(item, visit)
		}
	}
}

// presetProfile finds the profile of a realm by listing, as clients do, before and after the
// preset profile is used.
func presetProfile(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	list := func() []string {
		return admin.Send(t, 200, http.MethodGet, kit.RealmPath+"/password-profiles?sort=created_at", nil).Column("id")
	}
	preset := admin.Send(t, 200, http.MethodGet, kit.RealmPath+"/password-profiles/default", nil).Text("data", "id")
	if !wireUUID.MatchString(preset) {
		t.Errorf("got the preset profile %q, want a UUID", preset)
	}
	before := list()
	m.AddShopper("user-of-the-preset")
	after := list()
	if len(after) != len(before) && len(after) != len(before)+1 || !slices.Contains(after, preset) {
		t.Errorf("got the list %v, and %v when the profile is used", before, after)
	}
	if got := admin.Send(t, 200, http.MethodGet, kit.RealmPath+"/password-profiles/"+preset, nil).Text("data", "id"); got != preset {
		t.Errorf("profile %s: got %s, want %s", preset, got, preset)
	}
}

// TestPresetProfileIsHidden tests that the list of profiles of a new database is empty,
// although the database has a default profile.
func TestPresetProfileIsHidden(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		settings := m.Do(t, 200, http.MethodGet, kit.SettingsPath, nil)
		realm := "/v2/authentication-realms/" + kit.MustJSON(t, "settings", 200, settings).
			Text("data", "relationships", "authentication_realm", "data", "id")
		ids := func() []string {
			t.Helper()
			list := kit.MustJSON(t, "profiles", 200, m.Send(m.First, m.AdminToken, http.MethodGet, realm+"/password-profiles", nil))
			if total := list.At("meta", "results", "total"); total != float64(len(list.Column("id"))) {
				t.Errorf("got the total %v of %v", total, list.Column("id"))
			}
			return list.Column("id")
		}
		if got := ids(); len(got) != 0 {
			t.Errorf("an unused database: got the list %v, want none", got)
		}
		made := m.Do(t, 201, http.MethodPost, realm+"/password-profiles", `{"data":{"type":"password_profile","name":"Own"}}`)
		own := kit.MustJSON(t, "profile", 201, made).Text("data", "id")
		if got := ids(); !slices.Equal(got, []string{own}) {
			t.Errorf("got the list %v, want %s alone", got, own)
		}
		preset := kit.MustJSON(t, "preset", 200, m.Do(t, 200, http.MethodGet, realm+"/password-profiles/default", nil)).Text("data", "id")
		m.Do(t, 200, http.MethodPut, realm+"/password-profiles/"+preset, `{"data":{"type":"password_profile","name":"Preset"}}`)
		if got := ids(); len(got) != 2 || !slices.Contains(got, preset) {
			t.Errorf("after a change: got the list %v, want %s as well", got, preset)
		}
	})
}

// earlierRows uses members and logins with IDs of earlier versions.
func earlierRows(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("earlier", m.AddAccount("Earlier"))
	if wireUUID.MatchString(p.UID) || wireUUID.MatchString(p.LoginID) {
		t.Fatalf("got the IDs %s and %s, want those of earlier versions", p.UID, p.LoginID)
	}
	admin := m.Admin()
	got := admin.Send(t, 200, http.MethodGet, loginPath(p), nil)
	if got.Text("data", "id") != p.LoginID {
		t.Errorf("login %s: got %s", p.LoginID, got.Text("data", "id"))
	}
	tokens := accountTokens(m, p)
	if id := tokens.Text("meta", "account_member_id"); id != p.UID {
		t.Errorf("member %s: got %s", p.UID, id)
	}
	m.Storefront().WithAccountToken(tokens.Text("data", 0, "token")).Send(t, 200, http.MethodGet, "/v2/account-members/"+p.UID, nil)
}

// twoSpellings names the preset realm and profile by either ID in all places that accept one.
func twoSpellings(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	profile := admin.Send(t, 200, http.MethodGet, kit.RealmPath+"/password-profiles/default", nil).Text("data", "id")
	realm := admin.Send(t, 200, http.MethodGet, kit.RealmPath, nil).Text("data", "id")
	for i, spelling := range []struct{ realm, profile string }{{realm, profile}, {"default", "default"}, {realm, "default"}, {"default", profile}} {
		name := fmt.Sprint("spelling", i)
		path := "/v2/authentication-realms/" + spelling.realm
		user := admin.Send(t, 201, http.MethodPost, path+"/user-authentication-info", kit.Object{
			"type": "user_authentication_info", "name": name, "email": name + "@example.com",
		}).Text("data", "id")
		info := admin.Send(t, 201, http.MethodPost, path+"/user-authentication-info/"+user+"/user-authentication-password-profile-info", kit.Object{
			"type": "user_authentication_password_profile_info", "password_profile_id": spelling.profile, "username": name, "password": kit.TedPassword,
		})
		if got := info.Text("data", "password_profile_id"); got != profile {
			t.Errorf("%v: got a login in %s, want %s", spelling, got, profile)
		}
		admin.Send(t, 200, http.MethodPut, path+"/user-authentication-info/"+user+"/user-authentication-password-profile-info/"+info.Text("data", "id"),
			kit.Object{"password_profile_id": spelling.profile, "username": name})
		m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.Object{
			"type": "account_management_authentication_token", "authentication_mechanism": "password",
			"password_profile_id": spelling.profile, "username": name, "password": kit.TedPassword,
		})
		code := m.Storefront().Try(http.MethodPost, path+"/password-profiles/"+spelling.profile+"/one-time-password-token-request",
			kit.Object{"type": "one_time_password_token_request", "username": name, "purpose": "reset_password"})
		if code.Status != http.StatusAccepted {
			t.Errorf("%v: got %d %s, want 202", spelling, code.Status, code.Body)
		}
		client := admin.SendText(http.MethodPost, "/v1/apiclients", `{"ID":"`+name+`","AppName":"A","PasswordProfileID":"`+spelling.profile+`"}`)
		if client.Status != 201 || client.Field("PasswordProfileID") != storage.DefaultProfileID {
			t.Errorf("%v: got %d %s, want 201", spelling, client.Status, client.Body)
		}
		m.Apply(`authentication_realms: [{id: ` + spelling.realm + `, password_profiles: [{id: ` + spelling.profile + `, enable_one_time_password_token: true}]}]`)
	}
	m.WithApp(func(ctx context.Context, a *server.App) error {
		found, err := a.Store.ListRealms(ctx, storage.Query{Limit: 10})
		if len(found.Items) != 1 {
			t.Errorf("got %d realms", len(found.Items))
		}
		return err
	})
}
