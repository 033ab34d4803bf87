package operations

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// furtherDocument contains records that the fixture does not have.
const furtherDocument = `
authentication_realms:
  - {id: default, password_profiles: [{id: digits, enable_one_time_password_token: true, code_alphabet: digits, code_length: 8}]}
  - {id: partners, name: Partners, password_profiles: [{id: partners-otp, username_format: email}]}
SecurityProfiles:
  - {ID: one, Name: One user, Roles: [OrderReader], CustomRoles: [vip], PasswordConfig: {AllowedFailedAttempts: 5}, Assignments: [{BuyerID: acme, UserID: jane}, {SupplierID: mill}]}
Suppliers:
  - {ID: mill, Name: "2001-01-01", xp: {tags: [a, "no"], size: 3.5}, Users: [{ID: sam, Username: "123", Active: false, Locale: de-AT, Phone: "+43 1"}]}
ApiClients:
  - {ID: machine, AppName: Machine, ClientSecret: shop-secret-shop-secret-shop-secret, GrantTypes: [client_credentials], AllowedCredentials: [], Roles: [OrderReader, OrderAdmin]}
  - {ID: limited, AppName: Limited, PasswordProfileID: digits, Active: false, MinimumRequiredRoles: [MeAdmin], Assignments: [{BuyerID: acme}, {SupplierID: mill}]}
MessageSenders:
  - {ID: post, Name: Post, Kind: smtp, MessageTypes: [], FurtherMessageTypes: [AccountLocked], SMTP: {Host: mail.example, From: a@shop.example, Username: u, Password: hidden-in-the-mail}, Assignments: [{}, {SupplierID: mill}]}
account_memberships:
  - {account_id: acme, account_member_id: mill/sam, roles: [Shopper]}
  - {account_id: acme, account_member_id: acme/jane, roles: [BuyerAdmin]}
`

// TestExport tests that an export contains no secrets, is the same each time, and changes
// nothing when it is applied. In an empty database it creates the same records, so that their
// export is the same.
func TestExport(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(furtherDocument)
		w.Command(t, "client", "create", "--name", "By command", "--id", "by-command", "--grant", "client_credentials", "--role", "FullAccess")
		w.Command(t, "client", "create", "--name", "App", "--id", "app", "--public", "--grant", "password")
		file := filepath.Join(t.TempDir(), "export.yaml")
		document := exportTo(t, w.Environ(), file)
		for _, secret := range []string{kit.ClientSecret, kit.SharedKey, kit.Password, "$argon2id", "hidden-in-the-mail"} {
			if strings.Contains(document, secret) {
				t.Errorf("got %q in the export, want no secrets", secret)
			}
		}
		if again := exportTo(t, w.Environ(), file); again != document {
			t.Errorf("got another export the second time:\n%s\n%s", document, again)
		}
		for _, more := range [][]string{nil, {"--prune"}, {"--dry-run"}} {
			if out := w.Command(t, append([]string{"apply", "-f", file}, more...)...); out != "no changes\n" {
				t.Errorf("apply %v of the export: got %s\n%s", more, out, document)
			}
		}
		if !strings.Contains(document, "- id: default") || !strings.Contains(document, `"2001-01-01"`) {
			t.Errorf("got the export %s", document)
		}
		copied := environOf(otherDatabase(t, w.DatabaseURL))
		// Only a sender needs its secrets at once.
		withSecrets := strings.Replace(strings.Replace(document, "ID: sink\n", "ID: sink\n    SharedKey: "+kit.SharedKey+"\n", 1),
			"Host: mail.example\n", "Host: mail.example\n      Password: p\n", 1)
		if err := os.WriteFile(file, []byte(withSecrets), 0o600); err != nil {
			t.Fatal(err)
		}
		mustRun(t, copied, "apply", "-f", file)
		if moved := exportTo(t, copied, file); moved != document {
			t.Errorf("got another export of the other database:\n%s\n%s", document, moved)
		}
		r := mustRun(t, copied, "client", "list", "--output", "json")
		if !strings.Contains(r.Stdout, `"client_id":"machine"`) {
			t.Errorf("got the clients %s", r.Stdout)
		}
	})
}

func exportTo(t *testing.T, environ []string, file string) string {
	t.Helper()
	r := mustRun(t, environ, "export")
	if r.Stderr != "" {
		t.Errorf("export: got %s", r.Stderr)
	}
	if err := os.WriteFile(file, []byte(r.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.Stdout
}

// TestPrune tests that apply --prune lists and then deletes the records that the lists of the
// document do not contain. It does not change lists that are not in the document.
func TestPrune(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(furtherDocument)
		file := filepath.Join(t.TempDir(), "pruned.yaml")
		if err := os.WriteFile(file, []byte(`
SecurityProfiles: []
Buyers: [{ID: acme, Name: Acme Ltd, Users: [{ID: jane, Username: jane, FirstName: Jane, LastName: Doe, Email: jane@example.com}]}]
ApiClients: [{ID: MACHINE, AppName: Machine, GrantTypes: [client_credentials], AllowedCredentials: []}]
account_memberships: []
`), 0o600); err != nil {
			t.Fatal(err)
		}
		const want = `delete account_membership acme/mill/sam
delete ApiClient codes-only
delete ApiClient limited
delete ApiClient other
delete ApiClient shop
delete ApiClient vendor
delete SecurityProfile managing
delete SecurityProfile one
delete SecurityProfile shopping
delete User acme/gone
delete User acme/john
delete User acme/johnny
delete Buyer closed
`
		if out := w.Command(t, "apply", "-f", file); out != "no changes\n" {
			t.Errorf("without --prune: got %s", out)
		}
		for range 2 { // a dry run changes nothing
			if out := w.Command(t, "apply", "-f", file, "--prune", "--dry-run"); out != want {
				t.Errorf("dry run: got %s", out)
			}
		}
		r := mustRun(t, w.Environ(), "apply", "-f", file, "--prune")
		if r.Stdout != want || !strings.Contains(r.Stderr, "will delete ApiClient shop\n") {
			t.Errorf("prune: got %s%s", r.Stdout, r.Stderr)
		}
		if out := w.Command(t, "apply", "-f", file, "--prune"); out != "no changes\n" {
			t.Errorf("second run: got %s", out)
		}
		document := w.Command(t, "export")
		for text, kept := range map[string]bool{"ID: sink": true, "ID: sam": true, "ID: ada": true, "ID: closed": false, "ID: shop": false, "id: digits": true} {
			if strings.Contains(document, text) != kept {
				t.Errorf("%s kept: got %v, want %v", text, !kept, kept)
			}
		}
		if !strings.Contains(w.Command(t, "audit", "export"), `"action":"apiclient.deleted"`) {
			t.Error("got no audit event of a deletion")
		}
	})
}

