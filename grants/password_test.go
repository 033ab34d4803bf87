package grants

import (
	"errors"
	"testing"
	"time"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// TestPasswordGrant: what the grant takes for a sign-in, and that a token that
// cannot be signed burns no code.
func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	h := &Password{Authenticator: w.authenticator(t), AccessTokens: w, RefreshTokens: refreshTokens(), Now: w.Clock}
	w.mintErr = errors.New("no key")
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); !errors.Is(err, w.mintErr) {
		t.Fatalf("error %v, want that of the signer", err)
	}
	w.mintErr = nil
	v := form("username=bob password=12345678")
	answer, err := ask(h, client, GrantPassword, v)
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetExtra("refresh_token") == nil || answer.GetExtra("account_id") != nil || v.Has("password") {
		t.Errorf("answered %v, form left %v", answer.ToMap(), v)
	}
	token := w.minted[0]
	if !token.IssuedAt.Equal(start) || !token.ExpiresAt.Equal(start.Truncate(time.Second).Add(10*time.Minute)) || token.FamilyID == "" {
		t.Errorf("token %+v", token)
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); code(err) != "invalid_grant" {
		t.Errorf("second use of the code: %v", err)
	}
	w.Bob().Login.Code = storage.Code{
		ID: "otc_2", Purpose: storage.PurposeResetPassword, ExpiresAt: w.Now.Add(time.Minute),
		Digest: storage.Digest{Sum: []byte("87654321")},
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=87654321")); code(err) != "invalid_grant" {
		t.Errorf("a code for resetting the password signed in: %v", err)
	}
	w.Bob().Rules.MaxAge = time.Hour
	if _, err := ask(h, client, GrantPassword, form("username=bob password="+rightPassword)); code(err) != "invalid_grant" || !errors.Is(err, signin.ErrPasswordExpired) {
		t.Errorf("expired password: %v", err)
	}
}
