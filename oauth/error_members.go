package oauth

import (
	"errors"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/storage"
)

// PasswordRequirements is the Data of a refused permanent password, in OrderCloud's
// names. Rules that do not apply are left out.
type PasswordRequirements struct {
	MinimumCharacterCount    int  `json:",omitempty"`
	UpperCaseRequired        bool `json:",omitempty"`
	LowerCaseRequired        bool `json:",omitempty"`
	NumericRequired          bool `json:",omitempty"`
	SpecialCharacterRequired bool `json:",omitempty"`
	MaxConsecutiveDupeCount  int  `json:",omitempty"`
}

// RequirementsOf returns the password rules in OrderCloud's names.
func RequirementsOf(r storage.PasswordRules) PasswordRequirements {
	return PasswordRequirements{
		MinimumCharacterCount: r.MinLength, MaxConsecutiveDupeCount: r.MaxRepeatedChars,
		UpperCaseRequired: r.UpperCase, LowerCaseRequired: r.LowerCase,
		NumericRequired: r.Digit, SpecialCharacterRequired: r.Special,
	}
}

// dataOf returns the Data of an error for OrderCloud's clients, or nil.
func dataOf(err error) any {
	var e *signin.RuleError
	if errors.As(err, &e) {
		return RequirementsOf(e.Rules)
	}
	return nil
}

// selectionBody is the answer of the account-member grant to a user with several
// accounts: a refusal with the accounts that the user can choose.
type selectionBody struct {
	errorBody
	SelectionToken string              `json:"selection_token,omitempty"` // empty: the token of the request can be used again
	ExpiresIn      int64               `json:"expires_in,omitempty"`      // of the selection token
	Accounts       []selectableAccount `json:"accounts,omitempty"`
	AccountsTotal  int                 `json:"accounts_total,omitempty"` // may be more than are listed
}

type selectableAccount struct {
	AccountID    string   `json:"account_id"`
	AccountName  string   `json:"account_name"`
	AccountRoles []string `json:"account_roles"`
}

func selection(refused errorBody, choice *grants.SelectionRequired) selectionBody {
	body := selectionBody{
		errorBody: refused, SelectionToken: choice.Token, ExpiresIn: int64(choice.ExpiresIn.Seconds()),
		Accounts: make([]selectableAccount, len(choice.Accounts)), AccountsTotal: choice.Total,
	}
	for i, m := range choice.Accounts {
		body.Accounts[i] = selectableAccount{m.Account.ID, m.Account.Name, append([]string{}, m.Membership.Roles...)}
	}
	return body
}
