package apply_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/cmd/latchkey/apply"
	"latchkey/oauth/ordercloud/wire"
)

func TestDecodeFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		want      []string // "path: beginning of the problem"
	}{
		{"nothing", "", []string{"the document is empty"}},
		{"not UTF-8", "Buyers: \xff", []string{"the document is not UTF-8"}},
		{"no YAML", "Buyers: [", []string{"yaml: "}},
		{"a list", "[]", []string{"must be an object"}},
		{"two documents", "Buyers: []\n---\nBuyers: []\n", []string{"there is more than one document"}},
		{"key that is not a string", "Buyers:\n- {ID: b, Name: B, xp: {1: x}}\n", []string{"the document has a key that is not a string"}},
		{"repeated key in YAML", "Buyers: []\nBuyers: []\n", []string{"yaml: "}},
		{"repeated key in JSON", `{"Buyers":[],"Buyers":[]}`, []string{"Buyers: occurs twice"}},
		{"alias bomb", aliasBomb(), []string{"yaml: "}},
		{"many faults at once", `
Byers: []
Buyers:
- {ID: b1, name: B, Users: [{Username: jane, Email: 5, Active: "yes"}]}
ApiClients:
- {ID: a, AppName: A, AccessTokenDuration: ten}
`, []string{
			"ApiClients[0].AccessTokenDuration: must be a whole number",
			"Buyers[0].Users[0].Active: must be true or false",
			"Buyers[0].Users[0].Email: must be a string",
			"Buyers[0].name: unknown member; did you mean Name?",
			"Byers: unknown member",
			"Buyers[0].Name: is required",
		}},
		{"many invalid values at once", `
authentication_realms:
- {id: r, type: realm, password_profiles: [{id: p, username_format: phone, code_ttl_seconds: 601, lockout_threshold: 0}]}
SecurityProfiles:
- {ID: s, Name: S, Roles: ["a b"], Assignments: [{SecurityProfileID: other}, {BuyerID: b, SupplierID: s}]}
Buyers:
- {ID: "b 1", Name: B, Users: [{ID: u, Username: "", Password: a, PasswordHash: b, Locale: German please}]}
AdminUsers:
- {ID: root, Username: root, PasswordHash: "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"}
ApiClients:
- {AppName: A, AccessTokenDuration: 601, Assignments: [{}]}
MessageSenders:
- {Name: M, MessageTypes: [], URL: nowhere, SharedKey: k}
account_memberships:
- {roles: [""]}
`, []string{
			"authentication_realms[0].type: must be authentication-realm",
			"authentication_realms[0].password_profiles[0].username_format: must be one of",
			"authentication_realms[0].password_profiles[0].code_ttl_seconds: must be between 30 and 600",
			"authentication_realms[0].password_profiles[0].lockout_threshold: must be between",
			"SecurityProfiles[0].Roles[0]: must be",
			"SecurityProfiles[0].Assignments[0].SecurityProfileID: must be that of the item around it",
			"SecurityProfiles[0].Assignments[1].SupplierID: cannot stand beside",
			"Buyers[0].ID: must be",
			"Buyers[0].Users[0].Username: is required",
			"Buyers[0].Users[0].Locale: must be a language such as de",
			"Buyers[0].Users[0].PasswordHash: password hash refused",
			"Buyers[0].Users[0].PasswordHash: cannot stand beside Password",
			"AdminUsers[0].PasswordHash: password hash refused",
			"ApiClients[0].AccessTokenDuration: must be between 10 and 600",
			"ApiClients[0].Assignments[0].BuyerID: BuyerID or SupplierID is required",
			"MessageSenders[0].MessageTypes: is required",
			"MessageSenders[0].URL: must be an absolute",
			"account_memberships[0].account_id: must not be empty",
			"account_memberships[0].account_member_id: is required",
			"account_memberships[0].roles[0]: must be",
		}},
		{"one ID twice", `
Buyers:
- {ID: b, Name: B, Users: [{Username: "a b"}, {ID: a-b, Username: c}]}
- {Name: b}
Suppliers: [{ID: b, Name: B}]
ApiClients: [{ID: Shop, AppName: A}, {ID: shop, AppName: B}]
`, []string{
			"Buyers[0].Users[1]: has the ID of Buyers[0].Users[0]",
			"Buyers[1]: has the ID of Buyers[0]",
			"ApiClients[1]: has the ID of ApiClients[0]",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := apply.Decode([]byte(tt.doc), apply.Secrets{})
			checkFaults(t, err, tt.want)
		})
	}
}

