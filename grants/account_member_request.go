package grants

import (
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// The parameters of the account-member grant that authenticate the user.
const (
	paramOTP            = "one_time_password"
	paramPassword       = "password"
	paramMemberToken    = "member_token"
	paramSelectionToken = "selection_token"
)

// memberForm is a parsed request of the account-member grant.
type memberForm struct {
	username, profileID, accountID string
	credential                     string // the parameter that authenticates the user
	secret                         string // its value
}

// readMemberForm parses the form and removes the secrets from it.
func readMemberForm(form url.Values) (memberForm, error) {
	f := memberForm{
		username: form.Get("username"), profileID: form.Get("password_profile_id"), accountID: form.Get("account_id"),
	}
	presented := 0
	for _, name := range []string{paramOTP, paramPassword, paramMemberToken, paramSelectionToken} {
		if value := form.Get(name); value != "" {
			f.credential, f.secret = name, value
			presented++
		}
		form.Del(name)
	}
	if presented != 1 {
		return f, malformed("Exactly one of one_time_password, password, member_token and selection_token is required.")
	}
	return f, f.check()
}

// check refuses parameters that are missing or do not fit the credential.
func (f *memberForm) check() error {
	byName := f.credential == paramOTP || f.credential == paramPassword
	switch {
	case byName && f.username == "":
		return malformed("The parameter username is missing.")
	case !byName && (f.username != "" || f.profileID != ""):
		return malformed("The parameters username and password_profile_id do not go with a token.")
	case f.credential == paramSelectionToken && f.accountID == "":
		return malformed("The parameter account_id is missing.")
	}
	return nil
}

// attempt returns the attempt to sign in with the form's username and secret.
func (f *memberForm) attempt(profileID string, from netip.Addr) signin.Attempt {
	at := signin.Attempt{ProfileID: profileID, Username: f.username, Secret: f.secret, Source: from, Grant: GrantAccountMember}
	if f.credential == paramPassword {
		at.Password = true
		return at
	}
	at.OTP, at.Purposes = true, []storage.Purpose{storage.PurposeSignIn, storage.PurposeResetPassword}
	return at
}

// SelectionRequired is the error if the sign-in succeeded and the user must choose one of
// several accounts. The client asks again with account_id and the token. It unwraps to
// an RFC 6749 §5.2 error with the code account_selection_required (OpenID Connect Core
// §3.1.2.6), for servers that do not know the type.
type SelectionRequired struct {
	Token     string           // for the parameter selection_token; empty: present the same member_token again
	ExpiresIn time.Duration    // life of Token
	Accounts  []storage.Member // at most maxListedAccounts, the oldest membership first
	Total     int              // number of accounts of the user
}

// Error implements error.
func (e *SelectionRequired) Error() string { return "one of several accounts has to be chosen" }

// Unwrap returns the error for servers that do not know the type.
func (e *SelectionRequired) Unwrap() error {
	return &fosite.RFC6749Error{
		ErrorField: "account_selection_required", CodeField: http.StatusBadRequest,
		DescriptionField: "The user is a member of several accounts. Choose one by account_id.",
	}
}
