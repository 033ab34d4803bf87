package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/otp"
)

// Sizes of members, in bytes. Longer ones are refused.
const (
	maxID     = surface.MaxID
	maxText   = surface.MaxText
	maxSecret = surface.MaxSecret
	maxXP     = 64 << 10

	MaxXPDepth = 32
)

// messageTypePlaceholder in the URL of a sender is replaced by the type of the
// message in lower case.
const messageTypePlaceholder = "{messagetype}"

// check collects the faults of one resource.
type check struct {
	path   string
	faults Faults
}

func (c *check) fail(field, format string, args ...any) {
	c.faults.Add(Join(c.path, field), format, args...)
}

// failAs adds a fault for which OrderCloud has its own code and message.
func (c *check) failAs(code, field, message string) {
	c.faults = append(c.faults, Fault{Path: Join(c.path, field), Problem: message, Code: code})
}

// id checks an identifier. An empty one is accepted: the server chooses one.
func (c *check) id(field, value string) {
	if len(value) > maxID || strings.ContainsFunc(value, func(r rune) bool { return !idRune(r) }) {
		c.fail(field, "must be 1 to %d of the characters A-Z, a-z, 0-9, - and _", maxID)
	}
}

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// text checks a line of plain text.
func (c *check) text(field, value string) {
	switch {
	case len(value) > maxText:
		c.fail(field, "longer than %d bytes", maxText)
	case !surface.IsPlainText(value):
		c.fail(field, "must not contain control characters")
	}
}

// visible checks that a name has no invisible characters.
func (c *check) visible(field, name string) {
	if otp.HasInvisible(name) {
		c.fail(field, "must not contain invisible characters")
	}
}

func (c *check) required(field, value string) {
	if strings.TrimSpace(value) == "" {
		c.fail(field, "is required")
		return
	}
	c.text(field, value)
}

func (c *check) between(field string, value *int, low, high int) {
	if value != nil && (*value < low || *value > high) {
		c.fail(field, "must be between %d and %d", low, high)
	}
}

// roles checks that each role is a scope-token of RFC 6749 §3.3.
func (c *check) roles(field string, roles []string) {
	for i, role := range roles {
		if !surface.IsRole(role) {
			c.fail(Index(field, i), `must be 1 to %d printable ASCII characters without space, " and \`, maxID)
		}
	}
}

func (c *check) oneOf(field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		c.fail(field, "must be one of %s", strings.Join(choices, ", "))
	}
}

func (c *check) eachOneOf(field string, values []string, choices ...string) {
	for i, value := range values {
		c.oneOf(Index(field, i), value, choices...)
	}
}

// url checks an absolute URL. A user name or password in it is refused, because
// URLs are shown and logged.
func (c *check) url(field, value string) {
	u, ok := surface.ParseHTTPURL(strings.ReplaceAll(value, messageTypePlaceholder, "type"))
	if !ok {
		c.fail(field, "must be an absolute http or https URL")
		return
	}
	if u.User != nil {
		c.fail(field, "must not contain a user name or password")
	}
	c.text(field, value)
}

func (c *check) email(field, value string) {
	if !surface.IsEmail(value) {
		c.fail(field, "must be an e-mail address")
		return
	}
	c.text(field, value)
	c.visible(field, value)
}

// xp checks the administrator's own data. It must be an object, as in OrderCloud,
// and both databases must be able to search it.
func (c *check) xp(value json.RawMessage) {
	switch {
	case len(value) > maxXP:
		c.fail("xp", "longer than %d bytes", maxXP)
	case len(value) > 0 && value[0] != '{':
		c.fail("xp", "must be an object")
	case !searchable(value):
		c.fail("xp", "is nested more than %d deep, or has a number or a character that cannot be kept", MaxXPDepth)
	}
}

// searchable reports whether PostgreSQL's jsonb and SQLite's functions can read a
// document. One record that they cannot read would make every list filtered by xp
// fail.
func searchable(document json.RawMessage) bool {
	in := json.NewDecoder(bytes.NewReader(document))
	in.UseNumber()
	for depth := 0; ; {
		token, err := in.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '{' || token == '[' {
				depth++
			} else {
				depth--
			}
		case json.Number:
			if _, err := token.Float64(); err != nil {
				return false
			}
		case string: // half a surrogate pair decodes to a replacement character
			if strings.ContainsAny(token, "\x00\uFFFD") {
				return false
			}
		}
		if depth > MaxXPDepth {
			return false
		}
	}
}

// secret checks a password or key. A fault never shows its value.
func (c *check) secret(field string, value *string, ifEmpty string) {
	switch {
	case value == nil:
	case *value == "":
		c.fail(field, "must not be empty; %s", ifEmpty)
	case len(*value) > maxSecret:
		c.fail(field, "longer than %d bytes", maxSecret)
	}
}

// CheckID returns the faults of an identifier that must not be empty. path is its
// place in the document.
func CheckID(path, id string) Faults {
	var c check
	c.reference(path, &id)
	return c.faults
}

// CheckRoles returns the faults of a list of roles. path is its place in the
// document.
func CheckRoles(path string, roles []string) Faults {
	var c check
	c.roles(path, roles)
	return c.faults
}

// present returns the document, or nil for an empty one, which JSON shows as null.
func present(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return nil
	}
	return doc
}

// party checks the buyer or supplier of an assignment.
func (c *check) party(buyer, supplier *string) {
	c.reference("BuyerID", buyer)
	c.reference("SupplierID", supplier)
	if buyer != nil && supplier != nil {
		c.fail("SupplierID", "cannot stand beside BuyerID; make two assignments")
	}
}

// reference checks the ID of another resource. An empty one is refused: an
// assignment without it would be for all users.
func (c *check) reference(field string, id *string) {
	if id == nil {
		return
	}
	if *id == "" {
		c.fail(field, "must not be empty")
		return
	}
	c.id(field, *id)
}

func (c *check) noGroups(group *string) {
	if surface.ValueOr(group, "") != "" {
		c.fail("UserGroupID", "user groups are not supported")
	}
}
