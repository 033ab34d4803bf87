package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// TestTokensForVendorClients looks at what the vendors' client libraries read in a
// token: how long it lives and of which type its user is.
func TestTokensForVendorClients(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		t.Run("life", func(t *testing.T) { m.accessTokenLives(t) })
		t.Run("usrtype", func(t *testing.T) { m.userTypes(t) })
	})
}

// accessTokenLives holds tokens of /oauth/access_token to 3600 s unless the client
// names a shorter life, for clients from each source.
func (m *market) accessTokenLives(t *testing.T) {
	secrets := map[string]string{}
	for id, duration := range map[string][]string{
		"silent": nil, "short": {"--access-token-duration", "10m"}, "long": {"--access-token-duration", "5h"},
	} {
		args := append([]string{"--name", id, "--id", id, "--grant", "client_credentials", "--grant", "implicit", "--role", "Shopper"}, duration...)
		secrets[id] = m.adminClient(t, args...).Secret
	}
	m.do(t, 201, http.MethodPost, "/v1/adminusers", `{"ID":"eve","Username":"eve","Active":true}`)
	const secret = "vendor-secret-vendor-secret-vendor-secret"
	for id, duration := range map[string]string{"v1-silent": "", "v1-short": `,"AccessTokenDuration":10`} {
		m.do(t, 201, http.MethodPost, "/v1/apiclients", `{"ID":"`+id+`","AppName":"A","Active":true,"AllowSeller":true,"DefaultContextUserName":"eve",
			"ClientSecret":"`+secret+`","GrantTypes":["client_credentials","implicit"]`+duration+`}`)
		secrets[id] = secret
	}
	want := map[string]int64{"silent": 3600, "short": 600, "long": 3600, "v1-silent": 3600, "v1-short": 600}
	for id, life := range want {
		for grant, form := range map[string][]string{
			"implicit":           {"grant_type", "implicit", "client_id", id},
			"client_credentials": {"grant_type", "client_credentials", "client_id", id, "client_secret", secrets[id]},
		} {
			m.livesFor(t, id+" by "+grant, life, m.sendForm(m.first, "/oauth/access_token", form...))
		}
	}

	// What /v1 shows of a client that names no life can be sent back unchanged.
	shown := m.do(t, 200, http.MethodGet, "/v1/apiclients/silent", nil)
	if minutes := shown.object(t)["AccessTokenDuration"]; minutes != 15.0 {
		t.Errorf("AccessTokenDuration is %v, want 15", minutes)
	}
	m.do(t, 200, http.MethodPut, "/v1/apiclients/silent", shown.body)
	m.do(t, 200, http.MethodPatch, "/v1/apiclients/silent", `{"AppName":"Silent"}`)
	m.livesFor(t, "after a PUT", 3600, m.sendForm(m.first, "/oauth/access_token", "grant_type", "implicit", "client_id", "silent"))
	at := m.first.self("silent", secrets["silent"]).mustIssue(t)
	if _, claims := decoded(t, at); claims["exp"].(float64)-claims["iat"].(float64) != 900 {
		t.Errorf("a token of /oauth/token lives %v s, want 900", claims["exp"].(float64)-claims["iat"].(float64))
	}
}

