package signin

import "errors"

// Why a sign-in is refused, or not decided.
var (
	// ErrCredentials covers every reason that must look alike from outside:
	// unknown user, wrong or used code, wrong password, locked, disabled, and
	// at the account-member grant no member of that account.
	ErrCredentials = errors.New("invalid username or password")
	// ErrPasswordExpired says that the right permanent password is older than
	// it may be. Only who knows it learns that.
	ErrPasswordExpired = errors.New("the password has expired")
	// ErrBusy says that too many attempts wait already; nothing was decided.
	ErrBusy = errors.New("too many attempts are waiting")
)

// Why a permanent password is not changed; see also RuleError.
var (
	// ErrPasswordReused says that the user had that password before.
	ErrPasswordReused = errors.New("the password was used before")
	// ErrPasswordTooSoon says that the present password is younger than it
	// must be to be changed by its user.
	ErrPasswordTooSoon = errors.New("the password was changed too recently")
	// ErrVerification covers every reason to refuse the renewal of a password
	// by code: unknown, locked or inactive user, wrong, used or expired code.
	ErrVerification = errors.New("incorrect verification code or username")
)
