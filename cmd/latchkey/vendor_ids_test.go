package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/storage"
)

// wireUUID is a UUID of RFC 9562 in the form of the vendors' specifications.
var wireUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestElasticPathIDs holds every id below /v2 to being a UUID, whoever created what
// it names.
func TestElasticPathIDs(t *testing.T) {
	eachMall(t, func(t *testing.T, m *mall) {
		w := &walk{mall: m}
		m.each(t, []mallTest{
			{"every id is a UUID", func(t *testing.T, _ *mall) { *w = *m.prepareStore(t); w.idsAreUUIDs(t) }},
			{"the preset profile", presetProfile},
			{"rows of earlier versions", earlierRows},
			{"one profile, two spellings", twoSpellings},
		})
	})
}

// idsAreUUIDs looks at every member of every answer that holds an id.
func (w *walk) idsAreUUIDs(t *testing.T) {
	admin := w.admin()
	// People of /v1 and of apply are members as well.
	w.apply(`Buyers: [{ID: 5c5fe9ba-5a3c-4bd0-9e05-6ed9ae1b2c2a, Name: B, Active: true, Users: [{ID: ann, Username: ann, Active: true}]}]`)
	body := `{"ID":"bob","Username":"bob","Active":true}`
	if got := admin.ask(http.MethodPost, "/v1/buyers/5c5fe9ba-5a3c-4bd0-9e05-6ed9ae1b2c2a/users", body); got.status != 201 {
		t.Fatalf("a user below /v1: %d %s", got.status, got.body)
	}
	// The server chooses the id of a company that is created without one.
	if got := admin.ask(http.MethodPost, "/v1/buyers", `{"Name":"C"}`); got.status != 201 {
		t.Fatalf("a buyer below /v1: %d %s", got.status, got.body)
	}
	e := w.requestCode(t, "passwordless_authentication")
	mustHaveUUIDs(t, "event", e.body)
	token := w.redeem(t, e.Payload.Code)
	_, claims := decoded(t, token)
	for _, name := range []string{"sub", "account_member_id", "account_id", "scope", "realm_id", "store_id", "login_id"} {
		if id, _ := claims[name].(string); !wireUUID.MatchString(id) {
			t.Errorf("claim %s is %q", name, id)
		}
	}
	realm := "/v2/authentication-realms/" + w.realm
	user := realm + "/user-authentication-info/" + w.member
	account := "/v2/accounts/" + fmt.Sprint(claims["account_id"])
	paths := []string{
		settingsV2, "/v2/authentication-realms", realm, realm + "/password-profiles", realm + "/password-profiles/default",
		realm + "/user-authentication-info", user, user + "/user-authentication-password-profile-info",
		user + "/user-authentication-password-profile-info/" + w.info, "/v2/accounts", account,
		"/v2/account-members", "/v2/account-members/" + w.member, "/v2/account-members/" + w.member + "/account-memberships?include=account",
		account + "/account-memberships?include=account_member", account + "/account-memberships/unassigned-account-members",
		"/v2/integrations", "/v2/integrations/" + w.integration, "/v2/integrations/logs",
		"/v2/integrations/" + w.integration + "/logs", "/v2/integrations/" + w.integration + "/jobs",
	}
	for _, path := range paths {
		got := admin.try(http.MethodGet, path, nil)
		if got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		mustHaveUUIDs(t, path, got.body)
	}
	users := admin.send(t, 200, http.MethodGet, realm+"/user-authentication-info", nil).column("id")
	if len(users) < 3 {
		t.Errorf("%d users, want those of /v1 and of apply as well", len(users))
	}
	for _, id := range users {
		logins := admin.try(http.MethodGet, realm+"/user-authentication-info/"+id+"/user-authentication-password-profile-info", nil)
		mustHaveUUIDs(t, "logins of "+id, logins.body)
	}

	// A job leads to its logs.
	jobs := admin.send(t, 200, http.MethodGet, "/v2/integrations/"+w.integration+"/jobs", nil)
	logs := admin.send(t, 200, http.MethodGet, "/v2/integrations/"+w.integration+"/jobs/"+jobs.text("data", 0, "id")+"/logs", nil)
	if job := logs.text("data", 0, "relationships", "job", "data", "id"); job == "" || job != jobs.text("data", 0, "id") {
		t.Errorf("the logs of job %s are of job %q", jobs.text("data", 0, "id"), job)
	}

	// A client cannot take the id of a user, which is the sub of tokens, not even when
	// the user is gone: others may keep what they know of a user under that sub.
	w.noClientWithIDOfMember(t, admin)
	if got := admin.ask(http.MethodDelete, user, ""); got.status != http.StatusNoContent {
		t.Fatalf("the user is deleted: %d %s", got.status, got.body)
	}
	w.noClientWithIDOfMember(t, admin)
}

