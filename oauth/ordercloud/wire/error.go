package wire

import (
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Error is one entry of the Errors array in the answer to a request that is
// refused.
type Error struct {
	ErrorCode string
	Message   string
	Data      any
}

// ErrorBody is the body of the answer to a request that is refused.
type ErrorBody struct{ Errors []Error }

// passwordRequirements is the Data of an error about a password. It has all rules,
// because the next password must satisfy all.
type passwordRequirements struct {
	MinimumCharacterCount    int
	UpperCaseRequired        bool
	LowerCaseRequired        bool
	SpecialCharacterRequired bool
	NumericRequired          bool
	MaxConsecutiveDupeChars  *int // null: no limit
}

// PasswordRequirementsFromRules returns the rules in OrderCloud's names.
func PasswordRequirementsFromRules(r storage.PasswordRules) passwordRequirements {
	return passwordRequirements{r.MinLength, r.UpperCase, r.LowerCase, r.Special, r.Digit, surface.Optional(r.MaxRepeatedChars)}
}
