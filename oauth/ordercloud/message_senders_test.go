package ordercloud

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (srv *testServer) opened(s storage.Sealed, context string) string {
	srv.t.Helper()
	plain, err := srv.sealer.Open(s, context)
	srv.must(err)
	return string(plain)
}

func (srv *testServer) sender(id string) storage.Sender {
	srv.t.Helper()
	s, err := srv.store.Sender(srv.ctx, id)
	srv.must(err)
	return s
}

const (
	senderPath = "/v1/messagesenders"
	hook       = `{"ID":"hook","Name":"Hook","MessageTypes":["OneTimePassword","OrderSubmitted"],"URL":"https://hook.example/{messagetype}","SharedKey":"left-Horse","ElevatedRoles":["MeAdmin"],"AllowAllBuyers":true,"xp":{"template":"t1"}}`
)

func TestMessageSenders(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.recorded()
	created := srv.expect(201, "root", "POST", senderPath, hook)
	want := `{"ID":"hook","Name":"Hook","MessageTypes":["OneTimePassword","OrderSubmitted"],"Description":null,` +
		`"URL":"https://hook.example/{messagetype}","ElevatedRoles":["MeAdmin"],"SharedKey":null,"xp":{"template":"t1"},` +
		`"DeliveryConfigID":null,"AllowAllBuyers":true,"Active":true}`
	if created.body != want || created.header.Get("ETag") != `"1"` {
		t.Errorf("created: got %s, want %s", created.body, want)
	}
	if got := srv.expect(200, "root", "GET", senderPath+"/hook", "").body; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := srv.sender("hook"); srv.opened(s.SharedKey, wire.SharedKeyContext) != "left-Horse" || !s.Active || s.RealmID != storage.DefaultRealmID {
		t.Errorf("got the stored sender %+v", s)
	}
	srv.refuses(409, "IdExists", "root", "POST", senderPath, hook)
	srv.expect(200, "root", "PATCH", senderPath+"/hook", `{"Active":false,"xp":{"template":null,"b":1}}`)
	if s := srv.sender("hook"); srv.opened(s.SharedKey, wire.SharedKeyContext) != "left-Horse" || s.Active || string(s.XP) != `{"b":1}` {
		t.Errorf("patched: got %+v", s)
	}
	srv.expect(200, "root", "PATCH", senderPath+"/hook", `{"SharedKey":"right-Horse"}`)
	if got := srv.opened(srv.sender("hook").SharedKey, wire.SharedKeyContext); got != "right-Horse" {
		t.Errorf("got key %q, want \"right-Horse\"", got)
	}
	srv.expect(200, "root", "PUT", senderPath+"/hook", `{"Name":"Console","MessageTypes":["OneTimePassword"],"Kind":"console"}`)
	if s := srv.sender("hook"); len(s.SharedKey.Data) != 0 || s.Kind != storage.ConsoleSender || !s.Active {
		t.Errorf("replaced: got %+v", s)
	}
	srv.expect(204, "root", "DELETE", senderPath+"/hook", "")
	srv.refuses(404, "NotFound", "root", "GET", senderPath+"/hook", "")
	if got := srv.recorded(); len(got) != 5 || got[0] != "messagesender.created MessageSender/hook" {
		t.Errorf("got the events %q", got)
	}
}

func TestBadMessageSenders(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	a := srv.refuses(400, "MessageSenders.UrlRequired", "root", "POST", senderPath, `{"ID":"s","Name":"n","MessageTypes":["OneTimePassword"],"SharedKey":"k"}`)
	if want := `{"Errors":[{"ErrorCode":"MessageSenders.UrlRequired","Message":"Url is required when no delivery configuration is specified.","Data":{"Path":"URL"}}]}`; a.body != want {
		t.Errorf("got the body %s", a.body)
	}
	srv.refuses(400, "MessageSenders.SharedKeyRequired", "root", "POST", senderPath, `{"ID":"s","Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://x.example"}`)
	for body, paths := range map[string]string{
		`{}`: "Name MessageTypes URL SharedKey",
		`{"Name":"n","MessageTypes":["SMS"],"URL":"ftp://x","SharedKey":""}`:                                                           "MessageTypes[0] SharedKey URL",
		`{"Name":"a\r\nX: y","MessageTypes":["OneTimePassword"],"URL":"https://u:p@x.example","SharedKey":"k"}`:                        "Name URL",
		`{"Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://x.example","SharedKey":"k","ElevatedRoles":["a b"],"xp":1}`:     "ElevatedRoles[0] xp",
		`{"Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://x.example/\n","SharedKey":"` + strings.Repeat("k", 1025) + `"}`: "SharedKey URL",
		`{"Name":"n","MessageTypes":["OneTimePassword"],"Kind":"console","URL":"https://x.example"}`:                                   "Kind",
		`{"Name":"n","MessageTypes":["OneTimePassword"],"PublicJwk":"x"}`:                                                              "PublicJwk",
	} {
		got := srv.call("root", "POST", senderPath, body)
		if diff := cmp.Diff(paths, strings.Join(got.paths(), " ")); got.status != 400 || diff != "" {
			t.Errorf("%s: got %d, paths (-want +got):\n%s", body, got.status, diff)
		}
	}
	if a := srv.refuses(404, "NotFound", "root", "POST", senderPath, `{"ID":"s","Name":"n","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"none"}`); !strings.Contains(a.body, `"ObjectType":"DeliveryConfig"`) {
		t.Errorf("got the body %s", a.body)
	}
	srv.refuses(404, "NotFound", "root", "GET", senderPath+"/s", "")
}

