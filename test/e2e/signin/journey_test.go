package signin

import (
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"latchkey/test/e2e/kit"
)

// TestJourney tests that a user without a password signs in with a one-time password, through
// an OAuth client and a JOSE library of other authors.
func TestJourney(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		if a := n.RequestCode("jane", ""); a.Status != http.StatusNoContent || a.Body != "" {
			t.Fatalf("request for a code: got %d %q", a.Status, a.Body)
		}
		m := w.Inbox.Next(t)
		if m.EventBody.Username != "jane" || m.EventBody.ClientID != "shop" || m.MessageType != "OneTimePassword" ||
			m.BuyerID != "acme" || m.Recipient.Email != "jane@example.com" || m.Path != "/onetimepassword" {
			t.Errorf("got the message %+v", m)
		}

		provider, err := oidc.NewProvider(t.Context(), n.URL)
		if err != nil {
			t.Fatal(err)
		}
		shop := oauth2.Config{ClientID: "shop", ClientSecret: kit.ClientSecret, Endpoint: provider.Endpoint()}
		token, err := shop.PasswordCredentialsToken(t.Context(), "jane", m.EventBody.OneTimePassword)
		if err != nil {
			t.Fatal(err)
		}
		verifier := provider.Verifier(&oidc.Config{ClientID: n.URL, SupportedSigningAlgs: []string{oidc.ES256}})
		verified, err := verifier.Verify(t.Context(), token.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Usr, Cid, Usrtype, Scope string
			Role, AMR                []string
		}
		if err := verified.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		if claims.Usr != "jane" || claims.Cid != "shop" || claims.Usrtype != "buyer" || claims.Scope != "MeAdmin Shopper" ||
			len(claims.Role) != 2 || len(claims.AMR) != 1 || claims.AMR[0] != "otp" {
			t.Errorf("got the claims %+v", claims)
		}

		if _, err := shop.PasswordCredentialsToken(t.Context(), "jane", m.EventBody.OneTimePassword); err == nil {
			t.Error("the second use of the code: got no error, want one")
		}
		if _, err := shop.PasswordCredentialsToken(t.Context(), "jane", kit.Password); err != nil {
			t.Errorf("the permanent password: got %v, want no error", err)
		}
		refreshed, err := shop.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(t.Context(), refreshed.AccessToken); err != nil {
			t.Error(err)
		}
		if a := n.Introspect(refreshed.AccessToken); a.Status != http.StatusOK || a.Field("username") != "jane" {
			t.Errorf("introspection: got %d %s, want 200", a.Status, a.Body)
		}
		if _, err := verifier.Verify(t.Context(), m.UserToken); err != nil {
			t.Errorf("the token in the message: got %v, want no error", err)
		}
	})
}
