package accounts

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// walkThrough follows the vendor's guide for one-time passwords, one request after the other,
// with only the API and the webhook.
func walkThrough(t *testing.T, m *kit.ElasticPath) {
	s := prepareStore(m, t)
	t.Run("passwordless", s.passwordless)
	t.Run("password reset", s.passwordReset)
	m.Admin().Send(t, 200, http.MethodDelete, "/v2/integrations/"+s.integration, nil)
	m.Admin().Send(t, 201, http.MethodPost, "/v2/integrations", m.Receiver.Integration("Codes"))
}

// storeSetup is a store for which the administrator has finished the four preparations.
type storeSetup struct {
	*kit.ElasticPath
	receiver             *kit.EventReceiver
	realm, profile, info string
	integration          string
	member, username     string
}

func prepareStore(m *kit.ElasticPath, t *testing.T) *storeSetup {
	w := &storeSetup{ElasticPath: m, receiver: kit.NewEventReceiver(t, ""), username: "john.doe@banks.com"}
	admin := m.Admin()

	// Read the account authentication settings and enable self-management.
	settings := admin.Send(t, 200, http.MethodGet, kit.SettingsPath, nil)
	w.realm = settings.Text("data", "relationships", "authentication_realm", "data", "id")
	if mode := settings.Text("data", "account_member_self_management"); mode != "disabled" {
		t.Errorf("got self-management %q at first, want disabled", mode)
	}
	m.ChangeSettings(kit.Object{"type": "account_authentication_settings", "account_member_self_management": "update_only"})
	realm := "/v2/authentication-realms/" + w.realm
	admin.Send(t, 200, http.MethodGet, realm, nil)

	// Create the password profile, then enable the feature.
	made := admin.Send(t, 201, http.MethodPost, realm+"/password-profiles",
		kit.Object{"type": "password_profile", "name": "Storefront", "username_format": "email"})
	w.profile = made.Text("data", "id")
	if on := made.At("data", "enable_one_time_password_token"); on != false {
		t.Errorf("got one-time passwords %v at first, want false", on)
	}
	changed := admin.Send(t, 200, http.MethodPut, realm+"/password-profiles/"+w.profile,
		kit.Object{"type": "password_profile", "name": "Storefront", "username_format": "email", "enable_one_time_password_token": true})
	if on := changed.At("data", "enable_one_time_password_token"); on != true {
		t.Errorf("got one-time passwords %v, want true", on)
	}

	// Create a user with a password profile info, who is a member of an account.
	user := admin.Send(t, 201, http.MethodPost, realm+"/user-authentication-info",
		kit.Object{"type": "user_authentication_info", "name": "John Doe", "email": w.username})
	w.member = user.Text("data", "id")
	info := admin.Send(t, 201, http.MethodPost, realm+"/user-authentication-info/"+w.member+"/user-authentication-password-profile-info",
		kit.Object{"type": "user_authentication_password_profile_info", "password_profile_id": w.profile, "username": w.username, "password": "first-Horse-1"})
	w.info = info.Text("data", "id")
	account := admin.Send(t, 201, http.MethodPost, "/v2/accounts", kit.Object{"type": "account", "name": "Banks", "legal_name": "Banks Ltd"})
	admin.Send(t, 201, http.MethodPost, "/v2/accounts/"+account.Text("data", "id")+"/account-memberships",
		kit.Object{"type": "account_membership", "account_member_id": w.member})

	// Create a webhook that replaces the one of kit.ElasticPath.
	old := admin.Send(t, 200, http.MethodGet, "/v2/integrations", nil)
	admin.Send(t, 200, http.MethodDelete, "/v2/integrations/"+old.Text("data", 0, "id"), nil)
	integration := admin.Send(t, 201, http.MethodPost, "/v2/integrations", w.receiver.Integration("One Time Password notification"))
	w.integration = integration.Text("data", "id")
	return w
}

