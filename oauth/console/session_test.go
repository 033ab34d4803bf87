package console

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"latchkey/keys"
)

// TestSessionFitsIntoCookie tests that the tokens of an administrator with 200 roles fit into the
// cookie and are read from it unchanged.
func TestSessionFitsIntoCookie(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	sealer, err := keys.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &Console{cfg: Config{Sealer: sealer}}
	token := func(claims string) string {
		signature := make([]byte, 64)
		_, _ = rand.Read(signature)
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"ES256","kid":"2026-11-30T00:00:00Z","typ":"at+jwt"}`)) + "." + encode([]byte(claims)) + "." + encode(signature)
	}
	var roles []string
	for i := range 200 {
		roles = append(roles, fmt.Sprintf("%cRoleNumber%dAdmin", 'A'+i%26, i))
	}
	s := session{
		Access:  token(`{"scope":"openid ` + strings.Join(roles, " ") + `","role":["` + strings.Join(roles, `","`) + `"],"iss":"https://id.example.com"}`),
		ID:      token(`{"iss":"https://id.example.com","sub":"usr_0123456789","nonce":""}`),
		Refresh: strings.Repeat("r", 60), Until: 1,
	}
	value, err := c.pack(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.unpack(value)
	if err != nil || got != s {
		t.Errorf("got %+v, error %v, want %+v", got, err, s)
	}
	changed := []byte(value)
	if changed[50]++; changed[50] > 'z' {
		changed[50] = 'a'
	}
	if _, err := c.unpack(string(changed)); err == nil {
		t.Error("got no error for a changed cookie, want one")
	}
}