// TestSecretsOfDocument tests that secrets can come from the environment and from files, and
// that faults name the line. No error contains a secret.
func TestSecretsOfDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := append(environOf("sqlite:"+filepath.Join(dir, "latchkey.db")), "SHOP_SECRET=from-the-environment-from-the-environment")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("till", "from-a-file-from-a-file-from-a-file-\n")
	file := write("document.yaml", `ApiClients:
  - {ID: shop, AppName: Shop, ClientSecret: "${SHOP_SECRET}", GrantTypes: [client_credentials], Roles: [Shopper]}
  - {ID: till, AppName: Till, ClientSecretFile: till, GrantTypes: [client_credentials], Roles: [Shopper]}
`)
	mustRun(t, environ, "apply", "-f", file)
	if r := mustRun(t, environ, "apply", "-f", file); r.Stdout != "no changes\n" {
		t.Errorf("second run: got %s", r.Stdout)
	}
	w := &kit.Fixture{T: t, DatabaseURL: "sqlite:" + filepath.Join(dir, "latchkey.db"), Inbox: kit.NewInbox(t)}
	n := w.Serve()
	kit.MustIssue(t, "secret of the environment", n.ClientCredentials("shop", "from-the-environment-from-the-environment"))
	kit.MustIssue(t, "secret of a file", n.ClientCredentials("till", "from-a-file-from-a-file-from-a-file-"))
	faulty := write("faulty.yaml", `# a comment
ApiClients:
  - ID: shop
    AppName: Shop
    AccesTokenDuration: 60
    ClientSecret: "${MISSING}"
  - ID: till
    AppName: Till
    ClientSecretFile: nowhere
    ClientSecret: hidden-hidden-hidden-hidden-hidden
`)
	r := kit.TryCommand(t, environ, "apply", "-f", faulty)
	for _, want := range []string{
		faulty + ":5: ApiClients[0].AccesTokenDuration: unknown member; did you mean AccessTokenDuration?",
		faulty + ":6: ApiClients[0].ClientSecret: the variable MISSING is not set in the environment",
		faulty + ":9: ApiClients[1].ClientSecretFile: cannot stand beside ClientSecret",
	} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("got no %q in %s", want, r.Stderr)
		}
	}
	if r.ExitCode != 2 || strings.Contains(r.Stderr, "hidden") {
		t.Errorf("got exit code %d and %s", r.ExitCode, r.Stderr)
	}
}

// TestSchema tests that the schema of the document is JSON and refuses unknown members.
func TestSchema(t *testing.T) {
	t.Parallel()
	var schema struct {
		AdditionalProperties bool
		Properties           map[string]any
	}
	r := mustRun(t, nil, "apply", "schema")
	if err := json.Unmarshal([]byte(r.Stdout), &schema); err != nil || schema.AdditionalProperties || schema.Properties["ApiClients"] == nil {
		t.Errorf("got %v for %s", err, r.Stdout)
	}
}

// TestSenderWarnings tests that apply warns of receivers that outbound_allow refuses, and of
// codes that are sent to two webhooks.
func TestSenderWarnings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := environOf("sqlite:" + filepath.Join(dir, "latchkey.db"))
	file := filepath.Join(dir, "senders.yaml")
	apply := func(document string, more ...string) string {
		if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		return mustRun(t, append(environ, more...), "apply", "-f", file).Stderr
	}
	const one = `MessageSenders: [{ID: one, Name: One, URL: "http://10.1.2.3:8080/{messagetype}", SharedKey: k, MessageTypes: [OneTimePassword], AllowAllBuyers: true}]`
	const refused, twice = "outbound_allow (LATCHKEY_OUTBOUND_ALLOW)", "goes to 2 webhooks, because their senders have AllowAllBuyers: two, one"
	if out := apply(one); !strings.Contains(out, refused) || strings.Contains(out, "webhooks") {
		t.Errorf("private address: got %s", out)
	}
	if out := apply(one, "LATCHKEY_OUTBOUND_ALLOW=10.0.0.0/8"); strings.Contains(out, "warning") {
		t.Errorf("allowed address: got %s", out)
	}
	two := strings.NewReplacer("ID: one", "ID: two", "http://10.1.2.3:8080", "https://hooks.example").Replace(one)
	if out := apply(two, "LATCHKEY_OUTBOUND_ALLOW=10.0.0.0/8"); !strings.Contains(out, twice) || strings.Contains(out, refused) {
		t.Errorf("second webhook: got %s", out)
	}
}
