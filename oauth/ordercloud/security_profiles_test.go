package ordercloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/token"
	"latchkey/storage"
)

const profilePath = "/v1/securityprofiles"

func TestSecurityProfiles(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	created := srv.expect(201, "root", "POST", profilePath, `{"ID":"p","Name":"P","Roles":["Shopper","MeAdmin"],"CustomRoles":["vip"],
		"PasswordConfig":{"LimitPasswordReuse":5,"MaximumPasswordAge":90,"MinimumPasswordAge":30,"AllowedFailedAttempts":3,"LockoutDuration":0,"NumericRequired":true}}`)
	want := `{"ID":"p","Name":"P","Roles":["MeAdmin","Shopper"],"CustomRoles":["vip"],"PasswordConfig":{"LimitPasswordReuse":5,` +
		`"MaxConsecutiveDupeChars":null,"MaximumPasswordAge":90,"MinimumPasswordAge":30,"AllowedFailedAttempts":3,"LockoutDuration":0,` +
		`"UpperCaseRequired":false,"LowerCaseRequired":false,"SpecialCharacterRequired":false,"NumericRequired":true,` +
		`"MinimumCharacterCount":null},"IsExternalRoleGroup":false}`
	if diff := cmp.Diff(want, created.body); diff != "" {
		t.Error(diff)
	}
	stored, err := srv.store.SecurityProfile(srv.ctx, "p")
	srv.must(err)
	wantPolicy := storage.PasswordPolicy{
		LimitPasswordReuse: new(5), MaximumPasswordAge: new(90 * 24 * time.Hour), MinimumPasswordAge: new(30 * time.Minute),
		AllowedFailedAttempts: new(3), LockoutDuration: new(time.Duration(0)), NumericRequired: true,
	}
	if diff := cmp.Diff(wantPolicy, stored.Password); diff != "" || stored.RealmID != storage.DefaultRealmID {
		t.Error(diff)
	}
	patched := srv.expect(200, "root", "PATCH", profilePath+"/p", `{"PasswordConfig":{"MaximumPasswordAge":null},"Roles":[]}`)
	if patched.get(t, "PasswordConfig.MaximumPasswordAge") != nil || fmt.Sprint(patched.get(t, "PasswordConfig.LimitPasswordReuse")) != "5" || fmt.Sprint(patched.get(t, "CustomRoles")) != "[vip]" {
		t.Errorf("patched: got %s", patched.body)
	}
	if got := srv.expect(200, "root", "PATCH", profilePath+"/p", `{"PasswordConfig":null}`).get(t, "PasswordConfig"); got != nil {
		t.Errorf("got policy %v, want none", got)
	}
	for body, paths := range map[string]string{
		`{"Name":"n","PasswordConfig":{"MaximumPasswordAge":-1,"LimitPasswordReuse":25,"MinimumPasswordAge":525601}}`: "PasswordConfig.LimitPasswordReuse PasswordConfig.MaximumPasswordAge PasswordConfig.MinimumPasswordAge",
		`{"Name":"","Roles":["a b"],"CustomRoles":[""],"PasswordConfig":{"minimumPasswordAge":1}}`:                    "PasswordConfig.minimumPasswordAge",
		`{"Name":"","Roles":["a b"],"CustomRoles":[""]}`:                                                              "Name Roles[0] CustomRoles[0]",
	} {
		if diff := cmp.Diff(paths, strings.Join(srv.refuses(400, "ValidationFailure", "root", "POST", profilePath, body).paths(), " ")); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	srv.expect(204, "root", "DELETE", profilePath+"/p", "")
	srv.refuses(404, "NotFound", "root", "DELETE", profilePath+"/p", "")
}

func TestProfileAssignments(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", profilePath, `{"ID":"p","Name":"P","Roles":["Shopper"]}`)
	srv.expect(201, "root", "POST", profilePath, `{"ID":"q","Name":"Q"}`)
	const path = profilePath + "/assignments"
	for _, body := range []string{
		`{"SecurityProfileID":"p"}`, `{"SecurityProfileID":"p","BuyerID":"acme"}`, `{"SecurityProfileID":"p","BuyerID":"acme","UserID":"ann"}`,
		`{"SecurityProfileID":"p","SupplierID":"smith"}`, `{"SecurityProfileID":"q","UserID":"ada"}`, `{"SecurityProfileID":"q","UserID":"ada"}`,
	} {
		srv.expect(204, "root", "POST", path, body)
	}
	p, err := srv.store.Principal(srv.ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: "ann"})
	if err != nil || fmt.Sprint(p.Roles) != "[Shopper]" {
		t.Errorf("got the roles %v, error %v; want Shopper", p.Roles, err)
	}
	list := func(query string) string {
		_, items, _ := strings.Cut(srv.expect(200, "root", "GET", path+query, "").body, `"Items":`)
		return strings.NewReplacer(`"SecurityProfileID":`, "", `,"BuyerID":`, "/", `,"SupplierID":`, "/", `,"UserID":`, "/",
			`,"UserGroupID":null`, "", `"`, "", "{", "", "}", "", "null", "-").Replace(items)
	}
	for query, want := range map[string]string{
		"?securityProfileID=q": "[q/-/-/ada]", "?buyerID=acme": "[p/acme/-/-]", "?buyerID=acme&userID=ann": "[p/acme/-/ann]",
		"?supplierID=smith": "[p/-/smith/-]", "?userID=ada": "[q/-/-/ada]", "?userID=ann": "[]", "?buyerID=none": "[]", "?buyerID=globex&userID=ann": "[]",
		"?level=user&sortBy=!SecurityProfileID": "[q/-/-/ada,p/acme/-/ann]", "?level=company&supplierID=smith": "[p/-/smith/-]", "?level=User&supplierID=smith": "[]",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	all := strings.Split(strings.Trim(list(""), "[]"), ",")
	if len(all) != 5 || !strings.Contains(list(""), "p/-/-/-") {
		t.Errorf("listed: got %v", all)
	}
	srv.refuses(400, "ValidationFailure", "root", "GET", path+"?level=Galaxy", "")
	for body, want := range map[string]string{
		`{"SecurityProfileID":"none"}`: "404 SecurityProfile", `{"SecurityProfileID":"p","BuyerID":"none"}`: "404 Buyer",
		`{"SecurityProfileID":"p","BuyerID":"globex","UserID":"ann"}`: "404 User", `{"SecurityProfileID":"p","UserID":"ann"}`: "404 User",
		`{}`: "400 ", `{"SecurityProfileID":"p","UserID":""}`: "400 ", `{"SecurityProfileID":"p","UserGroupID":"g"}`: "400 ",
	} {
		a := srv.call("root", "POST", path, body)
		_, object, _ := strings.Cut(a.body, `"ObjectType":"`)
		object, _, _ = strings.Cut(object, `"`)
		if got := fmt.Sprintf("%d %s", a.status, object); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	srv.expect(204, "root", "DELETE", profilePath+"/p/assignments?buyerID=acme&userID=ann", "")
	srv.refuses(404, "NotFound", "root", "DELETE", profilePath+"/p/assignments?buyerID=acme&userID=ann", "")
	srv.refuses(404, "NotFound", "root", "DELETE", profilePath+"/q/assignments", "")
	srv.expect(204, "root", "DELETE", profilePath+"/p/assignments", "")
	srv.expect(204, "root", "DELETE", profilePath+"/p", "") // deletes its other assignments too
	if got := list(""); got != "[q/-/-/ada]" {
		t.Errorf("after the deletion: got %s, want [q/-/-/ada]", got)
	}
}

// TestNobodyRisesAboveTheirRoles tests that a caller without FullAccess gives no role that it
// does not have, neither directly nor through other records.
func TestNobodyRisesAboveTheirRoles(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.giveProfile("top", storage.UserParty(srv.user("ada").UID), token.RoleFullAccess)
	srv.client("limited", nil)
	srv.client("powerful", func(c *storage.Client) { c.Roles = []string{token.RoleFullAccess} })
	srv.clientToken("limited", "limited", "SecurityProfileAdmin", "ApiClientAdmin", "MessageSenderAdmin", "DeliveryConfigAdmin", "Shopper")
	for _, setUp := range [][2]string{
		{profilePath, `{"ID":"high","Name":"H","Roles":["FullAccess"]}`},
		{profilePath, `{"ID":"low","Name":"L","Roles":["Shopper"]}`},
		{"/v1/apiclients", `{"ID":"as-ada","AppName":"n","DefaultContextUserName":"ada","ClientSecret":"s"}`},
		{"/v1/apiclients", `{"ID":"capped","AppName":"n","AllowSeller":true,"MaximumGrantedRoles":["Shopper"]}`},
		{senderPath, `{"ID":"elevated","Name":"E","MessageTypes":["OneTimePassword"],"URL":"https://x.example","SharedKey":"k","ElevatedRoles":["FullAccess"]}`},
		{configPath, `{"ID":"d","Name":"D","DeliveryTargets":{"MessageSender":{"Endpoint":"https://d.example","Secret":"s"}}}`},
		{senderPath, `{"ID":"shared","Name":"E","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"d","ElevatedRoles":["OrderAdmin"]}`},
	} {
		srv.expect(201, "root", "POST", setUp[0], setUp[1])
	}
	for _, tt := range []struct {
		method, path, body string
		may                int // status if the call is allowed, otherwise 0
	}{
		{"POST", profilePath, `{"ID":"x1","Name":"n","Roles":["FullAccess"]}`, 0},
		{"POST", profilePath, `{"ID":"x2","Name":"n","Roles":["Shopper"],"CustomRoles":["vip"]}`, 0},
		{"PUT", profilePath + "/x3", `{"Name":"n","Roles":["OrderAdmin"]}`, 0},
		{"PATCH", profilePath + "/low", `{"CustomRoles":["FullAccess"]}`, 0},
		{"POST", profilePath, `{"ID":"x4","Name":"n","Roles":["Shopper"]}`, 201},
		{"PATCH", profilePath + "/high", `{"Name":"above the caller"}`, 0},
		{"PATCH", profilePath + "/high", `{"Roles":[]}`, 0},
		{"PUT", profilePath + "/high", `{"ID":"high","Name":"H","Roles":["Shopper"]}`, 0},
		{"DELETE", profilePath + "/high", ``, 0},
		{"POST", profilePath + "/assignments", `{"SecurityProfileID":"high","UserID":"ada"}`, 0},
		{"POST", profilePath + "/assignments", `{"SecurityProfileID":"high"}`, 0},
		{"POST", profilePath + "/assignments", `{"SecurityProfileID":"low"}`, 204},

		// A caller that sets the secrets or the user of a client can act as that client.
		{"POST", "/v1/apiclients/powerful/secrets", `{}`, 0},
		{"PATCH", "/v1/apiclients/powerful", `{"ClientSecret":"mine"}`, 0},
		{"POST", "/v1/apiclients/as-ada/secrets", `{}`, 0},
		{"PATCH", "/v1/apiclients/as-ada", `{"ClientSecret":"mine"}`, 0},
		{"POST", "/v1/apiclients", `{"ID":"y1","AppName":"n","DefaultContextUserName":"ada","ClientSecret":"mine"}`, 0},
		{"PATCH", "/v1/apiclients/limited", `{"DefaultContextUserName":"Ada"}`, 0},
		{"POST", "/v1/apiclients", `{"ID":"y2","AppName":"n","DefaultContextUserName":"ann","IsAnonBuyer":true}`, 201},
		{"POST", "/v1/apiclients", `{"ID":"y3","AppName":"n","AllowSeller":true}`, 0},
		{"POST", "/v1/apiclients", `{"ID":"y4","AppName":"n","AllowSeller":true,"MaximumGrantedRoles":["OrderAdmin"]}`, 0},
		{"POST", "/v1/apiclients", `{"ID":"y5","AppName":"n","AllowSeller":true,"MaximumGrantedRoles":["Shopper"]}`, 201},
		{"POST", "/v1/apiclients", `{"ID":"y6","AppName":"n","AllowAnyBuyer":true,"MaximumGrantedRoles":["MeAdmin"]}`, 201},
		{"PATCH", "/v1/apiclients/capped", `{"MaximumGrantedRoles":[]}`, 0},
		{"PATCH", "/v1/apiclients/capped", `{"MaximumGrantedCustomRoles":["FullAccess"]}`, 0},
		{"PATCH", "/v1/apiclients/capped", `{"MaximumGrantedRoles":["ApiClientAdmin"]}`, 200},
		{"POST", "/v1/apiclients/capped/secrets", `{}`, 201},

		// The tokens that a sender gets have its roles.
		{"POST", senderPath, `{"ID":"z1","Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://x.example","SharedKey":"k","ElevatedRoles":["OrderAdmin"]}`, 0},
		{"PATCH", senderPath + "/elevated", `{"URL":"https://mine.example"}`, 0},
		{"PATCH", senderPath + "/elevated", `{"Active":false}`, 0},
		{"POST", senderPath, `{"ID":"z2","Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://x.example","SharedKey":"k","ElevatedRoles":["Shopper"]}`, 201},
		{"PATCH", configPath + "/d", `{"DeliveryTargets":{"MessageSender":{"Endpoint":"https://mine.example"}}}`, 0},
		{"PATCH", configPath + "/d", `{"Name":"its endpoint stays"}`, 0},
		{"PATCH", configPath + "/d", `{"Enabled":false}`, 0},
		{"DELETE", configPath + "/d", ``, 0},
	} {
		if tt.may == 0 {
			srv.refuses(403, "Auth.InsufficientRoles", "limited", tt.method, tt.path, tt.body)
			continue
		}
		srv.expect(tt.may, "limited", tt.method, tt.path, tt.body)
	}
	for _, id := range []string{"x1", "x2", "x3"} {
		srv.refuses(404, "NotFound", "root", "GET", profilePath+"/"+id, "")
	}
	if srv.secretMatches("powerful", "mine") || srv.secretMatches("as-ada", "mine") {
		t.Error("a refused secret was set")
	}
}
