package ordercloud

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/oauth/client"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func TestApiClients(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.recorded()
	created := srv.expect(201, "root", "POST", "/v1/apiclients", `{
		"ID":"Shop-1","AppName":"Shop","AccessTokenDuration":60,"RefreshTokenDuration":120,"AllowAnyBuyer":true,
		"MaximumGrantedRoles":["Shopper"],"MaximumGrantedCustomRoles":["vip"],"DefaultContextUserName":"ANN ","IsAnonBuyer":true,
		"xp":{"a":{"b":1}},"OrderCheckoutIntegrationEventID":"x"}`)
	want := `{"ID":"Shop-1","ClientSecret":null,"AccessTokenDuration":60,"Active":true,"AppName":"Shop","RefreshTokenDuration":120,` +
		`"AnonymousTokenDuration":10080,"DefaultContextUserName":"ANN ","xp":{"a":{"b":1}},"AllowAnyBuyer":true,"AllowAnySupplier":false,` +
		`"AllowSeller":false,"IsAnonBuyer":true,"AssignedBuyerCount":0,"AssignedSupplierCount":0,"MinimumRequiredRoles":[],` +
		`"MinimumRequiredCustomRoles":[],"MaximumGrantedRoles":["Shopper"],"MaximumGrantedCustomRoles":["vip"],` +
		`"OrderCheckoutIntegrationEventID":null,"OrderCheckoutIntegrationEventName":null,"OrderReturnIntegrationEventID":null,` +
		`"OrderReturnIntegrationEventName":null,"AddToCartIntegrationEventID":null,"AddToCartIntegrationEventName":null,` +
		`"GrantTypes":["client_credentials","password","refresh_token"],"AllowedCredentials":["otp","password"],` +
		`"RefreshTokenRotation":false,"RefreshTokenIdleDuration":0,"SigningAlg":null,"PasswordProfileID":"default",` +
		`"TokenEndpointAuthMethod":null,"JWKS":null,"Resources":[],"DPoPBoundAccessTokens":false,"TrustEndUserAddress":false,"RedirectUris":[],"PostLogoutRedirectUris":[],"BackchannelLogoutUri":null,"ThirdParty":false,"IDTokenSigningAlg":null,"RequirePushedAuthorizationRequests":false}`
	if diff := cmp.Diff(want, created.body); diff != "" || created.header.Get("ETag") != `"1"` {
		t.Error(diff)
	}
	// IDs match in any letter case, and keep the case in which they were created.
	for _, id := range []string{"Shop-1", "sHOP-1"} {
		if got := srv.expect(200, "root", "GET", "/v1/apiclients/"+id, "").body; got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
	srv.refuses(409, "IdExists", "root", "POST", "/v1/apiclients", `{"ID":"SHOP-1","AppName":"Other"}`)
	if got := srv.expect(200, "root", "PUT", "/v1/apiclients/shop-1", `{"AppName":"New"}`).get(t, "ID"); got != "Shop-1" {
		t.Errorf("ID %v, want Shop-1", got)
	}
	srv.expect(200, "root", "PUT", "/v1/apiclients/shop-1", `{"ID":"shop-1","AppName":"New"}`)
	srv.refuses(400, "ValidationFailure", "root", "PUT", "/v1/apiclients/shop-1", `{"ID":"shop-2","AppName":"New"}`)
	patched := srv.expect(200, "root", "PATCH", "/v1/apiclients/Shop-1", `{"Active":false,"RefreshTokenRotation":true,"AllowSeller":true}`)
	if patched.get(t, "AppName") != "New" || patched.get(t, "Active") != false || patched.get(t, "RefreshTokenRotation") != true || patched.get(t, "AllowAnyBuyer") != false {
		t.Errorf("patched: got %s", patched.body)
	}
	srv.expect(204, "root", "DELETE", "/v1/apiclients/SHOP-1", "")
	srv.refuses(404, "NotFound", "root", "GET", "/v1/apiclients/Shop-1", "")
	if diff := cmp.Diff([]string{
		"apiclient.created ApiClient/Shop-1", "apiclient.updated ApiClient/shop-1", "apiclient.updated ApiClient/shop-1",
		"apiclient.updated ApiClient/Shop-1", "apiclient.deleted ApiClient/SHOP-1",
	}, srv.recorded()); diff != "" {
		t.Error(diff)
	}
	generated, _ := srv.expect(201, "root", "POST", "/v1/apiclients", `{"AppName":"n"}`).get(t, "ID").(string)
	if len(generated) != 36 || generated[14] != '4' {
		t.Errorf("got the generated ID %q, want a random UUID", generated)
	}
}

