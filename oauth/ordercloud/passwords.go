package ordercloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"latchkey/grants/signin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// Passwords sets permanent passwords; *signin.Passwords is one.
type Passwords interface {
	surface.PasswordMaker
	// Change sets the password of a signed-in user, whose sessions end except
	// keepSession.
	Change(ctx context.Context, p *storage.Principal, password, keepSession string) error
	// Renew sets a forgotten password by a verification code.
	Renew(ctx context.Context, c *storage.Client, r signin.Renewal) error
}

// Codes takes requests for codes and messages; *otp.Service is one.
type Codes interface {
	// Request writes down that somebody wants codes or messages through the
	// client.
	Request(ctx context.Context, client storage.Client, r otp.Request) error
	// Invitation returns the request that invites a user, to be written down
	// together with it.
	Invitation(ctx context.Context, r otp.Request) (storage.CodeRequest, error)
	// Wake makes it look for requests at once.
	Wake()
}

var (
	errVerification = refuse(http.StatusBadRequest, "PasswordReset.InvalidVerification", "Incorrect verification code or username.")
	errReused       = refuse(http.StatusBadRequest, "PasswordReset.CannotReusePassword", "The password was used before.")
	errTooSoon      = refuse(http.StatusBadRequest, "PasswordReset.TooSoonToChange", "The password was changed too recently.")
)

// passwordRefusal says in the dialect's words why a password was not set; what
// is no refusal passes unchanged.
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

// checkOrigins finds fault with what is no origin of a site (RFC 6454 §4).
func checkOrigins(origins []string) error {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o != u.Scheme+"://"+u.Host {
			return fmt.Errorf("%q is not like https://shop.example.com", o)
		}
	}
	return nil
}
