package kit

import (
	"testing"
	"time"
)

// TokenPair is the access token and the refresh token of a response.
type TokenPair struct{ Access, Refresh string }

// TokenPairOf returns the tokens of a response, which must contain both.
func TokenPairOf(t testing.TB, what string, got Response) TokenPair {
	t.Helper()
	MustIssue(t, what, got)
	p := TokenPair{got.Field("access_token"), got.Field("refresh_token")}
	if p.Refresh == "" {
		t.Fatalf("%s: got %s, want a refresh token", what, got.Body)
	}
	return p
}

// SignIn creates a user, signs the user in through a client, and returns the tokens.
func (a *OneServer) SignIn(clientID, name string) TokenPair {
	a.T.Helper()
	a.AddUsers(name)
	return TokenPairOf(a.T, "sign-in", a.Server.SignInThrough(clientID, name, Password))
}

// AfterRefreshGrace is longer than a replaced token is accepted.
const AfterRefreshGrace = 61 * time.Second