func TestApiClientReferences(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	_, err := srv.store.PutRealm(srv.ctx, storage.Realm{ID: "other"})
	srv.must(err)
	_, err = srv.store.PutPasswordProfile(srv.ctx, storage.PasswordProfile{ID: "foreign", RealmID: "other"})
	srv.must(err)
	for body, want := range map[string]string{
		`"PasswordProfileID":"none"`:                      `"Data":{"ObjectID":"none","ObjectType":"PasswordProfile"}`,
		`"PasswordProfileID":"foreign"`:                   `"Data":{"ObjectID":"foreign","ObjectType":"PasswordProfile"}`,
		`"DefaultContextUserName":"nobody"`:               `"Data":{"ObjectID":"nobody","ObjectType":"User"}`,
		`"IsAnonBuyer":true,"DefaultContextUserName":"x"`: `"Data":{"ObjectID":"x","ObjectType":"User"}`,
	} {
		if a := srv.refuses(404, "NotFound", "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n",`+body+`}`); !strings.Contains(a.body, want) {
			t.Errorf("%s: got %s, want %s", body, a.body, want)
		}
	}
	for _, user := range []string{"ada", "sue"} {
		srv.refuses(400, "ApiClient.RequiredNotAnonBuyer", "root", "POST", "/v1/apiclients",
			`{"ID":"c","AppName":"n","IsAnonBuyer":true,"DefaultContextUserName":"`+user+`"}`)
	}
	srv.refuses(404, "NotFound", "root", "GET", "/v1/apiclients/c", "") // the refused requests stored nothing
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n","DefaultContextUserName":"ada"}`)
	srv.refuses(400, "ApiClient.RequiredNotAnonBuyer", "root", "PATCH", "/v1/apiclients/c", `{"IsAnonBuyer":true}`)
	// A reference to a deleted user does not prevent other changes.
	srv.expect(204, "root", "DELETE", "/v1/adminusers/ada", "")
	srv.expect(200, "root", "PATCH", "/v1/apiclients/c", `{"AppName":"still works"}`)
}

