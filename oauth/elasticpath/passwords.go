package elasticpath

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// minPasswordLength is what Elastic Path demands whatever the password profile
// says.
const minPasswordLength = 8

// PasswordMaker checks and hashes permanent passwords; *signin.Passwords is one.
type PasswordMaker interface {
	// Prepare checks a password that somebody else sets for a login.
	Prepare(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error)
	// PrepareOwn is Prepare for a user who changes its own password.
	PrepareOwn(ctx context.Context, p *storage.Principal, password string) (storage.PasswordChange, error)
}

// passwordFor makes the password of a login that is yet to be stored.
func (c *call) passwordFor(profileID string, u storage.User, l *storage.Login, password string) error {
	rules, err := c.api.cfg.Logins.Rules(c.Context(), profileID, u)
	if err != nil {
		return err
	}
	p := storage.Principal{User: u, Rules: strict(rules)}
	change, err := c.api.cfg.Passwords.Prepare(c.Context(), &p, password)
	if err != nil {
		return err
	}
	l.PasswordHash, l.PasswordSetAt = change.Hash, change.Now
	return nil
}

// newPassword makes another password for a login. A member who sets its own stays
// signed in.
func (c *call) newPassword(l storage.Login, password string) (*storage.PasswordChange, error) {
	p, err := c.api.cfg.Logins.PrincipalOf(c.Context(), l.ID)
	if err != nil {
		return nil, err
	}
	p.Rules = strict(p.Rules)
	if c.holder == nil {
		change, err := c.api.cfg.Passwords.Prepare(c.Context(), &p, password)
		return &change, err
	}
	change, err := c.api.cfg.Passwords.PrepareOwn(c.Context(), &p, password)
	change.KeepSession = c.holder.SessionID
	return &change, err
}

func strict(r storage.PasswordRules) storage.PasswordRules {
	r.MinLength = max(r.MinLength, minPasswordLength)
	return r
}

// passwordRefusal returns the refusal that an error about a password means; nil
// if it means something else.
func passwordRefusal(err error) *refusal {
	var rules *signin.RuleError
	switch {
	case errors.As(err, &rules):
		return refuse(http.StatusUnprocessableEntity, describeRules(rules.Rules))
	case errors.Is(err, signin.ErrPasswordReused):
		return refuse(http.StatusUnprocessableEntity, "The password was used before")
	case errors.Is(err, signin.ErrPasswordTooSoon):
		return refuse(http.StatusUnprocessableEntity, "The password was changed too recently")
	case errors.Is(err, signin.ErrPasswordExpired):
		return refuse(http.StatusUnprocessableEntity, "The password has expired")
	}
	return nil
}

// describeRules tells all rules, so that whoever chooses another password can
// satisfy them at once.
func describeRules(r storage.PasswordRules) string {
	needs := []string{fmt.Sprintf("at least %d characters", max(r.MinLength, 1))}
	for _, rule := range []struct {
		demanded bool
		text     string
	}{
		{r.UpperCase, "an upper case letter"},
		{r.LowerCase, "a lower case letter"},
		{r.Digit, "a digit"},
		{r.Special, "a special character"},
		{r.MaxRepeatedChars > 0, fmt.Sprintf("at most %d equal characters in a row", r.MaxRepeatedChars)},
	} {
		if rule.demanded {
			needs = append(needs, rule.text)
		}
	}
	return "The password must have " + strings.Join(needs, ", ")
}
