package apply_test

import (
	"strings"
	"testing"
)

// TestPasswordRules tests passwords with the rules that apply after the run, whether the rules
// come from the document or from stored records. A dry run finds the same faults.
func TestPasswordRules(t *testing.T) {
	t.Parallel()
	const (
		long    = "SecurityProfiles: [{ID: p, Name: P, Roles: [MeAdmin], PasswordConfig: {MinimumCharacterCount: 20}, Assignments: [%s]}]\n"
		loose   = "SecurityProfiles: [{ID: p, Name: P, Roles: [MeAdmin], Assignments: [{}, {BuyerID: b}]}]\n"
		general = "AdminUsers[0].Password: does not meet the password rules: at least "
	)
	admin := func(password string) string {
		return "AdminUsers: [{ID: u, Username: u, Password: " + password + "}]\n"
	}
	buyer := func(password string) string {
		return "Buyers: [{ID: b, Name: B, Users: [{ID: u, Username: v, Password: " + password + "}]}]\n"
	}
	with := func(party string) string { return strings.Replace(long, "%s", party, 1) }
	for name, tt := range map[string]struct {
		before, document string
		want             string // beginning of the fault; empty if the document is applied
	}{
		"default profile":            {"", admin("hunter2"), general + "8 characters"},
		"default profile, kept":      {"", admin("hunter2-and-more"), ""},
		"buyer's user":               {"", buyer("hunter2"), "Buyers[0].Users[0].Password: does not meet the password rules: at least 8"},
		"profile of the document":    {"", "authentication_realms: [{id: default, password_profiles: [{id: default, code_length: 9}]}]\n" + admin("hunter2"), general},
		"to all administrators":      {"", with("{}") + admin("hunter2-and-more"), general + "20 characters"},
		"to all administrators only": {"", with("{}") + buyer("hunter2-and-more"), ""},
		"to the buyer":               {"", with("{BuyerID: b}") + buyer("hunter2-and-more"), "Buyers[0].Users[0].Password: "},
		"to the user":                {"", with("{BuyerID: b, UserID: u}") + buyer("hunter2-and-more"), "Buyers[0].Users[0].Password: "},
		"to nobody":                  {"", with("") + buyer("hunter2-and-more") + admin("hunter2-and-more"), ""},
		"assigned before":            {with("{}"), admin("hunter2-and-more"), general + "20 characters"},
		"long enough":                {with("{}"), admin("hunter2-and-much-more-of-it"), ""},
		"withdrawn by the document":  {with("{}, {BuyerID: b}") + buyer("hunter2-and-much-more-of-it"), with("") + admin("hunter2-and-more") + buyer("hunter2-and-less"), ""},
		"loosened by the document":   {with("{}"), loose + admin("hunter2-and-more") + buyer("hunter2-and-more"), ""},
		"a stored password":          {admin("hunter2-and-more"), with("{}") + admin("hunter2-and-more"), general + "20 characters"},
		"a hash":                     {with("{}"), "AdminUsers: [{ID: u, Username: u, PasswordHash: " + hashOfHorse + "}]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			if tt.before != "" {
				db.apply(tt.before)
			}
			db.written()
			for _, dryRun := range []bool{true, false} {
				_, err := db.run(tt.document, dryRun)
				if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
					t.Errorf("dry run %v: got %v, want %q", dryRun, err, tt.want)
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got the password in the fault: %v", err)
				}
			}
			if sql := db.written(); tt.want != "" && len(sql) > 0 {
				t.Errorf("after a refusal: got the writes %q, want none", sql)
			}
		})
	}
}
