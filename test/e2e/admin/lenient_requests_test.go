package admin

import (
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestLenientRequests sends query parameters and members of other resources, as the tools of
// OrderCloud do. OrderCloud ignores these, and /v1 must do so too.
func TestLenientRequests(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	t.Run("bodies", func(t *testing.T) { unknownMembers(m, t) })
	t.Run("lists", func(t *testing.T) { unknownParameters(m, t) })
	t.Run("assignments", func(t *testing.T) { assignmentLists(m, t) })
	t.Run("misspellings", func(t *testing.T) { misspellings(m, t) })
}

func unknownMembers(m *kit.OrderCloud, t *testing.T) {
	for _, r := range []struct{ path, body string }{
		{"/v1/buyers", `{"ID":"acme","Name":"Acme","OwnerID":"x","Catalog":{"ID":"c"}}`},
		{"/v1/suppliers", `{"ID":"smith","Name":"Smith","OwnerID":"x"}`},
		{"/v1/buyers/acme/users", `{"ID":"jane","Username":"jane","BuyerID":"acme","Active":true}`},
		{"/v1/suppliers/smith/users", `{"ID":"sam","Username":"sam","SupplierID":"smith","Active":true}`},
		{"/v1/adminusers", `{"ID":"ada","Username":"ada","OwnerID":"x","Active":true}`},
		{"/v1/securityprofiles", `{"ID":"p","Name":"P","Roles":["MeAdmin"],"PasswordConfig":{"Rating":5},"OwnerID":"x"}`},
		{"/v1/apiclients", `{"ID":"web","AppName":"Web","AllowAnyBuyer":true,"OwnerID":"x"}`},
		{"/v1/messagesenders", `{"ID":"hook","Name":"Hook","MessageTypes":["OneTimePassword"],"URL":"https://hook.example","SharedKey":"k","OwnerID":"x"}`},
	} {
		if got := m.Do(t, 201, "POST", r.path, r.body); strings.Contains(got.Body, "OwnerID") || strings.Contains(got.Body, "BuyerID") {
			t.Errorf("%s: got %s", r.path, got.Body)
		}
	}
	m.Do(t, 200, "PUT", "/v1/buyers/acme/users/jane", `{"Username":"jane","BuyerID":"smith","Email":"jane@example.com"}`)
	m.Do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"BuyerID":"smith","FirstName":"Jane"}`)
	if got := m.Do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil); !strings.Contains(got.Body, `"Email":"jane@example.com"`) || !strings.Contains(got.Body, `"CompanyID":"acme"`) {
		t.Error(got.Body)
	}
}

func unknownParameters(m *kit.OrderCloud, t *testing.T) {
	for _, path := range []string{
		"/v1/buyers", "/v1/suppliers", "/v1/buyers/acme/users", "/v1/suppliers/smith/users", "/v1/adminusers", "/v1/securityprofiles",
		"/v1/securityprofiles/assignments", "/v1/apiclients", "/v1/apiclients/assignments", "/v1/apiclients/web/secrets", "/v1/messagesenders",
		"/v1/messagesenders/assignments", "/v1/messagesenders/CCListenerAssignments", "/v1/integrations/deliveryconfig", "/v1/signingkeys", "/v1/auditevents",
	} {
		plain := m.Do(t, 200, "GET", path+"?page=1&pageSize=100", nil)
		if got := m.Do(t, 200, "GET", path+"?page=1&pageSize=100&depth=all&catalogID=c&tenant=", nil); path != "/v1/auditevents" && got.Body != plain.Body {
			t.Errorf("%s: got %s\nwant as without unknown parameters: %s", path, got.Body, plain.Body)
		}
	}
	m.Do(t, 200, "GET", "/v1/buyers/acme?depth=all", nil)
	for query, total := range map[string]string{"": "1", "userGroupID=": "1", "userGroupID=staff": "0"} {
		for _, path := range []string{"/v1/buyers/acme/users?", "/v1/suppliers/smith/users?"} {
			if got := m.Do(t, 200, "GET", path+query, nil); !strings.Contains(got.Body, `"TotalCount":`+total+",") {
				t.Errorf("%s%s: got %s, want %s", path, query, got.Body, total)
			}
		}
	}
}

func assignmentLists(m *kit.OrderCloud, t *testing.T) {
	for _, body := range []string{
		`{"SecurityProfileID":"p"}`, `{"SecurityProfileID":"p","BuyerID":"acme"}`, `{"SecurityProfileID":"p","SupplierID":"smith"}`,
		`{"SecurityProfileID":"p","BuyerID":"acme","UserID":"jane"}`, `{"SecurityProfileID":"p","SupplierID":"smith","UserID":"sam"}`,
		`{"SecurityProfileID":"p","UserID":"ada"}`,
	} {
		m.Do(t, 204, "POST", "/v1/securityprofiles/assignments", body)
	}
	for _, body := range []string{`{"MessageSenderID":"hook"}`, `{"MessageSenderID":"hook","BuyerID":"acme"}`} {
		m.Do(t, 204, "POST", "/v1/messagesenders/assignments", body)
	}
	for path, totals := range map[string]map[string]string{
		"/v1/securityprofiles/assignments?": {
			"": "6", "commerceRole=Buyer": "2", "commerceRole=Supplier": "2", "commerceRole=Seller": "2", "commerceRole=seller&level=user": "1",
			"level=Group": "0", "level=Company": "3", "level=User": "3", "userGroupID=staff": "0", "userID=ada": "1", "userID=jane": "0",
			"buyerID=acme&userID=jane&depth=all": "1", "buyerID=acme&commerceRole=Supplier": "0", "securityProfileID=p&commerceRole=Buyer": "2",
		},
		"/v1/messagesenders/assignments?": {
			"": "2", "level=Company": "2", "level=Group": "0", "userGroupID=staff": "0", "userID=jane": "0", "buyerID=acme": "1", "messageSenderID=hook&depth=all": "2",
		},
		"/v1/apiclients/assignments?": {"": "0", "apiClientID=web&level=x": "0"},
	} {
		for query, total := range totals {
			if got := m.Do(t, 200, "GET", path+query, nil); !strings.Contains(got.Body, `"TotalCount":`+total+",") {
				t.Errorf("%s%s: got %s, want %s", path, query, got.Body, total)
			}
		}
	}
	// An unknown member of an assignment could say for whom the assignment is. So it is
	// refused.
	for path, bodies := range map[string][]string{
		"/v1/securityprofiles/assignments": {`{"SecurityProfileID":"p","Buyer":"acme"}`, `{"SecurityProfileID":"p","BuyerID":"acme","User":"jane"}`},
		"/v1/messagesenders/assignments":   {`{"MessageSenderID":"hook","Company":"acme"}`},
		"/v1/apiclients/assignments":       {`{"ApiClientID":"web","BuyerID":"acme","User":"jane"}`},
	} {
		for _, body := range bodies {
			m.Do(t, 400, "POST", path, body)
		}
	}
}

func misspellings(m *kit.OrderCloud, t *testing.T) {
	for body, want := range map[string]string{
		`{"Username":"new","emial":"x@example.com"}`:       kit.InvalidBody("emial", "unknown member; did you mean Email?"),
		`{"Username":"new","Actve":false}`:                 kit.InvalidBody("Actve", "unknown member; did you mean Active?"),
		`{"Username":"new","passWord":"Correct-Horse-7"}`:  kit.InvalidBody("passWord", "unknown member; did you mean Password?"),
		`{"Username":"new","FristNam":"x","BuyerID":"b"}`:  kit.InvalidBody("FristNam", "unknown member; did you mean FirstName?"),
		`{"Username":"new","TermsAcepted":null,"depth":1}`: kit.InvalidBody("TermsAcepted", "unknown member; did you mean TermsAccepted?"),
	} {
		m.Send(m.First, m.AdminToken, "POST", "/v1/buyers/acme/users", body).MustRefuseV1(t, 400, want)
	}
	for query, want := range map[string]string{
		"userGroupId=staff": kit.InvalidBody("userGroupId", "unknown parameter; did you mean userGroupID?"),
		"Search=x":          kit.InvalidBody("Search", "unknown parameter; did you mean search?"),
		"Usernmae=x":        kit.InvalidBody("Usernmae", "unknown parameter; did you mean Username?"),
		"page=1&page=2":     kit.InvalidBody("page", "occurs more than once"),
	} {
		m.Send(m.First, m.AdminToken, "GET", "/v1/buyers/acme/users?"+query, nil).MustRefuseV1(t, 400, want)
	}
}
