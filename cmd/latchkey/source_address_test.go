package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"latchkey/storage"
)

// userAddress is the header by which the clients of these tests tell where their
// user is.
const userAddress = "X-Shop-User-Address"

// eventsOf counts the audit events of an action about a user, by what the
// servers say in their logs.
func (w *world) eventsOf(action, name string) (n int) {
	for line := range strings.Lines(w.log.String()) {
		var event struct{ Audit, Username string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == action && event.Username == name {
			n++
		}
	}
	return n
}

// lastSource is where the last sign-in of a user came from, by what the servers
// say in their logs.
func (w *world) lastSource(name string) (source string) {
	for line := range strings.Lines(w.log.String()) {
		var event struct{ Audit, Username, Source string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == "sign_in" && event.Username == name {
			source = event.Source
		}
	}
	return source
}

// change changes a client past the server.
func (a *arena) change(clientID string, change func(*storage.Client)) {
	a.t.Helper()
	ctx := context.WithoutCancel(a.t.Context())
	c, err := a.app.store.Client(ctx, clientID)
	a.must(err)
	change(&c)
	_, err = a.app.store.PutClient(ctx, c)
	a.must(err)
}

// TestAddressOfUser: whose word counts on where a user is.
func TestAddressOfUser(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(`ApiClients:
  - {ID: trusted, AppName: Trusted shop, ClientSecret: ` + shopSecret + `, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 0,
     AllowAnyBuyer: true, GrantTypes: [password], AllowedCredentials: [otp, password], TrustEndUserAddress: true}
`)
		a := enterArena(w)
		a.change("codes-only", func(c *storage.Client) { c.TrustAddress = true }) // it is public
		n := a.another("LATCHKEY_END_USER_ADDRESS_HEADER=" + userAddress)
		a.enrol("u1")
		signIn := func(n *node, clientID string, header ...string) {
			t.Helper()
			got := n.do(http.MethodPost, "/oauth/token", formMedia, encode(append(clientFields(clientID),
				"grant_type", "password", "username", "u1", "password", wrongCode)...), header...)
			refused(t, "sign-in", got, refusedSignIn)
		}
		tests := []struct {
			name, client string
			n            *node
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
			{"not switched on", "trusted", a.n, []string{userAddress, atHome}, "127.0.0.1"},
		}
		for _, test := range tests {
			a.run("user", "unlock", "u1")
			signIn(test.n, test.client, test.header...)
			if got := a.lastSource("u1"); got != test.want {
				t.Errorf("%s: comes from %q, want %q", test.name, got, test.want)
			}
		}

		// What is said decides which lock counts.
		a.run("user", "unlock", "u1")
		at := func(address, secret string) answer {
			return n.do(http.MethodPost, "/oauth/token", formMedia, encode(append(clientFields("trusted"),
				"grant_type", "password", "username", "u1", "password", secret)...), userAddress, address)
		}
		granted(t, "at home", at(atHome, janesPassword))
		for i := range 10 {
			refused(t, "wrong", at(fmt.Sprint("203.0.113.", i), wrongCode), refusedSignIn)
		}
		refused(t, "right, on tour", at(onTour, janesPassword), refusedSignIn)
		granted(t, "at home under the lock", at(atHome, janesPassword))
		// A lie from a client that is not trusted leads nowhere.
		got := n.do(http.MethodPost, "/oauth/token", formMedia, encode(append(clientFields("shop"),
			"grant_type", "password", "username", "u1", "password", janesPassword)...), userAddress, atHome, "X-Forwarded-For", atHome)
		refused(t, "says that it is at home", got, refusedSignIn)
	})
}

// TestAddressOfMember: the tokens endpoint of Elastic Path believes a client
// whose token is worth its secret, and neither an implicit token nor a user's.
func TestAddressOfMember(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(`ApiClients:
  - {ID: both, AppName: Either way, ClientSecret: ` + shopSecret + `, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 0, AllowAnyBuyer: true,
     GrantTypes: [password, client_credentials, implicit], AllowedCredentials: [otp, password], TrustEndUserAddress: true}
`)
		a := enterArena(w)
		a.change("both", func(c *storage.Client) { c.Roles, c.RequiresContextUser = []string{"FullAccess"}, false })
		n := a.another("LATCHKEY_END_USER_ADDRESS_HEADER=" + userAddress)
		a.enrol("m-secret", "m-implicit", "m-user")
		secret := n.form("/oauth/token", "grant_type", "client_credentials", "client_id", "both", "client_secret", shopSecret)
		implicit := n.form("/oauth/access_token", "grant_type", "implicit", "client_id", "both")
		users := n.form("/oauth/token", "grant_type", "password", "client_id", "both", "client_secret", shopSecret,
			"username", "jane", "password", janesPassword)
		for name, test := range map[string]struct {
			token answer
			want  string
		}{"m-secret": {secret, atHome}, "m-implicit": {implicit, "127.0.0.1"}, "m-user": {users, "127.0.0.1"}} {
			granted(t, name, test.token)
			body := `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"password",` +
				`"password_profile_id":"` + storage.DefaultProfileID + `","username":"` + name + `","password":"` + wrongCode + `"}}`
			n.do(http.MethodPost, "/v2/account-members/tokens", "application/json", body,
				"Authorization", "Bearer "+test.token.field("access_token"), userAddress, atHome)
			if got := a.lastSource(name); got != test.want {
				t.Errorf("%s: comes from %q, want %q", name, got, test.want)
			}
		}
	})
}
