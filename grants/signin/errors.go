package signin

import "errors"

// Errors of sign-ins.
var (
	// ErrCredentials is the one answer to every wrong or refused credential:
	// unknown user, wrong or used code, wrong password, locked or disabled login.
	ErrCredentials = errors.New("invalid username or password")
	// ErrPasswordExpired means that the right permanent password is older than the
	// rules allow. Only a caller with the right password gets it.
	ErrPasswordExpired = errors.New("the password has expired")
	// ErrBusy means that too many requests are waiting. Nothing was decided.
	ErrBusy = errors.New("too many attempts are waiting")
)

// Errors of setting a permanent password; see also RuleError.
var (
	// ErrPasswordReused means that the user had that password before.
	ErrPasswordReused = errors.New("the password was used before")
	// ErrPasswordTooSoon means that the present password is younger than the rules
	// demand before its user may change it.
	ErrPasswordTooSoon = errors.New("the password was changed too recently")
	// ErrVerification is the one answer to every refused renewal of a password by
	// code: unknown, locked or inactive user, wrong, used or expired code.
	ErrVerification = errors.New("incorrect verification code or username")
)
