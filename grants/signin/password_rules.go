package signin

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"latchkey/storage"
)

// RuleError says that a permanent password does not satisfy the rules. It names
// all of them: which one failed would narrow the password down for a bystander,
// and somebody who chooses another needs them all.
type RuleError struct{ Rules storage.PasswordRules }

// Error implements error.
func (e *RuleError) Error() string { return "the password does not meet the security requirements" }

// CheckPassword returns a *RuleError unless the password satisfies the rules
// about what it consists of; how old it may be and what came before it is not
// looked at. Characters are counted in the password's normal form (see
// Hasher.Hash). A special character
// is neither a letter nor a decimal digit. An empty password satisfies no rules.
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

// traits are what rules are about.
type traits struct {
	upper, lower, digit, special bool
	longestRun                   int // of one character
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