func (w *walk) noClientWithIDOfMember(t *testing.T, admin visitor) {
	t.Helper()
	for _, id := range []string{w.member, strings.ToUpper(w.member), strings.ReplaceAll(w.member, "-", "")} {
		for method, path := range map[string]string{http.MethodPost: "/v1/apiclients", http.MethodPut: "/v1/apiclients/" + id} {
			if got := admin.ask(method, path, `{"ID":"`+id+`","AppName":"A"}`); got.status != http.StatusConflict {
				t.Errorf("%s %s: %d %s, want 409", method, path, got.status, got.body)
			}
		}
	}
}

// mustHaveUUIDs looks for members that hold ids, and for links.
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
			chosen := text == "digits" || text == "wordy" // by who wrote the file for apply
			if !wireUUID.MatchString(text) && !chosen {
				t.Errorf("%s: %s is %q", what, name, text)
			}
		case name == "self" && strings.Contains(text, "/default"):
			t.Errorf("%s: a link to %s", what, text)
		}
	})
	if found == 0 {
		t.Errorf("%s: no id in %s", what, body)
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

// presetProfile looks for the profile of a realm by listing, as clients do, before
// and after the preset one is used.
func presetProfile(t *testing.T, m *mall) {
	admin := m.admin()
	list := func() []string {
		return admin.send(t, 200, http.MethodGet, realmV2+"/password-profiles?sort=created_at", nil).column("id")
	}
	preset := admin.send(t, 200, http.MethodGet, realmV2+"/password-profiles/default", nil).text("data", "id")
	if !wireUUID.MatchString(preset) {
		t.Errorf("the preset profile is %q", preset)
	}
	before := list()
	m.shopper("user-of-the-preset")
	after := list()
	if len(after) != len(before) && len(after) != len(before)+1 || !slices.Contains(after, preset) {
		t.Errorf("listed %v, and %v when it is used", before, after)
	}
	if got := admin.send(t, 200, http.MethodGet, realmV2+"/password-profiles/"+preset, nil).text("data", "id"); got != preset {
		t.Errorf("%s is %s", preset, got)
	}
}

// TestPresetProfileIsHidden lists profiles in a database that nobody has used.
func TestPresetProfileIsHidden(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		settings := m.do(t, 200, http.MethodGet, settingsV2, nil)
		realm := "/v2/authentication-realms/" + paperOf(t, "settings", 200, settings).
			text("data", "relationships", "authentication_realm", "data", "id")
		ids := func() []string {
			t.Helper()
			list := paperOf(t, "profiles", 200, m.send(m.first, m.root, http.MethodGet, realm+"/password-profiles", nil))
			if total := list.at("meta", "results", "total"); total != float64(len(list.column("id"))) {
				t.Errorf("total %v of %v", total, list.column("id"))
			}
			return list.column("id")
		}
		if got := ids(); len(got) != 0 {
			t.Errorf("an unused database lists %v", got)
		}
		made := m.do(t, 201, http.MethodPost, realm+"/password-profiles", `{"data":{"type":"password_profile","name":"Own"}}`)
		own := paperOf(t, "profile", 201, made).text("data", "id")
		if got := ids(); !slices.Equal(got, []string{own}) {
			t.Errorf("listed %v, want %s alone", got, own)
		}
		preset := paperOf(t, "preset", 200, m.do(t, 200, http.MethodGet, realm+"/password-profiles/default", nil)).text("data", "id")
		m.do(t, 200, http.MethodPut, realm+"/password-profiles/"+preset, `{"data":{"type":"password_profile","name":"Preset"}}`)
		if got := ids(); len(got) != 2 || !slices.Contains(got, preset) {
			t.Errorf("listed %v after a change, want %s as well", got, preset)
		}
	})
}