// livesFor compares the life that an answer and its token tell, in seconds.
func (m *market) livesFor(t *testing.T, what string, life int64, got answer) {
	t.Helper()
	var body struct {
		Expires     int64
		ExpiresIn   int64  `json:"expires_in"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK {
		t.Fatalf("%s: %d %s", what, got.status, got.body)
	}
	_, claims := decoded(t, body.AccessToken)
	issued, expires := claims["iat"].(float64), claims["exp"].(float64)
	if int64(expires-issued) != life || body.ExpiresIn > life || body.ExpiresIn < life-1 || body.Expires > int64(expires) || body.Expires < int64(expires)-1 {
		t.Errorf("%s: iat %.0f, exp %.0f and %s, want a life of %d s", what, issued, expires, got.body, life)
	}
}

// userTypes looks at usrtype in tokens with and without a user.
func (m *market) userTypes(t *testing.T) {
	machine := m.adminClient(t, "--name", "Machine", "--id", "machine", "--grant", "client_credentials", "--role", "Shopper")
	m.adminClient(t, "--name", "Front", "--id", "front", "--public", "--grant", "implicit")
	m.do(t, 200, http.MethodPut, "/v1/buyers/acme", `{"Name":"Acme","Active":true}`)
	m.do(t, 200, http.MethodPut, "/v1/suppliers/smith", `{"Name":"Smith","Active":true}`)
	m.do(t, 201, http.MethodPost, "/v1/apiclients", `{"ID":"any","AppName":"A","Active":true,"AllowSeller":true,"AllowAnyBuyer":true,"AllowAnySupplier":true}`)
	tokens := map[string]string{
		"client credentials":                     m.first.self(machine.ID, machine.Secret).mustIssue(t),
		"client credentials of an administrator": m.root,
		"client credentials at /oauth/access_token": m.sendForm(m.first, "/oauth/access_token",
			"grant_type", "client_credentials", "client_id", machine.ID, "client_secret", machine.Secret).mustIssue(t),
		"implicit": m.sendForm(m.first, "/oauth/access_token", "grant_type", "implicit", "client_id", "front").mustIssue(t),
	}
	for user, path := range map[string]string{"buyer": "/v1/buyers/acme/users", "supplier": "/v1/suppliers/smith/users", "admin": "/v1/adminusers"} {
		m.do(t, 201, http.MethodPost, path, `{"ID":"`+user+`","Username":"`+user+`","Password":"`+tedPassword+`","Active":true}`)
		tokens[user] = m.signIn(m.first, "any", user, tedPassword).mustIssue(t)
	}
	for what, token := range tokens {
		want := map[string]string{"implicit": "buyer", "buyer": "buyer", "supplier": "supplier"}[what]
		if want == "" {
			want = "admin"
		}
		if _, claims := decoded(t, token); claims["usrtype"] != want {
			t.Errorf("%s: usrtype is %v, want %s", what, claims["usrtype"], want)
		}
	}
	// The type gives no right.
	m.send(m.first, tokens["implicit"], http.MethodGet, "/v1/buyers", nil).mustBeErrors(t, 403,
		vendorError("Auth.InsufficientRoles", "User does not have role(s) required to perform this action.",
			`{"AssignedRoles":[],"SufficientRoles":["FullAccess","BuyerAdmin","BuyerReader"]}`))
}

// TestFurtherMessageTypes looks at message types that OrderCloud does not have, in
// new and in stored senders.
func TestFurtherMessageTypes(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		t.Run("are shown", func(t *testing.T) { m.showsFurtherTypes(t) })
		t.Run("are kept", func(t *testing.T) { m.keepsFurtherTypes(t) })
		t.Run("are checked", func(t *testing.T) { m.checksFurtherTypes(t) })
	})
}

// senderWith is the body of a message sender with those members.
func senderWith(id, members string) string {
	return `{"ID":"` + id + `","Name":"S","URL":"https://hook.example/x","SharedKey":"k","AllowAllBuyers":true,` + members + `}`
}

// hasTypes compares the message types of a sender, one of each kind or none (""), as
// it is shown alone and in a list.
func (m *market) hasTypes(t *testing.T, id, ours, further string) {
	t.Helper()
	type types struct{ MessageTypes, FurtherMessageTypes []string }
	var shown types
	var listed struct{ Items []types }
	one, list := m.do(t, 200, http.MethodGet, "/v1/messagesenders/"+id, nil), m.do(t, 200, http.MethodGet, "/v1/messagesenders?ID="+id, nil)
	if err := errors.Join(json.Unmarshal([]byte(one.body), &shown), json.Unmarshal([]byte(list.body), &listed)); err != nil {
		t.Fatal(err)
	}
	want := types{MessageTypes: []string{}}
	if ours != "" {
		want.MessageTypes = []string{ours}
	}
	if further != "" {
		want.FurtherMessageTypes = []string{further}
	}
	if diff := cmp.Diff([]types{want, want}, append(listed.Items, shown)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", id, diff)
	}
}

// seen waits until the server has heard of a sender.
func (m *market) seen(t *testing.T, id string) {
	t.Helper()
	wireSoon(t, "the sender is there", func() bool {
		return m.send(m.first, m.root, http.MethodGet, "/v1/messagesenders/"+id, nil).status == http.StatusOK
	})
}

func (m *market) showsFurtherTypes(t *testing.T) {
	// A row of an earlier version, which knows one list.
	m.withApp(func(ctx context.Context, a *app) error {
		_, err := a.store.PutSender(ctx, storage.Sender{
			ID: "stored", RealmID: storage.DefaultRealmID, Name: "S", Active: true, Kind: storage.WebhookSender, URL: "https://hook.example/x",
			Types: []storage.MessageType{storage.MessageOneTimePassword, storage.MessageAccountLocked}, AllowAllBuyers: true, Version: storage.MustBeNew,
		})
		return err
	})
	m.seen(t, "stored")
	m.hasTypes(t, "stored", "OneTimePassword", "AccountLocked")
	m.do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("both", `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["AccountLocked"]`))
	m.hasTypes(t, "both", "OneTimePassword", "AccountLocked")
	m.do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("old", `"MessageTypes":["AccountLocked","OneTimePassword"]`))
	m.hasTypes(t, "old", "OneTimePassword", "AccountLocked")
	m.do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("only", `"MessageTypes":[],"FurtherMessageTypes":["AccountLocked"]`))
	m.hasTypes(t, "only", "", "AccountLocked")
	m.apply(`MessageSenders: [{ID: applied, Name: S, URL: "https://hook.example/x", SharedKey: k, FurtherMessageTypes: [AccountLocked], AllowAllBuyers: true}]`)
	m.seen(t, "applied")
	m.hasTypes(t, "applied", "", "AccountLocked")
}

// keepsFurtherTypes writes senders as a client does that knows OrderCloud's types
// only.
func (m *market) keepsFurtherTypes(t *testing.T) {
	m.do(t, 200, http.MethodPut, "/v1/messagesenders/only", senderWith("only", `"MessageTypes":[]`))
	m.hasTypes(t, "only", "", "AccountLocked")
	m.do(t, 200, http.MethodPatch, "/v1/messagesenders/both", `{"MessageTypes":["ForgottenPassword"]}`)
	m.hasTypes(t, "both", "ForgottenPassword", "AccountLocked")
	m.do(t, 200, http.MethodPatch, "/v1/messagesenders/both", `{"FurtherMessageTypes":[]}`)
	m.hasTypes(t, "both", "ForgottenPassword", "")
}

func (m *market) checksFurtherTypes(t *testing.T) {
	for what, members := range map[string]string{
		"nothing":               `"MessageTypes":[]`,
		"neither":               `"MessageTypes":[],"FurtherMessageTypes":[]`,
		"one of the vendor's":   `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["ForgottenPassword"]`,
		"one that nobody knows": `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["X"]`,
	} {
		if got := m.send(m.first, m.root, http.MethodPost, "/v1/messagesenders", senderWith("bad", members)); got.status != 400 {
			t.Errorf("%s: %d %s, want 400", what, got.status, got.body)
		}
	}
	last := m.send(m.first, m.root, http.MethodPut, "/v1/messagesenders/only", senderWith("only", `"MessageTypes":[],"FurtherMessageTypes":[]`))
	if last.status != 400 {
		t.Errorf("the last type withdrawn: %d %s, want 400", last.status, last.body)
	}
}
