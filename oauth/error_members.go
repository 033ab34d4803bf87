package oauth

import (
	"errors"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/storage"
)

// PasswordRequirements are the Data of a refusal of a permanent password, as
// OrderCloud names them. Rules that do not apply are left out.
type PasswordRequirements struct {
	MinimumCharacterCount    int  `json:",omitempty"`
	UpperCaseRequired        bool `json:",omitempty"`
	LowerCaseRequired        bool `json:",omitempty"`
	NumericRequired          bool `json:",omitempty"`
	SpecialCharacterRequired bool `json:",omitempty"`
	MaxConsecutiveDupeCount  int  `json:",omitempty"`
}

// RequirementsOf returns the rules in OrderCloud's words.
func RequirementsOf(r storage.PasswordRules) PasswordRequirements {
	return PasswordRequirements{
		MinimumCharacterCount: r.MinLength, MaxConsecutiveDupeCount: r.MaxRepeatedChars,
		UpperCaseRequired: r.UpperCase, LowerCaseRequired: r.LowerCase,
		NumericRequired: r.Digit, SpecialCharacterRequired: r.Special,
	}
}

// dataOf returns what OrderCloud's clients are told besides the message; nil:
// nothing.
func dataOf(err error) any {
	var e *signin.RuleError
	if errors.As(err, &e) {
		return RequirementsOf(e.Rules)
	}
	return nil
}

// selectionBody is what the account-member grant answers to a user of several
// accounts: a refusal with what there is to choose from.
type selectionBody struct {
	errorBody
	SelectionToken string              `json:"selection_token,omitempty"` // none: the token that was presented is good for it
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