// earlierRows uses members and logins whose ids are those of earlier versions.
func earlierRows(t *testing.T, m *mall) {
	p := m.shopper("earlier", m.company("Earlier"))
	if wireUUID.MatchString(p.uid) || wireUUID.MatchString(p.info) {
		t.Fatalf("%s and %s are not like those of earlier versions", p.uid, p.info)
	}
	admin := m.admin()
	got := admin.send(t, 200, http.MethodGet, p.infoPath(), nil)
	if got.text("data", "id") != p.info {
		t.Errorf("login %s is %s", p.info, got.text("data", "id"))
	}
	tokens := m.accountTokens(p)
	if id := tokens.text("meta", "account_member_id"); id != p.uid {
		t.Errorf("member %s is %s", p.uid, id)
	}
	m.front().as(tokens.text("data", 0, "token")).send(t, 200, http.MethodGet, "/v2/account-members/"+p.uid, nil)
}

// twoSpellings names the preset realm and profile by either id, in all places that
// take one.
func twoSpellings(t *testing.T, m *mall) {
	admin := m.admin()
	profile := admin.send(t, 200, http.MethodGet, realmV2+"/password-profiles/default", nil).text("data", "id")
	realm := admin.send(t, 200, http.MethodGet, realmV2, nil).text("data", "id")
	for i, spelling := range []struct{ realm, profile string }{{realm, profile}, {"default", "default"}, {realm, "default"}, {"default", profile}} {
		name := fmt.Sprint("spelling", i)
		path := "/v2/authentication-realms/" + spelling.realm
		user := admin.send(t, 201, http.MethodPost, path+"/user-authentication-info", jsonObject{
			"type": "user_authentication_info", "name": name, "email": name + "@example.com",
		}).text("data", "id")
		info := admin.send(t, 201, http.MethodPost, path+"/user-authentication-info/"+user+"/user-authentication-password-profile-info", jsonObject{
			"type": "user_authentication_password_profile_info", "password_profile_id": spelling.profile, "username": name, "password": tedPassword,
		})
		if got := info.text("data", "password_profile_id"); got != profile {
			t.Errorf("%v: the login is in %s", spelling, got)
		}
		admin.send(t, 200, http.MethodPut, path+"/user-authentication-info/"+user+"/user-authentication-password-profile-info/"+info.text("data", "id"),
			jsonObject{"password_profile_id": spelling.profile, "username": name})
		m.front().send(t, 201, http.MethodPost, tokensV2, jsonObject{
			"type": "account_management_authentication_token", "authentication_mechanism": "password",
			"password_profile_id": spelling.profile, "username": name, "password": tedPassword,
		})
		code := m.front().try(http.MethodPost, path+"/password-profiles/"+spelling.profile+"/one-time-password-token-request",
			jsonObject{"type": "one_time_password_token_request", "username": name, "purpose": "reset_password"})
		if code.status != http.StatusAccepted {
			t.Errorf("%v: %d %s", spelling, code.status, code.body)
		}
		client := admin.ask(http.MethodPost, "/v1/apiclients", `{"ID":"`+name+`","AppName":"A","PasswordProfileID":"`+spelling.profile+`"}`)
		if client.status != 201 || client.field("PasswordProfileID") != storage.DefaultProfileID {
			t.Errorf("%v: %d %s", spelling, client.status, client.body)
		}
		m.apply(`authentication_realms: [{id: ` + spelling.realm + `, password_profiles: [{id: ` + spelling.profile + `, enable_one_time_password_token: true}]}]`)
	}
	m.withApp(func(ctx context.Context, a *app) error {
		found, err := a.store.ListRealms(ctx, storage.Query{Limit: 10})
		if len(found.Items) != 1 {
			t.Errorf("%d realms", len(found.Items))
		}
		return err
	})
}