func TestApiClientLists(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for _, c := range []string{
		`{"ID":"a1","AppName":"Alpha","AccessTokenDuration":10,"xp":{"team":"north"}}`,
		`{"ID":"a2","AppName":"Beta","Active":false,"AllowSeller":true,"AccessTokenDuration":30}`,
		`{"ID":"A3","AppName":"Gamma","SigningAlg":"RS256","xp":{"team":"south"}}`,
	} {
		srv.expect(201, "root", "POST", "/v1/apiclients", c)
	}
	for query, want := range map[string][]string{
		"?search=alpha": {"a1"}, "?search=a3": {"A3"}, "?Active=false": {"a2"}, "?AppName=!*et*&ID=a*": {"A3", "a1"},
		"?sortBy=!AppName&ID=a*": {"A3", "a2", "a1"}, "?AccessTokenDuration=30": {"a2"}, "?AccessTokenDuration=%3C30": {"a1"},
		"?xp.team=north|south&sortBy=!xp.team": {"A3", "a1"}, "?SigningAlg=rs256": {"A3"}, "?AllowSeller=true&ID=!back*": {"a2"},
		"?ID=a*&pageSize=2&page=2": {"a2"},
	} {
		if diff := cmp.Diff(want, srv.expect(200, "root", "GET", "/v1/apiclients"+query, "").ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	page := srv.expect(200, "root", "GET", "/v1/apiclients?ID=a*&pageSize=2&page=2", "").body
	if want := `{"Meta":{"Page":2,"PageSize":2,"TotalCount":3,"TotalPages":2,"ItemRange":[3,3],"NextPageKey":null},"Items":[{`; !strings.HasPrefix(page, want) {
		t.Errorf("got the page %s", page)
	}
}

// TestClientBringsKey tests that the first key of an algorithm exists before the client that
// needs it.
func TestClientBringsKey(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	algs := func() string {
		var page struct{ Items []wire.SigningKey }
		srv.must(json.Unmarshal([]byte(srv.expect(200, "root", "GET", "/v1/signingkeys?State=active&sortBy=Alg", "").body), &page))
		var all []string
		for _, k := range page.Items {
			all = append(all, k.Alg)
		}
		return strings.Join(all, " ")
	}
	for range 2 {
		srv.expect(200, "root", "PUT", "/v1/apiclients/c", `{"AppName":"n","SigningAlg":"EdDSA"}`)
		if got := algs(); got != "ES256 EdDSA" {
			t.Errorf("algorithms with an active key: got %s, want ES256 EdDSA", got)
		}
	}
	srv.refuses(400, "ValidationFailure", "root", "POST", "/v1/apiclients", `{"AppName":"n","SigningAlg":"HS256"}`)
}

func (srv *testServer) secretMatches(client, secret string) bool {
	srv.t.Helper()
	c, err := srv.store.Client(srv.ctx, client)
	srv.must(err)
	return grants.MatchClientSecret(srv.config.Peppers, &c, secret, srv.now())
}

// TestInlineClientSecret tests that ClientSecret replaces the secret that ClientSecret set
// before, and no other secret.
func TestInlineClientSecret(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	const path = "/v1/apiclients/c"
	created := srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n","ClientSecret":"first"}`)
	if c, err := srv.store.Client(srv.ctx, "c"); err != nil || c.Public || !srv.secretMatches("c", "first") {
		t.Errorf("got client %+v, error %v", c, err)
	}
	other := srv.expect(201, "root", "POST", path+"/secrets", `{"Name":"other"}`)
	srv.expect(200, "root", "PATCH", path, `{"AppName":"m"}`)
	if !srv.secretMatches("c", "first") {
		t.Error("a change of the name removed the secret")
	}
	srv.expect(200, "root", "PUT", path, `{"AppName":"m","ClientSecret":"second"}`)
	if srv.secretMatches("c", "first") || !srv.secretMatches("c", "second") || !srv.secretMatches("c", other.get(t, "ClientSecret").(string)) {
		t.Error("the second secret did not replace only the first")
	}
	srv.expect(200, "root", "PATCH", path, `{"ClientSecret":"second"}`)
	if got := srv.expect(200, "root", "GET", path+"/secrets", "").ids(t); len(got) != 2 {
		t.Errorf("got the secrets %v, want 2", got)
	}
	srv.refuses(400, "ValidationFailure", "root", "PATCH", path, `{"ClientSecret":""}`)
	for _, shown := range []string{created.body, srv.expect(200, "root", "GET", path, "").body, srv.expect(200, "root", "GET", "/v1/apiclients", "").body} {
		if strings.Contains(shown, "first") || strings.Contains(shown, "second") {
			t.Errorf("got a secret in %s, want none", shown)
		}
	}
	for i := range 8 {
		srv.expect(201, "root", "POST", path+"/secrets", fmt.Sprintf(`{"Name":"s%d"}`, i))
	}
	srv.expect(200, "root", "PATCH", path, `{"ClientSecret":"third"}`) // replaces one of ten
	srv.expect(204, "root", "DELETE", path+"/secrets/"+srv.secretNamed("c", client.InlineSecretName), "")
	srv.expect(201, "root", "POST", path+"/secrets", `{"Name":"tenth"}`)
	srv.refuses(400, "ApiClientSecret.MaximumClientSecretsReached", "root", "PATCH", path, `{"AppName":"half","ClientSecret":"eleventh"}`)
	if got := srv.expect(200, "root", "GET", path, "").get(t, "AppName"); got != "m" {
		t.Errorf("after a refused change: got %v, want m", got)
	}
}

func (srv *testServer) secretNamed(client, name string) string {
	srv.t.Helper()
	c, err := srv.store.Client(srv.ctx, client)
	srv.must(err)
	i := slices.IndexFunc(c.Secrets, func(s storage.ClientSecret) bool { return s.Name == name })
	return c.Secrets[i].ID
}

func TestClientSecrets(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n"}`)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"d","AppName":"n"}`)
	srv.recorded()
	const path = "/v1/apiclients/C/secrets"
	made := srv.expect(201, "root", "POST", path, `{"Name":"first","Expiration":"2026-03-02T13:00:00+01:00"}`)
	value, _ := made.get(t, "ClientSecret").(string)
	id, _ := made.get(t, "ID").(string)
	if len(value) != 43 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || !srv.secretMatches("c", value) {
		t.Errorf("created: got %s", made.body)
	}
	shown := fmt.Sprintf(`{"ID":%q,"Name":"first","Expiration":"2026-03-02T12:00:00Z"}`, id)
	if got := srv.expect(200, "root", "GET", path+"/"+id, "").body; got != shown {
		t.Errorf("got %s, want %s", got, shown)
	}
	if got := srv.expect(200, "root", "GET", path+"?Name=f*", "").body; !strings.HasSuffix(got, `"Items":[`+shown+`]}`) {
		t.Errorf("listed: got %s", got)
	}
	if got := srv.expect(200, "root", "GET", path+"?Name=g*", "").ids(t); len(got) != 0 {
		t.Errorf("filtered: got %v, want none", got)
	}
	for body, code := range map[string]string{
		`{"Expiration":"2026-03-01T12:00:00Z"}`: "ApiClientSecret.InvalidExpirationDate",
		`{"Expiration":"2020-01-01T00:00:00Z"}`: "ApiClientSecret.InvalidExpirationDate",
		`{"Expiration":"tomorrow"}`:             "ValidationFailure", `{"Name":"a\u0000"}`: "ValidationFailure",
		`{"ClientSecret":"chosen"}`: "ValidationFailure", `{"Expiratoin":"2027-03-01T12:00:00Z"}`: "ValidationFailure",
		`{"Name":"` + strings.Repeat("n", surface.MaxText+1) + `"}`: "ValidationFailure",
	} {
		srv.refuses(400, code, "root", "POST", path, body)
		srv.refuses(400, code, "root", "PATCH", path+"/"+id, body)
	}
	srv.refuses(400, "ValidationFailure", "root", "PATCH", path+"/"+id, `{"ID":"other"}`)
	if got := srv.expect(200, "root", "PATCH", path+"/"+id, `{"Name":"renamed"}`); got.get(t, "Expiration") != "2026-03-02T12:00:00Z" || strings.Contains(got.body, value) {
		t.Errorf("patched: got %s", got.body)
	}
	srv.advance(48 * time.Hour)
	if srv.secretMatches("c", value) {
		t.Error("an expired secret matches")
	}
	srv.expect(200, "root", "PATCH", path+"/"+id, `{"Name":"past"}`) // a past expiry may stay, but not be set
	if got := srv.expect(200, "root", "PATCH", path+"/"+id, `{"Expiration":null}`); got.get(t, "Expiration") != nil || !srv.secretMatches("c", value) {
		t.Errorf("without an expiration: got %s", got.body)
	}
	for _, call := range [][2]string{{"GET", ""}, {"PATCH", `{"Name":"n"}`}, {"DELETE", ""}} {
		for _, missing := range []string{path + "/none", "/v1/apiclients/d/secrets/" + id, "/v1/apiclients/none/secrets/" + id} {
			srv.refuses(404, "NotFound", "root", call[0], missing, call[1])
		}
	}
	srv.expect(204, "root", "DELETE", path+"/"+id, "")
	if c, err := srv.store.Client(srv.ctx, "c"); err != nil || c.Public {
		t.Errorf("after the last secret was deleted: got public %v, error %v, want false", c.Public, err)
	}
	want := []string{
		"apiclientsecret.created ApiClient/c/" + id, "apiclientsecret.updated ApiClient/c/" + id, "apiclientsecret.updated ApiClient/c/" + id,
		"apiclientsecret.updated ApiClient/c/" + id, "apiclientsecret.deleted ApiClient/c/" + id,
	}
	if diff := cmp.Diff(want, srv.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestTenSecretsAtMost(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n"}`)
	got := atOnce(30, func(int) answer { return srv.call("root", "POST", "/v1/apiclients/c/secrets", `{}`) })
	if got[201] != 10 || got[400] != 20 {
		t.Errorf("got the answers %v, want 10 created and 20 refused", got)
	}
	srv.refuses(400, "ApiClientSecret.MaximumClientSecretsReached", "root", "POST", "/v1/apiclients/c/secrets", `{}`)
}

func TestClientAssignments(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c1","AppName":"n"}`)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c2","AppName":"n"}`)
	srv.recorded()
	const path = "/v1/apiclients/assignments"
	for _, body := range []string{
		`{"ApiClientID":"c1","BuyerID":"acme"}`, `{"ApiClientID":"C1","BuyerID":"acme"}`, `{"ApiClientID":"c1","BuyerID":"globex"}`,
		`{"ApiClientID":"c1","SupplierID":"smith"}`, `{"ApiClientID":"c2","BuyerID":"globex","SupplierID":null}`,
	} {
		srv.expect(204, "root", "POST", path, body)
	}
	list := func(query string) string {
		_, items, _ := strings.Cut(srv.expect(200, "root", "GET", path+query, "").body, `"Items":`)
		return strings.NewReplacer(`"ApiClientID":`, "", `"BuyerID":`, "", `"SupplierID":`, "", `"`, "", "{", "", "}", "").Replace(items)
	}
	for query, want := range map[string]string{
		"":                               "[c1,null,smith,c1,acme,null,c1,globex,null,c2,globex,null]",
		"?apiClientID=C2":                "[c2,globex,null]",
		"?buyerID=globex":                "[c1,globex,null,c2,globex,null]",
		"?supplierID=smith":              "[c1,null,smith]",
		"?buyerID=globex&apiClientID=c1": "[c1,globex,null]",
		"?buyerID=none":                  "[]",
		"?pageSize=1&page=2":             "[c1,acme,null]",
	} {
		if got := list(query); got != want+"" && got != want+"}" {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	got := srv.expect(200, "root", "GET", "/v1/apiclients/c1", "")
	if fmt.Sprintf("%v %v", got.get(t, "AssignedBuyerCount"), got.get(t, "AssignedSupplierCount")) != "2 1" {
		t.Errorf("got the counts of %s, want 2 and 1", got.body)
	}
	for body, object := range map[string]string{
		`{"ApiClientID":"none","BuyerID":"acme"}`: "ApiClient", `{"ApiClientID":"c1","BuyerID":"none"}`: "Buyer", `{"ApiClientID":"c1","SupplierID":"acme"}`: "Supplier",
	} {
		if a := srv.refuses(404, "NotFound", "root", "POST", path, body); !strings.Contains(a.body, `"ObjectType":"`+object+`"`) {
			t.Errorf("%s: got %s, want a missing %s", body, a.body, object)
		}
	}
	for _, body := range []string{`{"ApiClientID":"c1"}`, `{"BuyerID":"acme"}`, `{"ApiClientID":"c1","BuyerID":""}`, `{"ApiClientID":"c1","BuyerID":"a","SupplierID":"b"}`} {
		srv.refuses(400, "ValidationFailure", "root", "POST", path, body)
	}
	srv.expect(204, "root", "DELETE", "/v1/buyers/acme/ApiClients/Assignments/c1", "")
	srv.expect(204, "root", "DELETE", "/v1/suppliers/smith/apiclients/assignments/C1", "")
	srv.refuses(404, "NotFound", "root", "DELETE", "/v1/buyers/acme/ApiClients/Assignments/c1", "")
	srv.refuses(404, "NotFound", "root", "DELETE", "/v1/buyers/none/ApiClients/Assignments/c1", "")
	srv.refuses(404, "NotFound", "root", "DELETE", "/v1/suppliers/smith/ApiClients/Assignments/none", "")
	if got := list(""); !strings.HasPrefix(got, "[c1,globex,null,c2,globex,null]") {
		t.Errorf("got the remaining assignments %s", got)
	}
	if got := srv.recorded(); len(got) != 7 || got[0] != "apiclientassignment.created ApiClient/c1/Buyer/acme" || got[6] != "apiclientassignment.deleted ApiClient/C1/Supplier/smith" {
		t.Errorf("got the events %q", got)
	}
}

// TestAssignmentRace tests that administrators that assign one client at the same time lose no
// assignment.
func TestAssignmentRace(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"n"}`)
	for i := range 20 {
		srv.expect(201, "root", "POST", "/v1/buyers", fmt.Sprintf(`{"ID":"b%d","Name":"n"}`, i))
	}
	got := atOnce(20, func(i int) answer {
		return srv.call("root", "POST", "/v1/apiclients/assignments", fmt.Sprintf(`{"ApiClientID":"c","BuyerID":"b%d"}`, i))
	})
	if count := srv.expect(200, "root", "GET", "/v1/apiclients/c", "").get(t, "AssignedBuyerCount"); got[204] != 20 || fmt.Sprint(count) != "20" {
		t.Errorf("got the answers %v and %v assignments, want 20", got, count)
	}
}

func TestOwnClientStays(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.client("other", nil)
	srv.client("back-office", func(c *storage.Client) { c.AllowSeller = false })
	srv.clientToken("keeper", "other", "ApiClientAdmin")
	srv.refuses(409, "ApiClient.CannotDeleteLastFullAccess", "root", "DELETE", "/v1/apiclients/Back-Office", "")
	srv.expect(204, "keeper", "DELETE", "/v1/apiclients/back-office", "") // another client may delete it
}
