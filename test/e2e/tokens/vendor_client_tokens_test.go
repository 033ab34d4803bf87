package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestTokensForVendorClients tests that tokens contain what the client libraries of the vendors
// read: the lifetime and the type of the user.
func TestTokensForVendorClients(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		t.Run("life", func(t *testing.T) { accessTokenLives(m, t) })
		t.Run("usrtype", func(t *testing.T) { userTypes(m, t) })
	})
}

// accessTokenLives tests that tokens of /oauth/access_token live 3600 s unless the client has a
// shorter lifetime, for clients from each source.
func accessTokenLives(m *kit.OrderCloud, t *testing.T) {
	secrets := map[string]string{}
	for id, duration := range map[string][]string{
		"silent": nil, "short": {"--access-token-duration", "10m"}, "long": {"--access-token-duration", "5h"},
	} {
		args := append([]string{"--name", id, "--id", id, "--grant", "client_credentials", "--grant", "implicit", "--role", "Shopper"}, duration...)
		secrets[id] = m.CreateClient(t, args...).Secret
	}
	m.Do(t, 201, http.MethodPost, "/v1/adminusers", `{"ID":"eve","Username":"eve","Active":true}`)
	const secret = "vendor-secret-vendor-secret-vendor-secret"
	for id, duration := range map[string]string{"v1-silent": "", "v1-short": `,"AccessTokenDuration":10`} {
		m.Do(t, 201, http.MethodPost, "/v1/apiclients", `{"ID":"`+id+`","AppName":"A","Active":true,"AllowSeller":true,"DefaultContextUserName":"eve",
			"ClientSecret":"`+secret+`","GrantTypes":["client_credentials","implicit"]`+duration+`}`)
		secrets[id] = secret
	}
	want := map[string]int64{"silent": 3600, "short": 600, "long": 3600, "v1-silent": 3600, "v1-short": 600}
	for id, life := range want {
		for grant, form := range map[string][]string{
			"implicit":           {"grant_type", "implicit", "client_id", id},
			"client_credentials": {"grant_type", "client_credentials", "client_id", id, "client_secret", secrets[id]},
		} {
			livesFor(m, t, id+" by "+grant, life, m.SendForm(m.First, "/oauth/access_token", form...))
		}
	}

	// A client without a lifetime, as /v1 shows it, can be sent back unchanged.
	shown := m.Do(t, 200, http.MethodGet, "/v1/apiclients/silent", nil)
	if minutes := shown.Members(t)["AccessTokenDuration"]; minutes != 15.0 {
		t.Errorf("got AccessTokenDuration %v, want 15", minutes)
	}
	m.Do(t, 200, http.MethodPut, "/v1/apiclients/silent", shown.Body)
	m.Do(t, 200, http.MethodPatch, "/v1/apiclients/silent", `{"AppName":"Silent"}`)
	livesFor(m, t, "after a PUT", 3600, m.SendForm(m.First, "/oauth/access_token", "grant_type", "implicit", "client_id", "silent"))
	at := m.First.ClientCredentials("silent", secrets["silent"]).AccessToken(t)
	if _, claims := kit.DecodeJWT(t, at); claims["exp"].(float64)-claims["iat"].(float64) != 900 {
		t.Errorf("/oauth/token: got a lifetime of %v s, want 900", claims["exp"].(float64)-claims["iat"].(float64))
	}
}

