package signin

import (
	"errors"
	"strings"
	"testing"

	"latchkey/storage"
)

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules    storage.PasswordRules
		password string
		good     bool
	}{
		"no rules":                          {password: "x", good: true},
		"no rules, nothing":                 {password: ""},
		"long enough":                       {storage.PasswordRules{MinLength: 4}, "abcd", true},
		"too short":                         {storage.PasswordRules{MinLength: 4}, "abc", false},
		"characters, not bytes":             {storage.PasswordRules{MinLength: 4}, "äöü", false},
		"as many characters of many bytes":  {storage.PasswordRules{MinLength: 4}, "äöü€", true},
		"upper case":                        {storage.PasswordRules{UpperCase: true}, "aBc", true},
		"upper case of another script":      {storage.PasswordRules{UpperCase: true}, "Ж", true},
		"no upper case":                     {storage.PasswordRules{UpperCase: true}, "abc1!", false},
		"lower case":                        {storage.PasswordRules{LowerCase: true}, "ABc", true},
		"no lower case":                     {storage.PasswordRules{LowerCase: true}, "ABC1!", false},
		"digit":                             {storage.PasswordRules{Digit: true}, "a1", true},
		"no digit":                          {storage.PasswordRules{Digit: true}, "aB!", false},
		"special":                           {storage.PasswordRules{Special: true}, "a!", true},
		"a space is special":                {storage.PasswordRules{Special: true}, "a b", true},
		"a symbol is special":               {storage.PasswordRules{Special: true}, "a€", true},
		"an accented letter is not special": {storage.PasswordRules{Special: true}, "aé1", false},
		"run allowed":                       {storage.PasswordRules{MaxRepeatedChars: 2}, "aabbaa", true},
		"run too long":                      {storage.PasswordRules{MaxRepeatedChars: 2}, "abbb", false},
		"run at the start":                  {storage.PasswordRules{MaxRepeatedChars: 1}, "aab", false},
		"run of a long character":           {storage.PasswordRules{MaxRepeatedChars: 1}, "a€€", false},
		"no run of one kind":                {storage.PasswordRules{MaxRepeatedChars: 1}, "aAaA", true},
		"beyond what bcrypt reads":          {storage.PasswordRules{Digit: true}, strings.Repeat("ab", 50) + "1", true},
		"ages and history do not matter":    {storage.PasswordRules{MinAge: 1, MaxAge: 1, History: 9}, "x", true},
	}
	for name, tt := range tests {
		err := CheckPassword(tt.rules, tt.password)
		var weak *RuleError
		if (err == nil) != tt.good || err != nil && (!errors.As(err, &weak) || weak.Rules != tt.rules) {
			t.Errorf("%s: got error %v, want good: %v, broken rules %v", name, err, tt.good, tt.rules)
		}
	}
}
