package grants

import (
	"errors"
	"time"

	"latchkey/storage"
)

// What keeps a user out, whichever way it comes in.
var (
	errUnknownLogin    = errors.New("no such login")
	errClientInactive  = errors.New("client is not active")
	errUserInactive    = errors.New("user or login is not active")
	errLocked          = errors.New("login is locked")
	errAccountInactive = errors.New("account is not active")
	errNotAdmitted     = errors.New("client does not admit this user")
)

// Admit is the one gate that every path asks: password, one-time password,
// refresh and introspection. It answers nil if the user may be served through
// the client at the time now, and otherwise why not; the reason is for logs,
// never for the caller.
func Admit(c *storage.Client, p *storage.Principal, now time.Time) error {
	switch {
	case !p.Known:
		return errUnknownLogin
	case !c.Active:
		return errClientInactive
	case !p.User.Active || !p.Login.Active:
		return errUserInactive
	case p.Lockout.Locked(now):
		return errLocked
	case p.User.Kind != storage.Admin && !p.Account.Active:
		return errAccountInactive
	case !c.Admits(p.User):
		return errNotAdmitted
	}
	return nil
}
