package ordercloud

import (
	"errors"
	"net/http"

	"latchkey/grants/signin"
	"latchkey/oauth/ordercloud/wire"
)

var (
	errVerification = refuse(http.StatusBadRequest, "PasswordReset.InvalidVerification", "Incorrect verification code or username.")
	errReused       = refuse(http.StatusBadRequest, "PasswordReset.CannotReusePassword", "The password was used before.")
	errTooSoon      = refuse(http.StatusBadRequest, "PasswordReset.TooSoonToChange", "The password was changed too recently.")
)

// passwordRefusal returns OrderCloud's refusal for an error of package signin about a new
// password. It returns other errors unchanged.
func passwordRefusal(err error) error {
	var broken *signin.RuleError
	switch {
	case errors.As(err, &broken):
		return refuseWith(http.StatusBadRequest, "PasswordReset.InsecurePassword", "Password does not meet security requirements.",
			wire.PasswordRequirementsFromRules(broken.Rules))
	case errors.Is(err, signin.ErrVerification):
		return errVerification
	case errors.Is(err, signin.ErrPasswordReused):
		return errReused
	case errors.Is(err, signin.ErrPasswordTooSoon):
		return errTooSoon
	}
	return err
}
