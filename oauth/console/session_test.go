package console

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/keys"
	"latchkey/oauth/surface"
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

// TestSignInIsTooOld tests that a sign-in may be as old as SessionIdle, and that an ID token
// without the time of the sign-in is refused.
func TestSignInIsTooOld(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &Console{cfg: Config{SessionIdle: 2 * time.Hour, Runtime: surface.Runtime{Now: func() time.Time { return now }}}}
	token := func(claims string) string { return "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s" }
	signedIn := func(ago time.Duration) string { return token(fmt.Sprintf(`{"auth_time":%d}`, now.Add(-ago).Unix())) }
	for what, test := range map[string]struct {
		idToken string
		want    bool
	}{
		"now":                 {signedIn(0), false},
		"two hours ago":       {signedIn(2 * time.Hour), false},
		"a second earlier":    {signedIn(2*time.Hour + time.Second), true},
		"without auth_time":   {token(`{}`), true},
		"auth_time is a text": {token(`{"auth_time":"1893553445"}`), true},
		"claims are no JSON":  {token(`auth_time`), true},
		"no JWT":              {"auth_time", true},
		"no ID token":         {"", true},
	} {
		if got := c.isTooOld(test.idToken); got != test.want {
			t.Errorf("%s: got %v, want %v", what, got, test.want)
		}
	}
}
