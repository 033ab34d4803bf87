package signin

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"latchkey/storage"
)

// RuleError means that a permanent password breaks the rules. It names all rules, because
// a user who chooses another password needs all of them. To name only the broken ones
// would reveal something about the password.
type RuleError struct{ Rules storage.PasswordRules }

// Error implements error.
func (e *RuleError) Error() string { return "the password does not meet the security requirements" }

// CheckPassword returns a *RuleError if the characters of the password break the rules.
// It does not check age and history. Characters are counted in the password's normal
// form, see Hasher.Hash. A special character is neither a letter nor a decimal digit.
// An empty password breaks any rules.
func CheckPassword(rules storage.PasswordRules, password string) error {
	password = norm.NFKC.String(password)
	has := traitsOf(password)
	switch {
	case password == "", utf8.RuneCountInString(password) < rules.MinLength,
		rules.UpperCase && !has.upper, rules.LowerCase && !has.lower,
		rules.Digit && !has.digit, rules.Special && !has.special,
		rules.MaxRepeatedChars > 0 && has.longestRun > rules.MaxRepeatedChars:
		return &RuleError{Rules: rules}
	}
	return nil
}

// traits are the properties of a password that rules depend on.
type traits struct {
	upper, lower, digit, special bool
	longestRun                   int // characters in a row that are the same
}

func traitsOf(password string) traits {
	var t traits
	last, run := rune(-1), 0
	for _, c := range password {
		t.upper = t.upper || unicode.IsUpper(c)
		t.lower = t.lower || unicode.IsLower(c)
		t.digit = t.digit || unicode.IsDigit(c)
		t.special = t.special || !unicode.IsLetter(c) && !unicode.IsDigit(c)
		if c != last {
			last, run = c, 0
		}
		run++
		t.longestRun = max(t.longestRun, run)
	}
	return t
}
