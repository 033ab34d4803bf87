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

// The parameters of the account-member grant that stand for a sign-in.
const (
	paramOTP            = "one_time_password"
	paramPassword       = "password"
	paramMemberToken    = "member_token"
	paramSelectionToken = "selection_token"
)

// memberForm is what a request of the account-member grant says.
type memberForm struct {
	username, profileID, accountID string
	credential                     string // the parameter that stands for the sign-in
	secret                         string // its value
}

// readMemberForm reads the form and removes the secrets from it.
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

// check refuses parameters that do not go with the credential.
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

// attempt is the sign-in that the form asks for.
func (f *memberForm) attempt(profileID string, from netip.Addr) signin.Attempt {
	at := signin.Attempt{ProfileID: profileID, Username: f.username, Secret: f.secret, Source: from}
	if f.credential == paramPassword {
		at.Password = true
		return at
	}
	at.OTP, at.Purposes = true, []storage.Purpose{storage.PurposeSignIn, storage.PurposeResetPassword}
	return at
}

// SelectionRequired says that the sign-in succeeded and the user has to choose
// one of several accounts: the client asks again with account_id and the token.
// To a server that does not know it, it is an RFC 6749 §5.2 error with the code
// account_selection_required (OpenID Connect Core §3.1.2.6).
type SelectionRequired struct {
	Token     string           // selection_token; empty: the token that was presented is good for it
	ExpiresIn time.Duration    // of Token
	Accounts  []storage.Member // the first of them, the oldest membership first
	Total     int              // of all
}

// Error implements error.
func (e *SelectionRequired) Error() string { return "one of several accounts has to be chosen" }

// Unwrap returns the answer of a server that does not know the type.
func (e *SelectionRequired) Unwrap() error {
	return &fosite.RFC6749Error{
		ErrorField: "account_selection_required", CodeField: http.StatusBadRequest,
		DescriptionField: "The user is a member of several accounts. Choose one by account_id.",
	}
}
