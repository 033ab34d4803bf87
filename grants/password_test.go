package grants

import (
	"errors"
	"testing"
	"time"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// TestPasswordGrant tests which secrets sign in, and that a failure to mint the token does not
// use the code.
func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	h := &Password{Authenticator: fx.authenticator(t), AccessTokens: fx, RefreshTokens: refreshTokens(), Now: fx.Clock}
	fx.mintErr = errors.New("no key")
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); !errors.Is(err, fx.mintErr) {
		t.Fatalf("got error %v, want the error of Mint", err)
	}
	fx.mintErr = nil
	v := form("username=bob password=12345678")
	answer, err := ask(h, client, GrantPassword, v)
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetExtra("refresh_token") == nil || answer.GetExtra("account_id") != nil || v.Has("password") {
		t.Errorf("got the answer %v, and afterwards the form %v", answer.ToMap(), v)
	}
	token := fx.minted[0]
	if !token.IssuedAt.Equal(start) || !token.ExpiresAt.Equal(start.Truncate(time.Second).Add(10*time.Minute)) || token.FamilyID == "" {
		t.Errorf("got the token %+v", token)
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=12345678")); code(err) != "invalid_grant" {
		t.Errorf("the second use of the code: got %v, want invalid_grant", err)
	}
	fx.Bob().Login.Code = storage.Code{
		ID: "otc_2", Purpose: storage.PurposeResetPassword, ExpiresAt: fx.Now.Add(time.Minute),
		Digest: storage.Digest{Sum: []byte("87654321")},
	}
	if _, err := ask(h, client, GrantPassword, form("username=bob password=87654321")); code(err) != "invalid_grant" {
		t.Errorf("a code for a password reset: got %v, want invalid_grant", err)
	}
	fx.Bob().Rules.MaxAge = time.Hour
	if _, err := ask(h, client, GrantPassword, form("username=bob password="+rightPassword)); code(err) != "invalid_grant" || !errors.Is(err, signin.ErrPasswordExpired) {
		t.Errorf("an expired password: got %v, want invalid_grant", err)
	}
}
