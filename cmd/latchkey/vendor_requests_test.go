package main

import (
	"strings"
	"testing"
)

// OrderCloud's tools send query parameters and members that are of other
// resources; OrderCloud ignores them.
func TestVendorToolsAreUnderstood(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		t.Run("bodies", m.unknownMembers)
		t.Run("lists", m.unknownParameters)
		t.Run("assignments", m.assignmentLists)
		t.Run("misspellings", m.misspellings)
	})
}

func (m *market) unknownMembers(t *testing.T) {
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
		if got := m.do(t, 201, "POST", r.path, r.body); strings.Contains(got.body, "OwnerID") || strings.Contains(got.body, "BuyerID") {
			t.Errorf("%s: %s", r.path, got.body)
		}
	}
	m.do(t, 200, "PUT", "/v1/buyers/acme/users/jane", `{"Username":"jane","BuyerID":"smith","Email":"jane@example.com"}`)
	m.do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"BuyerID":"smith","FirstName":"Jane"}`)
	if got := m.do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil); !strings.Contains(got.body, `"Email":"jane@example.com"`) || !strings.Contains(got.body, `"CompanyID":"acme"`) {
		t.Error(got.body)
	}
}

func (m *market) unknownParameters(t *testing.T) {
	for _, path := range []string{
		"/v1/buyers", "/v1/suppliers", "/v1/buyers/acme/users", "/v1/suppliers/smith/users", "/v1/adminusers", "/v1/securityprofiles",
		"/v1/securityprofiles/assignments", "/v1/apiclients", "/v1/apiclients/assignments", "/v1/apiclients/web/secrets", "/v1/messagesenders",
		"/v1/messagesenders/assignments", "/v1/messagesenders/CCListenerAssignments", "/v1/integrations/deliveryconfig", "/v1/signingkeys", "/v1/auditevents",
	} {
		plain := m.do(t, 200, "GET", path+"?page=1&pageSize=100", nil)
		if got := m.do(t, 200, "GET", path+"?page=1&pageSize=100&depth=all&catalogID=c&tenant=", nil); path != "/v1/auditevents" && got.body != plain.body {
			t.Errorf("%s: %s\nwithout unknown parameters: %s", path, got.body, plain.body)
		}
	}
	m.do(t, 200, "GET", "/v1/buyers/acme?depth=all", nil)
	for query, total := range map[string]string{"": "1", "userGroupID=": "1", "userGroupID=staff": "0"} {
		for _, path := range []string{"/v1/buyers/acme/users?", "/v1/suppliers/smith/users?"} {
			if got := m.do(t, 200, "GET", path+query, nil); !strings.Contains(got.body, `"TotalCount":`+total+",") {
				t.Errorf("%s%s: %s, want %s", path, query, got.body, total)
			}
		}
	}
}

func (m *market) assignmentLists(t *testing.T) {
	for _, body := range []string{
		`{"SecurityProfileID":"p"}`, `{"SecurityProfileID":"p","BuyerID":"acme"}`, `{"SecurityProfileID":"p","SupplierID":"smith"}`,
		`{"SecurityProfileID":"p","BuyerID":"acme","UserID":"jane"}`, `{"SecurityProfileID":"p","SupplierID":"smith","UserID":"sam"}`,
		`{"SecurityProfileID":"p","UserID":"ada"}`,
	} {
		m.do(t, 204, "POST", "/v1/securityprofiles/assignments", body)
	}
	for _, body := range []string{`{"MessageSenderID":"hook"}`, `{"MessageSenderID":"hook","BuyerID":"acme"}`} {
		m.do(t, 204, "POST", "/v1/messagesenders/assignments", body)
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
			if got := m.do(t, 200, "GET", path+query, nil); !strings.Contains(got.body, `"TotalCount":`+total+",") {
				t.Errorf("%s%s: %s, want %s", path, query, got.body, total)
			}
		}
	}
	// What an assignment does not know might say whom it is for.
	for path, bodies := range map[string][]string{
		"/v1/securityprofiles/assignments": {`{"SecurityProfileID":"p","Buyer":"acme"}`, `{"SecurityProfileID":"p","BuyerID":"acme","User":"jane"}`},
		"/v1/messagesenders/assignments":   {`{"MessageSenderID":"hook","Company":"acme"}`},
		"/v1/apiclients/assignments":       {`{"ApiClientID":"web","BuyerID":"acme","User":"jane"}`},
	} {
		for _, body := range bodies {
			m.do(t, 400, "POST", path, body)
		}
	}
}

func (m *market) misspellings(t *testing.T) {
	for body, want := range map[string]string{
		`{"Username":"new","emial":"x@example.com"}`:       invalid("emial", "unknown member; did you mean Email?"),
		`{"Username":"new","Actve":false}`:                 invalid("Actve", "unknown member; did you mean Active?"),
		`{"Username":"new","passWord":"Correct-Horse-7"}`:  invalid("passWord", "unknown member; did you mean Password?"),
		`{"Username":"new","FristNam":"x","BuyerID":"b"}`:  invalid("FristNam", "unknown member; did you mean FirstName?"),
		`{"Username":"new","TermsAcepted":null,"depth":1}`: invalid("TermsAcepted", "unknown member; did you mean TermsAccepted?"),
	} {
		m.send(m.first, m.root, "POST", "/v1/buyers/acme/users", body).mustBeErrors(t, 400, want)
	}
	for query, want := range map[string]string{
		"userGroupId=staff": invalid("userGroupId", "unknown parameter; did you mean userGroupID?"),
		"Search=x":          invalid("Search", "unknown parameter; did you mean search?"),
		"Usernmae=x":        invalid("Usernmae", "unknown parameter; did you mean Username?"),
		"page=1&page=2":     invalid("page", "occurs more than once"),
	} {
		m.send(m.first, m.root, "GET", "/v1/buyers/acme/users?"+query, nil).mustBeErrors(t, 400, want)
	}
}