// livesFor compares the lifetime in seconds of an answer and its token.
func livesFor(m *kit.OrderCloud, t *testing.T, what string, life int64, got kit.Response) {
	t.Helper()
	var body struct {
		Expires     int64
		ExpiresIn   int64  `json:"expires_in"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil || got.Status != http.StatusOK {
		t.Fatalf("%s: got %d %s", what, got.Status, got.Body)
	}
	_, claims := kit.DecodeJWT(t, body.AccessToken)
	issued, expires := claims["iat"].(float64), claims["exp"].(float64)
	if int64(expires-issued) != life || body.ExpiresIn > life || body.ExpiresIn < life-1 || body.Expires > int64(expires) || body.Expires < int64(expires)-1 {
		t.Errorf("%s: got iat %.0f, exp %.0f and %s, want a lifetime of %d s", what, issued, expires, got.Body, life)
	}
}

// userTypes tests usrtype in tokens with and without a user.
func userTypes(m *kit.OrderCloud, t *testing.T) {
	machine := m.CreateClient(t, "--name", "Machine", "--id", "machine", "--grant", "client_credentials", "--role", "Shopper")
	m.CreateClient(t, "--name", "Front", "--id", "front", "--public", "--grant", "implicit")
	m.Do(t, 200, http.MethodPut, "/v1/buyers/acme", `{"Name":"Acme","Active":true}`)
	m.Do(t, 200, http.MethodPut, "/v1/suppliers/smith", `{"Name":"Smith","Active":true}`)
	m.Do(t, 201, http.MethodPost, "/v1/apiclients", `{"ID":"any","AppName":"A","Active":true,"AllowSeller":true,"AllowAnyBuyer":true,"AllowAnySupplier":true}`)
	tokens := map[string]string{
		"client credentials":                     m.First.ClientCredentials(machine.ID, machine.Secret).AccessToken(t),
		"client credentials of an administrator": m.AdminToken,
		"client credentials at /oauth/access_token": m.SendForm(m.First, "/oauth/access_token",
			"grant_type", "client_credentials", "client_id", machine.ID, "client_secret", machine.Secret).AccessToken(t),
		"implicit": m.SendForm(m.First, "/oauth/access_token", "grant_type", "implicit", "client_id", "front").AccessToken(t),
	}
	for user, path := range map[string]string{"buyer": "/v1/buyers/acme/users", "supplier": "/v1/suppliers/smith/users", "admin": "/v1/adminusers"} {
		m.Do(t, 201, http.MethodPost, path, `{"ID":"`+user+`","Username":"`+user+`","Password":"`+kit.TedPassword+`","Active":true}`)
		tokens[user] = m.SignIn(m.First, "any", user, kit.TedPassword).AccessToken(t)
	}
	for what, token := range tokens {
		want := map[string]string{"implicit": "buyer", "buyer": "buyer", "supplier": "supplier"}[what]
		if want == "" {
			want = "admin"
		}
		if _, claims := kit.DecodeJWT(t, token); claims["usrtype"] != want {
			t.Errorf("%s: got usrtype %v, want %s", what, claims["usrtype"], want)
		}
	}
	// The type gives no permission.
	m.Send(m.First, tokens["implicit"], http.MethodGet, "/v1/buyers", nil).MustRefuseV1(t, 403,
		kit.ErrorBody("Auth.InsufficientRoles", "User does not have role(s) required to perform this action.",
			`{"AssignedRoles":[],"SufficientRoles":["FullAccess","BuyerAdmin","BuyerReader"]}`))
}

// TestFurtherMessageTypes tests that message types that OrderCloud does not have work in new
// and in stored senders.
func TestFurtherMessageTypes(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		t.Run("are shown", func(t *testing.T) { showsFurtherTypes(m, t) })
		t.Run("are kept", func(t *testing.T) { keepsFurtherTypes(m, t) })
		t.Run("are checked", func(t *testing.T) { checksFurtherTypes(m, t) })
	})
}

// senderWith is the body of a message sender with those members.
func senderWith(id, members string) string {
	return `{"ID":"` + id + `","Name":"S","URL":"https://hook.example/x","SharedKey":"k","AllowAllBuyers":true,` + members + `}`
}

// hasTypes compares the message types of a sender, as it is shown alone and in a list. ours and
// further are one type each, or "" for none.
func hasTypes(m *kit.OrderCloud, t *testing.T, id, ours, further string) {
	t.Helper()
	type types struct{ MessageTypes, FurtherMessageTypes []string }
	var shown types
	var listed struct{ Items []types }
	one, list := m.Do(t, 200, http.MethodGet, "/v1/messagesenders/"+id, nil), m.Do(t, 200, http.MethodGet, "/v1/messagesenders?ID="+id, nil)
	if err := errors.Join(json.Unmarshal([]byte(one.Body), &shown), json.Unmarshal([]byte(list.Body), &listed)); err != nil {
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

// seen waits until the server has read a sender.
func seen(m *kit.OrderCloud, t *testing.T, id string) {
	t.Helper()
	kit.Eventually(t, "the sender is there", func() bool {
		return m.Send(m.First, m.AdminToken, http.MethodGet, "/v1/messagesenders/"+id, nil).Status == http.StatusOK
	})
}

func showsFurtherTypes(m *kit.OrderCloud, t *testing.T) {
	// This is a row of an earlier version, which has one list.
	m.WithApp(func(ctx context.Context, a *server.App) error {
		_, err := a.Store.PutSender(ctx, storage.Sender{
			ID: "stored", RealmID: storage.DefaultRealmID, Name: "S", Active: true, Kind: storage.WebhookSender, URL: "https://hook.example/x",
			Types: []storage.MessageType{storage.MessageOneTimePassword, storage.MessageAccountLocked}, AllowAllBuyers: true, Version: storage.MustBeNew,
		})
		return err
	})
	seen(m, t, "stored")
	hasTypes(m, t, "stored", "OneTimePassword", "AccountLocked")
	m.Do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("both", `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["AccountLocked"]`))
	hasTypes(m, t, "both", "OneTimePassword", "AccountLocked")
	m.Do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("old", `"MessageTypes":["AccountLocked","OneTimePassword"]`))
	hasTypes(m, t, "old", "OneTimePassword", "AccountLocked")
	m.Do(t, 201, http.MethodPost, "/v1/messagesenders", senderWith("only", `"MessageTypes":[],"FurtherMessageTypes":["AccountLocked"]`))
	hasTypes(m, t, "only", "", "AccountLocked")
	m.Apply(`MessageSenders: [{ID: applied, Name: S, URL: "https://hook.example/x", SharedKey: k, FurtherMessageTypes: [AccountLocked], AllowAllBuyers: true}]`)
	seen(m, t, "applied")
	hasTypes(m, t, "applied", "", "AccountLocked")
}

// keepsFurtherTypes writes senders as a client does that knows only OrderCloud's types.
func keepsFurtherTypes(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 200, http.MethodPut, "/v1/messagesenders/only", senderWith("only", `"MessageTypes":[]`))
	hasTypes(m, t, "only", "", "AccountLocked")
	m.Do(t, 200, http.MethodPatch, "/v1/messagesenders/both", `{"MessageTypes":["ForgottenPassword"]}`)
	hasTypes(m, t, "both", "ForgottenPassword", "AccountLocked")
	m.Do(t, 200, http.MethodPatch, "/v1/messagesenders/both", `{"FurtherMessageTypes":[]}`)
	hasTypes(m, t, "both", "ForgottenPassword", "")
}

func checksFurtherTypes(m *kit.OrderCloud, t *testing.T) {
	for what, members := range map[string]string{
		"nothing":               `"MessageTypes":[]`,
		"neither":               `"MessageTypes":[],"FurtherMessageTypes":[]`,
		"one of the vendor's":   `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["ForgottenPassword"]`,
		"one that nobody knows": `"MessageTypes":["OneTimePassword"],"FurtherMessageTypes":["X"]`,
	} {
		if got := m.Send(m.First, m.AdminToken, http.MethodPost, "/v1/messagesenders", senderWith("bad", members)); got.Status != 400 {
			t.Errorf("%s: got %d %s, want 400", what, got.Status, got.Body)
		}
	}
	last := m.Send(m.First, m.AdminToken, http.MethodPut, "/v1/messagesenders/only", senderWith("only", `"MessageTypes":[],"FurtherMessageTypes":[]`))
	if last.Status != 400 {
		t.Errorf("the last type withdrawn: got %d %s, want 400", last.Status, last.Body)
	}
}
