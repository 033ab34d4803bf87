package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// userAddress is the header in which the clients of these tests send the address of their user.
const userAddress = "X-Shop-User-Address"

// eventsOf counts the audit events of an action about a user in the logs of the servers.
func eventsOf(w *kit.Fixture, action, name string) (n int) {
	for line := range strings.Lines(w.Log.String()) {
		var event struct{ Audit, Username string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == action && event.Username == name {
			n++
		}
	}
	return n
}

// lastSource returns the source of the last sign-in of a user in the logs of the servers.
func lastSource(w *kit.Fixture, name string) (source string) {
	for line := range strings.Lines(w.Log.String()) {
		var event struct{ Audit, Username, Source string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == "sign_in" && event.Username == name {
			source = event.Source
		}
	}
	return source
}

// change changes a client directly in the store.
func change(a *kit.OneServer, clientID string, change func(*storage.Client)) {
	a.T.Helper()
	ctx := context.WithoutCancel(a.T.Context())
	c, err := a.App.Store.Client(ctx, clientID)
	a.Must(err)
	change(&c)
	_, err = a.App.Store.PutClient(ctx, c)
	a.Must(err)
}

// TestAddressOfUser tests that only a trusted client can give the address of a user.
func TestAddressOfUser(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(`ApiClients:
  - {ID: trusted, AppName: Trusted shop, ClientSecret: ` + kit.ClientSecret + `, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 0,
     AllowAnyBuyer: true, GrantTypes: [password], AllowedCredentials: [otp, password], TrustEndUserAddress: true}
`)
		a := kit.NewOneServer(w)
		change(a, "codes-only", func(c *storage.Client) { c.TrustAddress = true }) // this client is public
		n := a.StartServer("LATCHKEY_END_USER_ADDRESS_HEADER=" + userAddress)
		a.AddUsers("u1")
		signIn := func(n *kit.Server, clientID string, header ...string) {
			t.Helper()
			got := n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(append(kit.ClientFields(clientID),
				"grant_type", "password", "username", "u1", "password", kit.WrongCode)...), header...)
			kit.MustRefuse(t, "sign-in", got, kit.WrongCredentialsBody)
		}
		tests := []struct {
			name, client string
			n            *kit.Server
			header       []string
			want         string
		}{
			{"trusted client", "trusted", n, []string{userAddress, atHome}, atHome},
			{"IPv6", "trusted", n, []string{userAddress, "2001:db8::7"}, "2001:db8::7"},
			{"IPv4 in IPv6", "trusted", n, []string{userAddress, "::ffff:" + atHome}, atHome},
			{"says nothing", "trusted", n, nil, "127.0.0.1"},
			{"says it twice", "trusted", n, []string{userAddress, atHome, userAddress, atHome}, "127.0.0.1"},
			{"a list", "trusted", n, []string{userAddress, atHome + ", " + onTour}, "127.0.0.1"},
			{"with a port", "trusted", n, []string{userAddress, atHome + ":80"}, "127.0.0.1"},
			{"no address", "trusted", n, []string{userAddress, "localhost"}, "127.0.0.1"},
			{"nothing in it", "trusted", n, []string{userAddress, ""}, "127.0.0.1"},
			{"forged by a proxy that nobody knows", "trusted", n, []string{"X-Forwarded-For", atHome}, "127.0.0.1"},
			{"another client", "shop", n, []string{userAddress, atHome}, "127.0.0.1"},
			{"public client", "codes-only", n, []string{userAddress, atHome}, "127.0.0.1"},
			{"not switched on", "trusted", a.Server, []string{userAddress, atHome}, "127.0.0.1"},
		}
		for _, test := range tests {
			a.Run("user", "unlock", "u1")
			signIn(test.n, test.client, test.header...)
			if got := lastSource(a.Fixture, "u1"); got != test.want {
				t.Errorf("%s: got the source %q, want %q", test.name, got, test.want)
			}
		}

		// The given address decides which lock counts.
		a.Run("user", "unlock", "u1")
		at := func(address, secret string) kit.Response {
			return n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(append(kit.ClientFields("trusted"),
				"grant_type", "password", "username", "u1", "password", secret)...), userAddress, address)
		}
		kit.MustIssue(t, "at home", at(atHome, kit.Password))
		for i := range 10 {
			kit.MustRefuse(t, "wrong", at(fmt.Sprint("203.0.113.", i), kit.WrongCode), kit.WrongCredentialsBody)
		}
		kit.MustRefuse(t, "right, on tour", at(onTour, kit.Password), kit.WrongCredentialsBody)
		kit.MustIssue(t, "at home under the lock", at(atHome, kit.Password))
		// A false address from a client that is not trusted has no effect.
		got := n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(append(kit.ClientFields("shop"),
			"grant_type", "password", "username", "u1", "password", kit.Password)...), userAddress, atHome, "X-Forwarded-For", atHome)
		kit.MustRefuse(t, "says that it is at home", got, kit.WrongCredentialsBody)
	})
}

// TestAddressOfMember tests that the token endpoint of /v2 trusts the address of a client that
// uses a token of its secret. It does not trust the address with an implicit token or a user's
// token.
func TestAddressOfMember(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(`ApiClients:
  - {ID: both, AppName: Either way, ClientSecret: ` + kit.ClientSecret + `, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 0, AllowAnyBuyer: true,
     GrantTypes: [password, client_credentials, implicit], AllowedCredentials: [otp, password], TrustEndUserAddress: true}
`)
		a := kit.NewOneServer(w)
		change(a, "both", func(c *storage.Client) { c.Roles, c.RequiresContextUser = []string{"FullAccess"}, false })
		n := a.StartServer("LATCHKEY_END_USER_ADDRESS_HEADER=" + userAddress)
		a.AddUsers("m-secret", "m-implicit", "m-user")
		secret := n.Form("/oauth/token", "grant_type", "client_credentials", "client_id", "both", "client_secret", kit.ClientSecret)
		implicit := n.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "both")
		users := n.Form("/oauth/token", "grant_type", "password", "client_id", "both", "client_secret", kit.ClientSecret,
			"username", "jane", "password", kit.Password)
		for name, test := range map[string]struct {
			token kit.Response
			want  string
		}{"m-secret": {secret, atHome}, "m-implicit": {implicit, "127.0.0.1"}, "m-user": {users, "127.0.0.1"}} {
			kit.MustIssue(t, name, test.token)
			body := `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"password",` +
				`"password_profile_id":"` + storage.DefaultProfileID + `","username":"` + name + `","password":"` + kit.WrongCode + `"}}`
			n.Do(http.MethodPost, "/v2/account-members/tokens", "application/json", body,
				"Authorization", "Bearer "+test.token.Field("access_token"), userAddress, atHome)
			if got := lastSource(a.Fixture, name); got != test.want {
				t.Errorf("%s: got the source %q, want %q", name, got, test.want)
			}
		}
	})
}
