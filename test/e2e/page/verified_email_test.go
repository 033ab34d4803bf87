package page

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestVerifiedEmail tests that a code sent by webhook does not verify the address. An
// administrator of the seller can mark the address as verified. A change of the address removes
// the mark, even if the request repeats what was read before.
func TestVerifiedEmail(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		const path = "/v1/buyers/acme/users/jane"
		admin, b := s.NewAdmin(s.Server), s.newBrowser()
		of := b.signedIn("jane")
		change := func(method, body string, status int) string {
			t.Helper()
			got := admin.Do(method, path, body)
			if got.Status != status {
				t.Fatalf("%s: got %d %s, want %d", body, got.Status, got.Body, status)
			}
			return got.Body
		}
		mustBe := func(what string, verified bool) {
			t.Helper()
			var claims struct {
				Verified *bool `json:"email_verified"`
			}
			s.Must(json.Unmarshal([]byte(s.Server.Do(http.MethodGet, "/oauth/userinfo", "", "", "Authorization", "Bearer "+of.AccessToken).Body), &claims))
			if claims.Verified == nil || *claims.Verified != verified {
				t.Errorf("%s: got email_verified %v, want %v", what, claims.Verified, verified)
			}
			if got := strings.Contains(change(http.MethodGet, "", 200), `"EmailVerified":true`); got != verified {
				t.Errorf("%s: EmailVerified %v, want %v", what, got, verified)
			}
		}
		mustBe("after a code by webhook", false)
		read := change(http.MethodPatch, `{"EmailVerified":true}`, 200)
		mustBe("after the administrator said so", true)
		change(http.MethodPatch, `{"FirstName":"Janet"}`, 200)
		mustBe("after another change", true)
		change(http.MethodPut, strings.Replace(read, "jane@example.com", "janet@example.com", 1), 200)
		mustBe("after a change of the address", false)
		change(http.MethodPatch, `{"Email":"jane@example.com"}`, 200)
		mustBe("after the change back", false)
		change(http.MethodPatch, `{"EmailVerified":true}`, 200)
		change(http.MethodPatch, `{"EmailVerified":false}`, 200)
		mustBe("after the administrator said no", false)
		change(http.MethodPatch, `{"Email":"new@example.com","EmailVerified":true}`, 200)
		mustBe("with the change of the address itself", false)
	})
}

// TestVerifiedEmailByCompany tests that the administrator of a buyer cannot mark an address as
// verified. Otherwise a company could claim any address.
func TestVerifiedEmailByCompany(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		admin := s.NewAdmin(s.Server)
		for _, step := range [][2]string{
			{"/v1/securityprofiles", `{"ID":"boss","Name":"Boss","Roles":["BuyerUserAdmin"]}`},
			{"/v1/securityprofiles/assignments", `{"SecurityProfileID":"boss","BuyerID":"acme","UserID":"john"}`},
		} {
			if got := admin.Do(http.MethodPost, step[0], step[1]); got.Status/100 != 2 {
				t.Fatalf("%s: got %d %s", step[0], got.Status, got.Body)
			}
		}
		boss := s.newBrowser().signedInFor("john", "openid", "BuyerUserAdmin")
		for _, name := range []string{"jane", "john"} {
			got := s.Server.SendJSON(http.MethodPatch, "/v1/buyers/acme/users/"+name, boss.AccessToken, `{"EmailVerified":true}`)
			if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "EmailVerified") {
				t.Errorf("%s: got %d %s, want 400", name, got.Status, got.Body)
			}
		}
		if got := s.Server.SendJSON(http.MethodPatch, "/v1/buyers/acme/users/jane", boss.AccessToken, `{"FirstName":"Janet"}`); got.Status != http.StatusOK {
			t.Errorf("another change: got %d %s, want 200", got.Status, got.Body)
		}
	})
}