// TestForeignSendersAreHidden tests that integrations of the other dialect are not shown here
// and cannot be changed.
func TestForeignSendersAreHidden(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", senderPath, hook)
	_, err := srv.store.PutSender(srv.ctx, storage.Sender{
		ID: "foreign", RealmID: storage.DefaultRealmID, Name: "F", Dialect: storage.ElasticPathDialect, Kind: storage.WebhookSender,
		URL: "https://f.example", AllowSeller: true,
	})
	srv.must(err)
	if got := srv.expect(200, "root", "GET", senderPath, ""); fmt.Sprintf("%v %v", got.ids(t), got.get(t, "Meta.TotalCount")) != "[hook] 1" {
		t.Errorf("listed: got %s, want hook alone", got.body)
	}
	for method, body := range map[string]string{"GET": "", "PATCH": `{"URL":"https://evil.example"}`, "DELETE": ""} {
		srv.refuses(404, "NotFound", "root", method, senderPath+"/foreign", body)
	}
	srv.refuses(409, "IdExists", "root", "PUT", senderPath+"/foreign", `{"Name":"n","MessageTypes":["OneTimePassword"],"Kind":"console"}`)
	srv.refuses(404, "NotFound", "root", "POST", senderPath+"/assignments", `{"MessageSenderID":"foreign"}`)
	srv.refuses(404, "NotFound", "root", "DELETE", senderPath+"/foreign/assignments", "")
	if got := srv.expect(200, "root", "GET", senderPath+"/assignments", "").get(t, "Meta.TotalCount"); fmt.Sprint(got) != "0" {
		t.Errorf("got %v assignments, want 0", got)
	}
	if s := srv.sender("foreign"); s.URL != "https://f.example" || !s.AllowSeller {
		t.Errorf("got the stored sender %+v, want no change", s)
	}
}

