package grants

import "errors"

// Why a grant is refused. The handlers return them wrapped in the fosite error
// of the matching RFC 6749 code, so a foreign server answers correctly without
// knowing them, and ours can tell them apart with errors.Is.
var (
	// ErrCredentials covers every reason that must look alike from outside:
	// unknown user, wrong or used code, wrong password, locked, disabled.
	ErrCredentials = errors.New("invalid username or password")
	// ErrCredentialsMissing says that username or password was not sent.
	ErrCredentialsMissing = errors.New("both username and password are required")
	// ErrInsufficientRoles says that the right user may not sign in here, or
	// that none of the requested roles can be granted.
	ErrInsufficientRoles = errors.New("user does not have the roles required")
	// ErrContextUserRequired says that the client has nobody to act as.
	ErrContextUserRequired = errors.New("default context user required for client credentials grant")
	// ErrRefreshToken covers every reason to refuse a refresh token.
	ErrRefreshToken = errors.New("invalid refresh token")
	// ErrScopeExceeded says that a refresh asked for more than was granted.
	ErrScopeExceeded = errors.New("the requested scope exceeds the scope granted")
	// ErrBusy says that too many attempts wait already; nothing was decided.
	ErrBusy = errors.New("too many attempts are waiting")
)
