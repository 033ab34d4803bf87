package elasticpath

import (
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"latchkey/otp"
)

// Sizes, in bytes, beyond which a member is refused.
const (
	maxText        = otp.MaxNameBytes // so that every name that is stored can be asked for
	maxDescription = 1024
	maxReference   = 2048 // external_ref
	maxSecret      = 1024
	maxID          = 100
)

// check collects the faults of a body, in the words of the documentation:
// "Validation failed: field 'name' on the 'required' tag."
type check struct{ details []string }

func (c *check) fail(field, tag string) {
	c.details = append(c.details, validation(field, tag))
}

func validation(field, tag string) string {
	return "Validation failed: field '" + field + "' on the '" + tag + "' tag."
}

// err returns the refusal that tells all faults, or nil without any.
func (c *check) err() error {
	if len(c.details) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, c.details...)
}

// text checks a line of plain text of at most limit bytes; nil is one.
func (c *check) text(field string, value *string, limit int) {
	switch {
	case value == nil:
	case len(*value) > limit:
		c.fail(field, "max")
	case !plain(*value):
		c.fail(field, "printable")
	}
}

func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// filled checks a text that may be absent but not empty; with required it may
// not be absent either.
func (c *check) filled(field string, value *string, required bool) {
	switch {
	case value == nil && !required:
	case value == nil, strings.TrimSpace(*value) == "":
		c.fail(field, "required")
	default:
		c.text(field, value, maxText)
	}
}

func (c *check) email(field string, value *string, required bool) {
	before := len(c.details)
	c.filled(field, value, required)
	if value != nil && len(c.details) == before && !isEmail(*value) {
		c.fail(field, "email")
	}
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !otp.HasInvisible(s)
}

// secret checks a password or key, whose value no fault may tell.
func (c *check) secret(field string, value *string, required bool) {
	switch {
	case value == nil && !required:
	case value == nil, *value == "":
		c.fail(field, "required")
	case len(*value) > maxSecret:
		c.fail(field, "max")
	}
}

func (c *check) oneOf(field string, value *string, choices ...string) {
	if value != nil && !slices.Contains(choices, *value) {
		c.fail(field, "oneof")
	}
}

func (c *check) between(field string, value *int, low, high int) {
	switch {
	case value == nil:
	case *value < low:
		c.fail(field, "min")
	case *value > high:
		c.fail(field, "max")
	}
}

// redirectURIs checks that each is https, or http on this very machine
// (contract section 4).
func (c *check) redirectURIs(field string, uris []string) {
	for _, uri := range uris {
		u, err := url.Parse(uri)
		local := err == nil && u.Scheme == "http" && u.Hostname() == "localhost"
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !local || len(uri) > maxReference || !plain(uri) {
			c.fail(field, "uri")
			return
		}
	}
}

// webhookURL checks an absolute URL. It may not carry a user's name or password: URLs
// are shown and logged.
func (c *check) webhookURL(field string, value *string) {
	if value == nil {
		return
	}
	u, err := url.Parse(*value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(*value) > maxReference || !plain(*value) {
		c.fail(field, "url")
	}
}

// roles checks that each role is a scope-token of RFC 6749 §3.3.
func (c *check) roles(field string, roles []string) {
	for _, role := range roles {
		bad := strings.ContainsFunc(role, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
		if role == "" || len(role) > maxID || bad {
			c.fail(field, "role")
			return
		}
	}
}