// checkFaults compares the beginnings of the faults.
func checkFaults(t *testing.T, err error, want []string) {
	t.Helper()
	faults, ok := errors.AsType[wire.Faults](err)
	if !ok && len(want) > 0 {
		t.Fatalf("got %v; want faults", err)
	}
	if len(faults) != len(want) {
		t.Fatalf("got %d faults, want %d:\n%v", len(faults), len(want), faults)
	}
	for i, f := range faults {
		if !strings.HasPrefix(f.String(), want[i]) {
			t.Errorf("got the fault %q, want it to begin with %q", f, want[i])
		}
	}
}

// aliasBomb returns a small document that YAML expands to ten thousand million items.
func aliasBomb() string {
	var text strings.Builder
	text.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		from, to := string(rune('0'+i)), string(rune('1'+i))
		text.WriteString("a" + to + ": &a" + to + " [" + strings.Repeat("*a"+from+", ", 9) + "*a" + from + "]\n")
	}
	return text.String()
}

// TestDecodeFaultsContainNoSecret tests that no fault contains a secret.
func TestDecodeFaultsContainNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	_, err := apply.Decode([]byte(`
AdminUsers:
- {ID: "!", Username: root, Password: `+secret+`, PasswordHash: `+secret+`}
ApiClients:
- {ID: "!", ClientSecret: `+secret+`}
MessageSenders:
- {ID: "!", SharedKey: `+secret+`, URL: "https://u:`+secret+`@x.org"}
`), apply.Secrets{})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v, want an error without the secret", err)
	}
}

// TestDecodeText tests words that YAML does not read as text. Where text is expected they are
// accepted unchanged or refused.
func TestDecodeText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		written string
		want    string // empty if the word is refused
	}{
		{"2001-01-01", "2001-01-01"},
		{"2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"},
		{"yes", "yes"},
		{"'0123'", "0123"},
		{`"a\u00e9\t"`, "aé\t"},
		{"0123", ""},
		{"1e3", ""},
		{"true", ""},
		{"!!binary aGVsbG8=", "hello"},
	}
	for _, tt := range tests {
		t.Run(tt.written, func(t *testing.T) {
			t.Parallel()
			doc, err := apply.Decode([]byte("AdminUsers: [{Username: root, Password: "+tt.written+"}]"), apply.Secrets{})
			if tt.want == "" {
				checkFaults(t, err, []string{"AdminUsers[0].Password: must be a string"})
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := *doc.AdminUsers[0].Password; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodeNamesItems(t *testing.T) {
	t.Parallel()
	doc, err := apply.Decode([]byte(`{"Buyers":[{"Name":" Müller & Co_1 ","Users":[{"Username":"a@x.org"}]}],"ApiClients":[{"AppName":"Shop"}]}`), apply.Secrets{})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{doc.Buyers[0].ID, doc.Buyers[0].Users[0].ID, doc.ApiClients[0].ID}
	if diff := cmp.Diff([]string{"M-ller---Co_1", "a-x-org", "Shop"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("Buyers: [{ID: b, Name: B, Users: [{Username: u}]}]"))
	f.Add([]byte(`{"ApiClients":[{"AppName":"a","Assignments":[{"BuyerID":"b"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := apply.Decode(data, apply.Secrets{})
		if err != nil {
			return
		}
		for _, b := range doc.Buyers {
			if b.ID == "" {
				t.Errorf("%q: got a buyer without an ID", data)
			}
		}
	})
}
