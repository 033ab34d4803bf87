package wire

import (
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/otp"
)

// Sizes of members, in bytes, besides those of package surface.
const (
	maxDescription = 1024
	maxReference   = 2048 // external_ref, URLs
)

// InvalidError says which members of a body are wrong, in the words of Elastic
// Path's documentation: "Validation failed: field 'name' on the 'required' tag."
type InvalidError struct{ Details []string }

// Error implements error.
func (e *InvalidError) Error() string { return strings.Join(e.Details, " ") }

// Invalid returns the *InvalidError of one member and the rule that it breaks.
func Invalid(field, rule string) *InvalidError {
	return &InvalidError{Details: []string{failure(field, rule)}}
}

func failure(field, rule string) string {
	return "Validation failed: field '" + field + "' on the '" + rule + "' tag."
}

// UnsupportedError says that a body asks for something that Elastic Path has and
// this server does not. Its text is the detail of the refusal.
type UnsupportedError string

// Error implements error.
func (e UnsupportedError) Error() string { return string(e) }

// Check collects the faults of the members of a body. A nil value is an absent
// member. The zero value is ready.
type Check struct{ details []string }

// Fail adds the fault that a member breaks a rule.
func (c *Check) Fail(field, rule string) { c.details = append(c.details, failure(field, rule)) }

// Err returns an *InvalidError with all faults, or nil if there are none.
func (c *Check) Err() error {
	if len(c.details) == 0 {
		return nil
	}
	return &InvalidError{Details: c.details}
}

// Between checks that a number is not below low nor above high.
func (c *Check) Between(field string, value *int, low, high int) {
	switch {
	case value == nil:
	case *value < low:
		c.Fail(field, "min")
	case *value > high:
		c.Fail(field, "max")
	}
}

// text checks a line of plain text of at most limit bytes.
func (c *Check) text(field string, value *string, limit int) {
	switch {
	case value == nil:
	case len(*value) > limit:
		c.Fail(field, "max")
	case !surface.IsPlainText(*value):
		c.Fail(field, "printable")
	}
}

// filled checks a text that may not be empty. If required is true it may not be
// absent either.
func (c *Check) filled(field string, value *string, required bool) {
	switch {
	case value == nil && !required:
	case value == nil, strings.TrimSpace(*value) == "":
		c.Fail(field, "required")
	default:
		c.text(field, value, surface.MaxText)
	}
}

func (c *Check) email(field string, value *string, required bool) {
	before := len(c.details)
	c.filled(field, value, required)
	if value != nil && len(c.details) == before && (!surface.IsEmail(*value) || otp.HasInvisible(*value)) {
		c.Fail(field, "email")
	}
}

// secret checks a password or key. No fault repeats its value.
func (c *Check) secret(field string, value *string, required bool) {
	switch {
	case value == nil && !required:
	case value == nil, *value == "":
		c.Fail(field, "required")
	case len(*value) > surface.MaxSecret:
		c.Fail(field, "max")
	}
}

func (c *Check) oneOf(field string, value *string, choices ...string) {
	if value != nil && !slices.Contains(choices, *value) {
		c.Fail(field, "oneof")
	}
}

// redirectURIs checks that each is an https URL, or an http URL of the host
// localhost.
func (c *Check) redirectURIs(field string, uris []string) {
	for _, uri := range uris {
		u, err := url.Parse(uri)
		local := err == nil && u.Scheme == "http" && u.Hostname() == "localhost"
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !local || len(uri) > maxReference || !surface.IsPlainText(uri) {
			c.Fail(field, "uri")
			return
		}
	}
}

// webhookURL checks an absolute URL. It must not contain a username or password,
// because URLs are shown and logged.
func (c *Check) webhookURL(field string, value *string) {
	if value == nil {
		return
	}
	u, ok := surface.ParseHTTPURL(*value)
	if !ok || u.User != nil || len(*value) > maxReference || !surface.IsPlainText(*value) {
		c.Fail(field, "url")
	}
}

// roles checks that each role is a scope-token (RFC 6749 §3.3).
func (c *Check) roles(field string, roles []string) {
	for _, role := range roles {
		if !surface.IsRole(role) {
			c.Fail(field, "role")
			return
		}
	}
}
