package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// walkThrough goes the vendor's way with one-time passwords, one request after
// the other, by nothing but the API and the webhook.
func walkThrough(t *testing.T, m *mall) {
	s := m.prepareStore(t)
	t.Run("passwordless", s.passwordless)
	t.Run("password reset", s.passwordReset)
	m.admin().send(t, 200, http.MethodDelete, "/v2/integrations/"+s.integration, nil)
	m.admin().send(t, 201, http.MethodPost, "/v2/integrations", m.receiver.integration("Codes"))
}

// walk is a store whose administrator has made the four preparations.
type walk struct {
	*mall
	receiver             *receiver
	realm, profile, info string
	integration          string
	member, username     string
}

func (m *mall) prepareStore(t *testing.T) *walk {
	w := &walk{mall: m, receiver: newReceiver(t, ""), username: "john.doe@banks.com"}
	admin := m.admin()

	// Get the account authentication settings, let members help themselves.
	settings := admin.send(t, 200, http.MethodGet, settingsV2, nil)
	w.realm = settings.text("data", "relationships", "authentication_realm", "data", "id")
	if mode := settings.text("data", "account_member_self_management"); mode != "disabled" {
		t.Errorf("self management is %q at first", mode)
	}
	m.set(jsonObject{"type": "account_authentication_settings", "account_member_self_management": "update_only"})
	realm := "/v2/authentication-realms/" + w.realm
	admin.send(t, 200, http.MethodGet, realm, nil)

	// Create the password profile, then enable the feature.
	made := admin.send(t, 201, http.MethodPost, realm+"/password-profiles",
		jsonObject{"type": "password_profile", "name": "Storefront", "username_format": "email"})
	w.profile = made.text("data", "id")
	if on := made.at("data", "enable_one_time_password_token"); on != false {
		t.Errorf("one-time passwords are %v at first", on)
	}
	changed := admin.send(t, 200, http.MethodPut, realm+"/password-profiles/"+w.profile,
		jsonObject{"type": "password_profile", "name": "Storefront", "username_format": "email", "enable_one_time_password_token": true})
	if on := changed.at("data", "enable_one_time_password_token"); on != true {
		t.Errorf("one-time passwords are %v", on)
	}

	// Create a user, with a password profile info, who is a member of an account.
	user := admin.send(t, 201, http.MethodPost, realm+"/user-authentication-info",
		jsonObject{"type": "user_authentication_info", "name": "John Doe", "email": w.username})
	w.member = user.text("data", "id")
	info := admin.send(t, 201, http.MethodPost, realm+"/user-authentication-info/"+w.member+"/user-authentication-password-profile-info",
		jsonObject{"type": "user_authentication_password_profile_info", "password_profile_id": w.profile, "username": w.username, "password": "first-Horse-1"})
	w.info = info.text("data", "id")
	account := admin.send(t, 201, http.MethodPost, "/v2/accounts", jsonObject{"type": "account", "name": "Banks", "legal_name": "Banks Ltd"})
	admin.send(t, 201, http.MethodPost, "/v2/accounts/"+account.text("data", "id")+"/account-memberships",
		jsonObject{"type": "account_membership", "account_member_id": w.member})

	// Create a webhook, in place of the mall's own.
	old := admin.send(t, 200, http.MethodGet, "/v2/integrations", nil)
	admin.send(t, 200, http.MethodDelete, "/v2/integrations/"+old.text("data", 0, "id"), nil)
	integration := admin.send(t, 201, http.MethodPost, "/v2/integrations", w.receiver.integration("One Time Password notification"))
	w.integration = integration.text("data", "id")
	return w
}

