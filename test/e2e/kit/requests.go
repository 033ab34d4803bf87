package kit

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ClientCredentials requests a token with client credentials.
func (n *Server) ClientCredentials(id, secret string, more ...string) Response {
	return n.Form("/oauth/token", append([]string{"grant_type", "client_credentials", "client_id", id, "client_secret", secret}, more...)...)
}

// MustRefuseCode fails the test unless a request for a one-time password was refused with
// the error.
func MustRefuseCode(t *testing.T, a Response, code, message string) {
	t.Helper()
	want := map[string]any{"Errors": []any{map[string]any{"ErrorCode": code, "Message": message, "Data": nil}}}
	if diff := cmp.Diff(want, a.JSON(t)); a.Status != http.StatusBadRequest || diff != "" {
		t.Errorf("got status %d, want 400; body (-want +got):\n%s", a.Status, diff)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
}

// CallV1 calls /v1 with an access token.
func (n *Server) CallV1(token, method, path, body string) Response {
	return n.Do(method, path, "application/json", body, "Authorization", "Bearer "+token)
}

// EveryTypeDocument makes the inbox receive every type of message.
const EveryTypeDocument = `
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword, ForgottenPassword, ForgottenUsername, NewUserInvitation],
     URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`

// RequestRenewal requests a verification code to renew a password, through client "shop".
func (n *Server) RequestRenewal(username string) Response {
	return n.Do(http.MethodPost, "/v1/password/reset", "application/json",
		fmt.Sprintf(`{"ClientID":"shop","Username":%q,"URL":"https://shop.example/renew"}`, username))
}

// RenewPassword sets a password with a verification code.
func (n *Server) RenewPassword(code, username, password string) Response {
	return n.Do(http.MethodPut, "/v1/password/reset/"+code, "application/json",
		fmt.Sprintf(`{"ClientID":"shop","Username":%q,"Password":%q}`, username, password))
}

// Admin is an administrator who uses the API.
type Admin struct {
	Server      *Server
	AccessToken string
}

// NewAdmin creates an administrator with a token of the server.
func (a *OneServer) NewAdmin(n *Server) Admin {
	a.T.Helper()
	c := a.CreateClient(a.T.(*testing.T), "--name", "Operator", "--grant", "client_credentials", "--role", "FullAccess", "--access-token-duration", "24h")
	return Admin{n, MustIssue(a.T, "operator", n.ClientCredentials(c.ID, c.Secret)).Field("access_token")}
}

// Do sends JSON with the token of the administrator.
func (o Admin) Do(method, path, body string) Response {
	return o.Server.Do(method, path, "application/json", body, "Authorization", "Bearer "+o.AccessToken)
}

// SendJSON sends JSON, with a bearer token unless that is "".
func (n *Server) SendJSON(method, path, token, body string) Response {
	var header []string
	if token != "" {
		header = []string{"Authorization", "Bearer " + token}
	}
	media := "application/json"
	if body == "" {
		media = ""
	}
	return n.Do(method, path, media, body, header...)
}
