package wire

import (
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Error is one entry of the Errors array that every refusal below /v1 carries.
// It is a shape of the wire, not an error: see writeError.
type Error struct {
	ErrorCode string
	Message   string
	Data      any
}

// errorBody is the body of every refusal below /v1.
type ErrorBody struct{ Errors []Error }

// passwordRequirements is the Data of a refusal of a password: all rules,
// whichever it breaks.
type passwordRequirements struct {
	MinimumCharacterCount    int
	UpperCaseRequired        bool
	LowerCaseRequired        bool
	SpecialCharacterRequired bool
	NumericRequired          bool
	MaxConsecutiveDupeChars  *int // null: no limit
}

func PasswordRequirementsFromRules(r storage.PasswordRules) passwordRequirements {
	return passwordRequirements{r.MinLength, r.UpperCase, r.LowerCase, r.Special, r.Digit, surface.Optional(r.MaxRepeatedChars)}
}
