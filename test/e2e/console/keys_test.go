package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestKeysAreRotatedAndRevoked tests that both say what they do before they do it. The
// revocation ends the administrator's own access token, whose key it is, and not the session.
func TestKeysAreRotatedAndRevoked(t *testing.T) {
	eachSite(t, func(t *testing.T, s *site) {
		b := s.signIn("root")
		shown := b.open("/console/keys").contains(http.StatusOK, "ES256", "signs")
		if !strings.Contains(shown.body, `<rect class="key-active"`) {
			t.Errorf("no time line: %s", shown.body)
		}
		signing := regexp.MustCompile(`ES256 key ([-_A-Za-z0-9]+): announced`).FindStringSubmatch(shown.body)
		if signing == nil {
			t.Fatalf("no ES256 key: %s", shown.body)
		}
		review := b.fill(b.open("/console/keys/+rotate"), "f.Alg", "ES256").contains(http.StatusOK, "ES256: a new key will sign from", "The key "+signing[1]+" signs no more from")
		if got := b.open("/console/keys").text(); strings.Contains(got, "announced") && strings.Count(got, "ES256") > 2 {
			t.Error("the plan has announced a key")
		}
		b.confirm(review).contains(http.StatusOK, "The next key is", "announced")

		revoke := b.open("/console/keys/"+signing[1]+"/revoke").contains(http.StatusOK, "Every token that the key "+signing[1]+" has signed is refused at once", "is withdrawn from the key set at once")
		b.confirm(revoke)
		b.open("/console/keys").contains(http.StatusOK, "revoked")
		b.open("/console/keys/none/revoke").contains(http.StatusNotFound)
	})
}