// requestCode asks for a code, checks the event to the letter and returns it.
func (w *walk) requestCode(t *testing.T, purpose string) event {
	t.Helper()
	got := w.front().askFor(w.profile, w.username, purpose)
	if got.status != http.StatusAccepted || got.body != "" {
		t.Fatalf("request for a code: %d %s", got.status, got.body)
	}
	e := w.receiver.next(t)
	for what, pattern := range map[string]string{
		e.ID:                `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`,
		e.Payload.CreatedAt: `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$`,
		e.Payload.Code:      `^[0-9A-Za-z]{6,10}$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(what) {
			t.Errorf("%q is not like %s: %s", what, pattern, e.body)
		}
	}
	want := fmt.Sprintf(`{"id":%q,"store_id":"`+storage.StoreUUID+`","triggered_by":"one-time-password-token-request.created",`+
		`"integration":{"id":%q,"integration_type":"webhook","name":"One Time Password notification","description":"Brings codes"},`+
		`"payload":{"authentication_realm_id":%q,"created_at":%q,"one_time_password_token":%q,"password_profile_id":%q,"purpose":%q,"updated_at":%q,`+
		`"user_authentication_info":{"email":"john.doe@banks.com","id":%q,"name":"John Doe"},`+
		`"user_authentication_password_profile_info":{"id":%q,"password_profile_id":%q,"username":"john.doe@banks.com"}},`+
		`"configuration":{"url":%q,"secret_key":""}}`,
		e.ID, w.integration, w.realm, e.Payload.CreatedAt, e.Payload.Code, w.profile, purpose, e.Payload.CreatedAt,
		w.member, w.info, w.profile, w.receiver.url+"/notify")
	if diff := cmp.Diff(want, e.body); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	return e
}

// redeem exchanges a code for the one account token of the user.
func (w *walk) redeem(t *testing.T, code string) (token string) {
	t.Helper()
	got := w.front().tokens(byCode(w.profile, w.username, code))
	tokens := paperOf(t, "exchange of a code", 201, got)
	token = tokens.text("data", 0, "token")
	page := "http://latchkey.test/v2/account-members/tokens?page[offset]=0&page[limit]=25"
	want := fmt.Sprintf(`{"data":[{"account_name":"Banks","account_id":%q,"token":%q,"type":"account_management_authentication_token","expires":%q}],`+
		`"meta":{"account_member_id":%q,"page":{"limit":25,"offset":0,"current":1,"total":1},"results":{"total":1}},`+
		`"links":{"current":%q,"first":%q,"last":%q,"next":null,"prev":null}}`,
		tokens.text("data", 0, "account_id"), token, tokens.text("data", 0, "expires"), w.member, page, page, page)
	if diff := cmp.Diff(want, strings.ReplaceAll(got.body, `\u0026`, "&")); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	return token
}

func (w *walk) passwordless(t *testing.T) {
	code := w.requestCode(t, "passwordless_authentication").Payload.Code
	token := w.redeem(t, code)
	failedV2(t, "replay", w.front().tokens(byCode(w.profile, w.username, code)))
	failedV2(t, "replay on another replica", w.frontAt(w.another()).tokens(byCode(w.profile, w.username, code)))

	_, claims := decoded(t, token)
	account, _ := claims["account_id"].(string)
	member := w.front().as(token)
	own := member.send(t, 200, http.MethodGet, "/v2/accounts/"+account, nil)
	if name := own.text("data", "name"); name != "Banks" {
		t.Errorf("own account is %q", name)
	}
	w.isAccountToken(t, token)
}

// isAccountToken checks what an account token says.
func (w *walk) isAccountToken(t *testing.T, token string) {
	t.Helper()
	header, claims := decoded(t, token)
	if header["typ"] != "account+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{
		"iss": "http://latchkey.test", "aud": "http://latchkey.test/v2", "sub": w.member, "client_id": "front",
		"scope": claims["account_id"], "account_name": "Banks", "account_member_id": w.member, "realm_id": w.realm,
		"store_id": storage.StoreUUID, "account_member_self_management": "update_only", "ancestors": "",
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if amr := fmt.Sprint(claims["amr"]); amr != "[otp]" {
		t.Errorf("amr %s", amr)
	}
	issued, _ := claims["iat"].(float64)
	expires, _ := claims["exp"].(float64)
	if life := expires - issued; life != 86400 {
		t.Errorf("life of %v seconds", life)
	}
}

func (w *walk) passwordReset(t *testing.T) {
	before := w.redeem(t, w.requestCode(t, "passwordless_authentication").Payload.Code)
	w.clock.advance(time.Second)
	code := w.requestCode(t, "reset_password").Payload.Code
	member := w.front().as(w.redeem(t, code))
	path := "/v2/authentication-realms/" + w.realm + "/user-authentication-info/" + w.member + "/user-authentication-password-profile-info"

	// Without the id, which not every message carries: the member lists its own.
	infos := member.send(t, 200, http.MethodGet, path, nil)
	if diff := cmp.Diff([]string{w.info}, infos.column("id")); diff != "" {
		t.Errorf("own password profile infos: %s", diff)
	}
	done := member.send(t, 200, http.MethodPut, path+"/"+w.info, jsonObject{
		"type": "user_authentication_password_profile_info", "password_profile_id": w.profile,
		"username": w.username, "password": "second-Horse-2",
	})
	if told := fmt.Sprint(done); strings.Contains(told, "Horse") {
		t.Errorf("the answer tells the password: %s", told)
	}
	in := func(password string) jsonObject {
		body := byPassword(w.username, password)
		body["password_profile_id"] = w.profile
		return body
	}
	failedV2(t, "the old password", w.front().tokens(in("first-Horse-1")))
	w.front().send(t, 201, http.MethodPost, tokensV2, in("second-Horse-2"))
	failedV2(t, "the code", w.front().tokens(byCode(w.profile, w.username, code)))
	got := w.front().as(before).try(http.MethodGet, path, nil)
	refusedV2(t, "older account token", got, http.StatusUnauthorized, "")
	member.send(t, 200, http.MethodGet, path, nil) // the member stays signed in
}
