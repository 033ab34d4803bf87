package wire

import (
	"time"

	"latchkey/storage"
)

// TypeToken is the type of an account management authentication token.
const TypeToken = "account_management_authentication_token" // #nosec G101 -- a name, not a secret

// The mechanisms by which a member gets tokens.
const (
	MechanismPassword     = "password"
	MechanismPasswordless = "passwordless"
	MechanismSelfSignup   = "self_signup"
	MechanismRenewal      = TypeToken
	MechanismOIDC         = "oidc"
)

// TokenBody is a request for tokens. The mechanism determines which members it
// needs.
type TokenBody struct {
	Type         *string `json:"type"`
	Mechanism    *string `json:"authentication_mechanism"`
	ProfileID    *string `json:"password_profile_id"`
	Username     *string `json:"username"`
	Password     *string `json:"password"`
	OneTimeToken *string `json:"one_time_password_token"`
	UserFields           // of self_signup
}

// Token is an account management authentication token. It is scoped to one account
// of the member.
type Token struct {
	AccountName string `json:"account_name"`
	AccountID   string `json:"account_id"`
	Token       string `json:"token"`
	Type        string `json:"type"`
	Expires     string `json:"expires"`
}

// CheckCredential returns an *InvalidError if a member is wrong or absent that a
// sign-in needs. name and secret are the name and the value of the member with the
// password or code.
func (b TokenBody) CheckCredential(name string, secret *string) error {
	var c Check
	c.filled("password_profile_id", b.ProfileID, true)
	c.filled("username", b.Username, true)
	c.secret(name, secret, true)
	return c.Err()
}

// Login returns the login that a self-signup asks for.
func (b TokenBody) Login() LoginBody {
	return LoginBody{ProfileID: b.ProfileID, Username: b.Username, Password: b.Password}
}

// NewToken returns a token for an account as it is shown.
func NewToken(account storage.Account, token string, expires time.Time) Token {
	return Token{AccountName: account.Name, AccountID: account.ID, Token: token, Type: TypeToken, Expires: Time(expires)}
}