func TestMessageSenderLists(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/integrations/deliveryconfig", `{"ID":"d","Name":"D","DeliveryTargets":{"MessageSender":{"Endpoint":"https://d.example","Secret":"s"}}}`)
	srv.expect(201, "root", "POST", senderPath, hook)
	srv.expect(201, "root", "POST", senderPath, `{"ID":"console","Name":"Terminal","MessageTypes":["ForgottenPassword"],"Kind":"console","Active":false}`)
	srv.expect(201, "root", "POST", senderPath, `{"ID":"shared","Name":"Shared","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"d"}`)
	for query, want := range map[string][]string{
		"": {"console", "hook", "shared"}, "?search=term": {"console"}, "?Active=false": {"console"}, "?DeliveryConfigID=d": {"shared"},
		"?AllowAllBuyers=true": {"hook"}, "?Kind=webhook&sortBy=!ID": {"shared", "hook"}, "?xp.template=t*": {"hook"}, "?URL=*hook.example*": {"hook"},
	} {
		if diff := cmp.Diff(want, srv.expect(200, "root", "GET", senderPath+query, "").ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	srv.refuses(409, "InUse", "root", "DELETE", "/v1/integrations/deliveryconfig/d", "")
	srv.expect(200, "root", "PATCH", senderPath+"/shared", `{"DeliveryConfigID":null,"URL":"https://x.example","SharedKey":"k"}`)
	srv.expect(204, "root", "DELETE", "/v1/integrations/deliveryconfig/d", "")
}

func TestSenderAssignments(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", senderPath, hook)
	const path = senderPath + "/assignments"
	for _, body := range []string{
		`{"MessageSenderID":"hook"}`, `{"MessageSenderID":"hook","BuyerID":"acme"}`, `{"MessageSenderID":"hook","BuyerID":"acme"}`,
		`{"MessageSenderID":"hook","SupplierID":"smith","UserGroupID":null}`,
	} {
		srv.expect(204, "root", "POST", path, body)
	}
	item := func(buyer, supplier string) string {
		return `{"MessageSenderID":"hook","BuyerID":` + buyer + `,"SupplierID":` + supplier + `,"UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null}`
	}
	for query, want := range map[string]string{
		"": item("null", "null") + "," + item("null", `"smith"`) + "," + item(`"acme"`, "null"), "?buyerID=acme": item(`"acme"`, "null"),
		"?buyerID=!*&supplierID=!*": item("null", "null"), "?messageSenderID=other": "",
	} {
		if got := srv.expect(200, "root", "GET", path+query, "").body; !strings.HasSuffix(got, `"Items":[`+want+`]}`) {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	if s := srv.sender("hook"); !s.AllowSeller || len(s.AccountUIDs) != 2 {
		t.Errorf("got the stored sender %+v", s)
	}
	for body, status := range map[string]int{
		`{"MessageSenderID":"none"}`: 404, `{"MessageSenderID":"hook","BuyerID":"none"}`: 404, `{"BuyerID":"acme"}`: 400,
		`{"MessageSenderID":"hook","UserGroupID":"g"}`: 400, `{"MessageSenderID":"hook","BuyerID":"a","SupplierID":"b"}`: 400,
	} {
		if got := srv.call("root", "POST", path, body); got.status != status {
			t.Errorf("%s: got %d %s, want %d", body, got.status, got.body, status)
		}
	}
	srv.expect(204, "root", "DELETE", senderPath+"/hook/assignments?buyerID=acme", "")
	srv.refuses(404, "NotFound", "root", "DELETE", senderPath+"/hook/assignments?buyerID=acme", "")
	srv.expect(204, "root", "DELETE", senderPath+"/hook/assignments", "")
	srv.refuses(404, "NotFound", "root", "DELETE", senderPath+"/hook/assignments", "")
	srv.refuses(400, "ValidationFailure", "root", "DELETE", senderPath+"/hook/assignments?userID=ann", "")
	if s := srv.sender("hook"); s.AllowSeller || len(s.AccountUIDs) != 1 || srv.opened(s.SharedKey, wire.SharedKeyContext) != "left-Horse" {
		t.Errorf("got the stored sender %+v", s)
	}
	if got := srv.expect(200, "root", "GET", senderPath+"/CCListenerAssignments", "").body; got != `{"Meta":{"Page":1,"PageSize":20,"TotalCount":0,"TotalPages":0,"ItemRange":[0,0],"NextPageKey":null},"Items":[]}` {
		t.Errorf("got the listeners %s", got)
	}
	srv.refuses(400, "NotSupported", "root", "POST", senderPath+"/CCListenerAssignments", `{}`)
}

const configPath = "/v1/integrations/deliveryconfig"

func (srv *testServer) deliveryConfig(id string) storage.DeliveryConfig {
	srv.t.Helper()
	c, err := srv.store.DeliveryConfig(srv.ctx, id)
	srv.must(err)
	return c
}

func TestDeliveryConfigs(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	created := srv.expect(201, "root", "POST", configPath, `{"ID":"d","Name":"D","DeliveryTargets":{"MessageSender":{"Endpoint":"https://d.example/{messagetype}","Secret":"left-Horse"}}}`)
	want := `{"ID":"d","Name":"D","Enabled":true,"DeliveryTargets":{"MessageSender":{"Endpoint":"https://d.example/{messagetype}"},"Http":null}}`
	if created.body != want || created.header.Get("ETag") != `"1"` {
		t.Errorf("created: got %s, want %s", created.body, want)
	}
	if c := srv.deliveryConfig("d"); srv.opened(c.Secret, wire.DeliverySecretContext) != "left-Horse" || c.Target != storage.MessageSenderTarget {
		t.Errorf("got the stored config %+v", c)
	}
	srv.refuses(409, "IdExists", "root", "POST", configPath, `{"ID":"d","Name":"D","DeliveryTargets":{"Http":{"Endpoint":"https://d.example"}}}`)
	srv.expect(200, "root", "PATCH", configPath+"/d", `{"Enabled":false,"DeliveryTargets":{"MessageSender":{"Endpoint":"https://e.example"}}}`)
	if c := srv.deliveryConfig("d"); srv.opened(c.Secret, wire.DeliverySecretContext) != "left-Horse" || c.Enabled || c.URL != "https://e.example" {
		t.Errorf("patched: got %+v", c)
	}
	put := srv.expect(200, "root", "PUT", configPath+"/h", `{"Name":"H","DeliveryTargets":{"Http":{"Endpoint":"https://h.example","Secret":"s","CustomAuthHeaderName":"X-Api-Key","CustomAuthHeaderValue":"right-Horse"}}}`)
	if want := `{"ID":"h","Name":"H","Enabled":true,"DeliveryTargets":{"MessageSender":null,"Http":{"Endpoint":"https://h.example","CustomAuthHeaderName":"X-Api-Key"}}}`; put.body != want {
		t.Errorf("replaced: got %s, want %s", put.body, want)
	}
	if c := srv.deliveryConfig("h"); srv.opened(c.CustomAuthHeader, wire.DeliveryHeaderContext) != "right-Horse" || c.CustomAuthHeaderName != "X-Api-Key" {
		t.Errorf("got the stored config %+v", c)
	}
	if got := srv.expect(200, "root", "GET", configPath+"?Enabled=true", "").ids(t); len(got) != 1 || got[0] != "h" {
		t.Errorf("listed: got %v, want h alone", got)
	}
	srv.expect(204, "root", "DELETE", configPath+"/d", "")
	srv.refuses(404, "NotFound", "root", "DELETE", configPath+"/d", "")
}

// TestHeaderValueDoesNotMove tests that a change of the endpoint needs the value of the header
// again. The value is sent to the endpoint as it is. Otherwise a caller that may change a
// config but not read it could send the value to an endpoint of its own.
func TestHeaderValueDoesNotMove(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(200, "root", "PUT", configPath+"/h", `{"Name":"H","DeliveryTargets":{"Http":{"Endpoint":"https://h.example","CustomAuthHeaderName":"X-Api-Key","CustomAuthHeaderValue":"right-Horse"}}}`)
	kept := srv.deliveryConfig("h").CustomAuthHeader
	for _, change := range []string{
		`{"DeliveryTargets":{"Http":{"Endpoint":"https://evil.example"}}}`,
		`{"DeliveryTargets":{"Http":{"Endpoint":"https://h.example.evil.example"}}}`,
		`{"DeliveryTargets":{"Http":{"CustomAuthHeaderName":"X-Shown"}}}`,
	} {
		a := srv.refuses(400, "ValidationFailure", "root", "PATCH", configPath+"/h", change)
		if diff := cmp.Diff([]string{"DeliveryTargets.Http.CustomAuthHeaderValue"}, a.paths()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", change, diff)
		}
	}
	srv.expect(200, "root", "PATCH", configPath+"/h", `{"Name":"still there"}`)
	if diff := cmp.Diff(kept, srv.deliveryConfig("h").CustomAuthHeader); diff != "" {
		t.Error(diff)
	}
	srv.expect(200, "root", "PATCH", configPath+"/h", `{"DeliveryTargets":{"Http":{"Endpoint":"https://other.example","CustomAuthHeaderName":null}}}`)
	if got := srv.deliveryConfig("h").CustomAuthHeader; len(got.Data) != 0 {
		t.Errorf("got the kept value %+v, want none", got)
	}
}

func TestBadDeliveryConfigs(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	in := func(target string) string { return `{"Name":"n","DeliveryTargets":` + target + `}` }
	for body, paths := range map[string]string{
		`{}`: "Name DeliveryTargets", in(`{}`): "DeliveryTargets", in(`{"EventHub":{}}`): "DeliveryTargets",
		in(`{"MessageSender":{"Endpoint":"https://x.example","Secret":"s"},"Http":{"Endpoint":"https://x.example"}}`): "DeliveryTargets",
		in(`{"MessageSender":{}}`): "DeliveryTargets.MessageSender.Endpoint DeliveryTargets.MessageSender.Secret",
		in(`{"MessageSender":{"Endpoint":"https://user:pass@x.example","Secret":"` + strings.Repeat("s", 51) + `"}}`):           "DeliveryTargets.MessageSender.Endpoint DeliveryTargets.MessageSender.Secret",
		in(`{"Http":{"Endpoint":"file:///etc/passwd"}}`):                                                                        "DeliveryTargets.Http.Endpoint",
		in(`{"Http":{"Endpoint":"https://x.example","CustomAuthHeaderName":"Host","CustomAuthHeaderValue":"v"}}`):               "DeliveryTargets.Http.CustomAuthHeaderName",
		in(`{"Http":{"Endpoint":"https://x.example","CustomAuthHeaderName":"webhook-id","CustomAuthHeaderValue":"v"}}`):         "DeliveryTargets.Http.CustomAuthHeaderName",
		in(`{"Http":{"Endpoint":"https://x.example","CustomAuthHeaderName":"X-A\r\nB","CustomAuthHeaderValue":"v\r\nX-B: c"}}`): "DeliveryTargets.Http.CustomAuthHeaderValue DeliveryTargets.Http.CustomAuthHeaderName",
		in(`{"Http":{"Endpoint":"https://x.example","CustomAuthHeaderValue":"v"}}`):                                             "DeliveryTargets.Http.CustomAuthHeaderValue",
		in(`{"Http":{"Endpoint":"https://x.example","CustomAuthHeaderName":"X-A"}}`):                                            "DeliveryTargets.Http.CustomAuthHeaderValue",
	} {
		got := srv.refuses(400, "ValidationFailure", "root", "POST", configPath, body)
		if diff := cmp.Diff(paths, strings.Join(got.paths(), " ")); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}