// requestCode requests a code, compares the event exactly and returns it.
func (w *storeSetup) requestCode(t *testing.T, purpose string) kit.Event {
	t.Helper()
	got := w.Storefront().RequestCode(w.profile, w.username, purpose)
	if got.Status != http.StatusAccepted || got.Body != "" {
		t.Fatalf("request for a code: got %d %s, want 202", got.Status, got.Body)
	}
	e := w.receiver.Next(t)
	for what, pattern := range map[string]string{
		e.ID:                `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`,
		e.Payload.CreatedAt: `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$`,
		e.Payload.Code:      `^[0-9A-Za-z]{6,10}$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(what) {
			t.Errorf("got %q, want the pattern %s, in %s", what, pattern, e.Body)
		}
	}
	want := fmt.Sprintf(`{"id":%q,"store_id":"`+storage.StoreUUID+`","triggered_by":"one-time-password-token-request.created",`+
		`"integration":{"id":%q,"integration_type":"webhook","name":"One Time Password notification","description":"Brings codes"},`+
		`"payload":{"authentication_realm_id":%q,"created_at":%q,"one_time_password_token":%q,"password_profile_id":%q,"purpose":%q,"updated_at":%q,`+
		`"user_authentication_info":{"email":"john.doe@banks.com","id":%q,"name":"John Doe"},`+
		`"user_authentication_password_profile_info":{"id":%q,"password_profile_id":%q,"username":"john.doe@banks.com"}},`+
		`"configuration":{"url":%q,"secret_key":""}}`,
		e.ID, w.integration, w.realm, e.Payload.CreatedAt, e.Payload.Code, w.profile, purpose, e.Payload.CreatedAt,
		w.member, w.info, w.profile, w.receiver.URL+"/notify")
	if diff := cmp.Diff(want, e.Body); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	return e
}

// redeem exchanges a code for the one account token of the user.
func (w *storeSetup) redeem(t *testing.T, code string) (token string) {
	t.Helper()
	got := w.Storefront().AccountTokens(kit.ByCode(w.profile, w.username, code))
	tokens := kit.MustJSON(t, "exchange of a code", 201, got)
	token = tokens.Text("data", 0, "token")
	page := "http://latchkey.test/v2/account-members/tokens?page[offset]=0&page[limit]=25"
	want := fmt.Sprintf(`{"data":[{"account_name":"Banks","account_id":%q,"token":%q,"type":"account_management_authentication_token","expires":%q}],`+
		`"meta":{"account_member_id":%q,"page":{"limit":25,"offset":0,"current":1,"total":1},"results":{"total":1}},`+
		`"links":{"current":%q,"first":%q,"last":%q,"next":null,"prev":null}}`,
		tokens.Text("data", 0, "account_id"), token, tokens.Text("data", 0, "expires"), w.member, page, page, page)
	if diff := cmp.Diff(want, strings.ReplaceAll(got.Body, `\u0026`, "&")); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	return token
}

func (w *storeSetup) passwordless(t *testing.T) {
	code := w.requestCode(t, "passwordless_authentication").Payload.Code
	token := w.redeem(t, code)
	kit.MustFailV2(t, "replay", w.Storefront().AccountTokens(kit.ByCode(w.profile, w.username, code)))
	kit.MustFailV2(t, "replay on another replica", w.StorefrontAt(w.StartServer()).AccountTokens(kit.ByCode(w.profile, w.username, code)))

	_, claims := kit.DecodeJWT(t, token)
	account, _ := claims["account_id"].(string)
	member := w.Storefront().WithAccountToken(token)
	own := member.Send(t, 200, http.MethodGet, "/v2/accounts/"+account, nil)
	if name := own.Text("data", "name"); name != "Banks" {
		t.Errorf("got the own account %q", name)
	}
	w.isAccountToken(t, token)
}

// isAccountToken checks the header and the claims of an account token.
func (w *storeSetup) isAccountToken(t *testing.T, token string) {
	t.Helper()
	header, claims := kit.DecodeJWT(t, token)
	if header["typ"] != "account+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("got the header %v", header)
	}
	for name, want := range map[string]any{
		"iss": "http://latchkey.test", "aud": "http://latchkey.test/v2", "sub": w.member, "client_id": "front",
		"scope": claims["account_id"], "account_name": "Banks", "account_member_id": w.member, "realm_id": w.realm,
		"store_id": storage.StoreUUID, "account_member_self_management": "update_only", "ancestors": "",
	} {
		if claims[name] != want {
			t.Errorf("got claim %s %v, want %v", name, claims[name], want)
		}
	}
	if amr := fmt.Sprint(claims["amr"]); amr != "[otp]" {
		t.Errorf("got amr %s", amr)
	}
	issued, _ := claims["iat"].(float64)
	expires, _ := claims["exp"].(float64)
	if life := expires - issued; life != 86400 {
		t.Errorf("got a lifetime of %v seconds, want 86400", life)
	}
}

func (w *storeSetup) passwordReset(t *testing.T) {
	before := w.redeem(t, w.requestCode(t, "passwordless_authentication").Payload.Code)
	w.Clock.Advance(time.Second)
	code := w.requestCode(t, "reset_password").Payload.Code
	member := w.Storefront().WithAccountToken(w.redeem(t, code))
	path := "/v2/authentication-realms/" + w.realm + "/user-authentication-info/" + w.member + "/user-authentication-password-profile-info"

	// A member can list its own infos if a message does not contain the ID.
	infos := member.Send(t, 200, http.MethodGet, path, nil)
	if diff := cmp.Diff([]string{w.info}, infos.Column("id")); diff != "" {
		t.Errorf("own password profile infos (-want +got):\n%s", diff)
	}
	done := member.Send(t, 200, http.MethodPut, path+"/"+w.info, kit.Object{
		"type": "user_authentication_password_profile_info", "password_profile_id": w.profile,
		"username": w.username, "password": "second-Horse-2",
	})
	if shown := fmt.Sprint(done); strings.Contains(shown, "Horse") {
		t.Errorf("got the password in %s, want it hidden", shown)
	}
	in := func(password string) kit.Object {
		body := kit.ByPassword(w.username, password)
		body["password_profile_id"] = w.profile
		return body
	}
	kit.MustFailV2(t, "the old password", w.Storefront().AccountTokens(in("first-Horse-1")))
	w.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, in("second-Horse-2"))
	kit.MustFailV2(t, "the code", w.Storefront().AccountTokens(kit.ByCode(w.profile, w.username, code)))
	got := w.Storefront().WithAccountToken(before).Try(http.MethodGet, path, nil)
	kit.MustRefuseV2(t, "older account token", got, http.StatusUnauthorized, "")
	member.Send(t, 200, http.MethodGet, path, nil) // the member stays signed in
}
