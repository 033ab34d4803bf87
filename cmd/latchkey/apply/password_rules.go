package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// checkPasswords adds a fault for each password that breaks the rules as they
// will be: a login with such a password could not sign in. The rules are those
// of the API, without the history of passwords.
func (p *plan) checkPasswords(ctx context.Context) error {
	for _, planned := range p.passwords {
		rules, err := p.rulesOf(ctx, planned)
		if err != nil {
			return fmt.Errorf("%s: %w", planned.path, err)
		}
		if signin.CheckPassword(rules, planned.value) != nil {
			p.faults.Add(planned.path, "does not meet the password rules: %s", describeRules(rules))
		}
	}
	return nil
}

// rulesOf returns the rules of the password profile, tightened by the security
// profiles that the user will have.
func (p *plan) rulesOf(ctx context.Context, planned plannedPassword) (storage.PasswordRules, error) {
	rules := planned.profile.Rules
	stored, err := p.SecurityProfiles.SecurityProfilesOf(ctx, planned.user)
	if err != nil {
		return rules, err
	}
	for _, id := range stored {
		if of, ok := p.securityProfiles[id]; ok && of.assigned {
			continue // its parties change, see below
		} else if ok {
			rules = rules.Tightened(of.Password)
			continue
		}
		of, err := p.SecurityProfiles.SecurityProfile(ctx, id)
		if err != nil {
			return rules, err
		}
		rules = rules.Tightened(of.Password)
	}
	for _, of := range p.securityProfiles {
		has := func(party storage.Party) bool { return slices.Contains(of.parties, party) }
		if of.assigned && slices.ContainsFunc(storage.PartiesOf(planned.user), has) {
			rules = rules.Tightened(of.Password)
		}
	}
	return rules, nil
}

// describeRules lists what a password needs. It does not say which of the rules a
// password breaks.
func describeRules(r storage.PasswordRules) string {
	needs := []string{fmt.Sprintf("at least %d characters", r.MinLength)}
	for _, rule := range []struct {
		on   bool
		text string
	}{
		{r.UpperCase, "an upper-case letter"},
		{r.LowerCase, "a lower-case letter"},
		{r.Digit, "a digit"},
		{r.Special, "a special character"},
		{r.MaxRepeatedChars > 0, fmt.Sprintf("no character more than %d times in a row", r.MaxRepeatedChars)},
	} {
		if rule.on {
			needs = append(needs, rule.text)
		}
	}
	return strings.Join(needs, ", ")
}
