package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestKeysAreRotatedAndRevoked tests that the pages for rotation and revocation show the effect
// before they change a key. The revoked key has signed the access token of the administrator. The
// session outlasts that token.
func TestKeysAreRotatedAndRevoked(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("root")
		shown := b.open("/console/keys").contains(http.StatusOK, "ES256", "signs")
		if !strings.Contains(shown.body, `<rect class="key-active"`) {
			t.Errorf("got no time line, want one: %s", shown.body)
		}
		signing := regexp.MustCompile(`ES256 key ([-_A-Za-z0-9]+): announced`).FindStringSubmatch(shown.body)
		if signing == nil {
			t.Fatalf("got no ES256 key, want one: %s", shown.body)
		}
		review := b.fill(b.open("/console/keys/+rotate"), "f.Alg", "ES256").contains(http.StatusOK, "ES256: a new key will sign from", "The key "+signing[1]+" stops signing at")
		if got := b.open("/console/keys").text(); strings.Contains(got, "announced") && strings.Count(got, "ES256") > 2 {
			t.Error("before the confirmation: got an announced key, want none")
		}
		b.confirm(review).contains(http.StatusOK, "The next key is", "announced")

		revoke := b.open("/console/keys/"+signing[1]+"/revoke").contains(http.StatusOK, "Every token that the key "+signing[1]+" has signed is refused at once", "is withdrawn from the key set at once")
		b.confirm(revoke)
		b.open("/console/keys").contains(http.StatusOK, "revoked")
		b.open("/console/keys/none/revoke").contains(http.StatusNotFound)
	})
}
