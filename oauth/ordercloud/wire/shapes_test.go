package wire

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// TestApiClientDefaults tests that a client without further members behaves as an API client of
// OrderCloud.
func TestApiClientDefaults(t *testing.T) {
	t.Parallel()
	got := decodeValid[ApiClient](t, `{"AppName":"Shop"}`).ToRecord(storage.Client{})
	want := storage.Client{
		Name: "Shop", Active: true, Public: true, ProfileID: "default",
		GrantTypes:          []string{"client_credentials", "password", "refresh_token"},
		Credentials:         storage.Credentials{OTP: true, Password: true},
		RequiresContextUser: true, AccessTokenTTL: 10 * time.Hour, AnonymousTokenTTL: 7 * 24 * time.Hour,
		ReuseRefreshTokens: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestApiClientExtras(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		reuse     bool
		want      storage.Credentials
	}{
		{"none", `{"AppName":"a"}`, true, storage.Credentials{OTP: true, Password: true}},
		{"grant types", `{"AppName":"a","GrantTypes":["password"]}`, false, storage.Credentials{OTP: true, Password: true}},
		{"credentials", `{"AppName":"a","AllowedCredentials":["otp"]}`, false, storage.Credentials{OTP: true}},
		{"no credentials", `{"AppName":"a","AllowedCredentials":[]}`, false, storage.Credentials{}},
		{"rotation alone", `{"AppName":"a","RefreshTokenRotation":true}`, false, storage.Credentials{OTP: true, Password: true}},
		{"rotation off", `{"AppName":"a","AllowedCredentials":["password"],"RefreshTokenRotation":false}`, true, storage.Credentials{Password: true}},
		{"another extra", `{"AppName":"a","SigningAlg":"RS256"}`, true, storage.Credentials{OTP: true, Password: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := decodeValid[ApiClient](t, tt.doc).ToRecord(storage.Client{})
			if got.ReuseRefreshTokens != tt.reuse || got.Credentials != tt.want {
				t.Errorf("got reuse %v, credentials %+v; want %v, %+v", got.ReuseRefreshTokens, got.Credentials, tt.reuse, tt.want)
			}
		})
	}
}

// TestApiClientToRecordKeeps tests that an update keeps the fields that the JSON does not
// contain.
func TestApiClientToRecordKeeps(t *testing.T) {
	t.Parallel()
	base := storage.Client{
		ID: "Shop", Roles: []string{"FullAccess"}, AccountUIDs: []string{"acc_1"}, Version: 7,
		Secrets: []storage.ClientSecret{{ID: "s"}}, CreatedAt: time.Unix(1, 0),
	}
	got := ApiClient{ID: "sHOP", AppName: "New"}.ToRecord(base)
	if got.ID != "Shop" || got.Version != 7 || got.Public || got.Name != "New" || !got.CreatedAt.Equal(base.CreatedAt) {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]any{base.Roles, base.AccountUIDs, base.Secrets}, []any{got.Roles, got.AccountUIDs, got.Secrets}); diff != "" {
		t.Error(diff)
	}
}

func TestRolesMergeAndSplit(t *testing.T) {
	t.Parallel()
	c := ApiClient{
		MinimumRequiredRoles: []string{"Shopper", "Shopper"}, MinimumRequiredCustomRoles: []string{"vip"},
		MaximumGrantedRoles: []string{"Shopper", "MeAdmin"}, MaximumGrantedCustomRoles: []string{"vip"},
	}
	r := c.ToRecord(storage.Client{})
	if diff := cmp.Diff([][]string{{"Shopper", "vip"}, {"MeAdmin", "Shopper", "vip"}}, [][]string{r.MinimumRoles, r.MaximumRoles}); diff != "" {
		t.Error(diff)
	}
	back := ApiClientFromRecord(r)
	want := [][]string{{"Shopper"}, {"vip"}, {"MeAdmin", "Shopper"}, {"vip"}}
	if diff := cmp.Diff(want, [][]string{back.MinimumRequiredRoles, back.MinimumRequiredCustomRoles, back.MaximumGrantedRoles, back.MaximumGrantedCustomRoles}); diff != "" {
		t.Error(diff)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	long := string(make([]byte, 101))
	tests := []struct {
		name   string
		faults Faults
		want   []string // paths of the faults
	}{
		{"client", ApiClient{ID: "a b", AccessTokenDuration: new(9), RefreshTokenDuration: new(524161), GrantTypes: []string{"password", "device"}, AllowedCredentials: []string{"sms"}, SigningAlg: new("none"), MinimumRequiredRoles: []string{"a b"}, MaximumGrantedCustomRoles: []string{"ok", `"`}, ClientSecret: new(""), IsAnonBuyer: true, XP: json.RawMessage("1")}.Validate("ApiClients[0]"), []string{
			"ID", "AppName", "ClientSecret", "AccessTokenDuration", "RefreshTokenDuration", "IsAnonBuyer", "xp",
			"MinimumRequiredRoles[0]", "MaximumGrantedCustomRoles[1]", "GrantTypes[1]", "AllowedCredentials[0]", "SigningAlg",
		}},
		{"reserved client id", ApiClient{ID: "USR_x", AppName: "a"}.Validate("ApiClients[0]"), []string{"ID"}},
		{"long client id", ApiClient{ID: long, AppName: "a"}.Validate("ApiClients[0]"), []string{"ID"}},
		{"client assignment", ApiClientAssignment{}.Validate("ApiClients[0]"), []string{"BuyerID"}},
		{"client assignment to two", ApiClientAssignment{BuyerID: new("b"), SupplierID: new("s")}.Validate("ApiClients[0]"), []string{"SupplierID"}},
		{"profile", SecurityProfile{Roles: []string{""}, PasswordConfig: &PasswordConfig{AllowedFailedAttempts: new(0), LockoutDuration: new(-1), MaximumPasswordAge: new(3651), MinimumPasswordAge: new(-1), LimitPasswordReuse: new(25)}}.Validate("ApiClients[0]"), []string{
			"Name", "Roles[0]", "PasswordConfig.AllowedFailedAttempts", "PasswordConfig.LockoutDuration",
			"PasswordConfig.LimitPasswordReuse", "PasswordConfig.MaximumPasswordAge", "PasswordConfig.MinimumPasswordAge",
		}},
		{"profile assignment", SecurityProfileAssignment{BuyerID: new(""), UserGroupID: new("g")}.Validate("ApiClients[0]"), []string{"BuyerID", "UserGroupID"}},
		{"buyer", Buyer{ID: "ä"}.Validate("ApiClients[0]"), []string{"ID", "Name"}},
		{"supplier", Supplier{Name: "a\x00b"}.Validate("ApiClients[0]"), []string{"Name"}},
		{"user", User{Username: " ", Email: "Bob <b@x.org>", Password: new(""), Phone: new("1\n2"), PasswordProfileID: new("")}.Validate("ApiClients[0]"), []string{"Username", "Password", "Email", "Phone", "PasswordProfileID"}},
		{"user without a name", User{Username: "bob"}.Validate(""), nil},
		{"sender", MessageSender{MessageTypes: []string{"SMS", "OneTimePassword"}, URL: new("ftp://x"), DeliveryConfigID: new("")}.Validate("ApiClients[0]", Kept{}), []string{
			"Name", "MessageTypes[0]", "DeliveryConfigID", "URL",
		}},
		{"sender without an endpoint", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}}.Validate("ApiClients[0]", Kept{}), []string{"URL", "SharedKey"}},
		{"sender with a delivery config", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, DeliveryConfigID: new("d")}.Validate("", Kept{}), nil},
		{"console with a delivery config", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("console"), DeliveryConfigID: new("d")}.Validate("ApiClients[0]", Kept{}), []string{"Kind"}},
		{"sender with a stored key", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org/{messagetype}")}.Validate("", Kept{SharedKey: true}), nil},
		{"sender with credentials in the URL", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://u:p@x.org/")}.Validate("ApiClients[0]", Kept{SharedKey: true}), []string{"URL"}},
		{"console", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("console")}.Validate("", Kept{}), nil},
		{"console with a URL", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("console"), URL: new("https://x.org")}.Validate("ApiClients[0]", Kept{}), []string{"Kind"}},
		{"standard webhooks", standardSender(secret, secret), nil},
		{"standard webhooks without secrets", standardSender(), []string{"SigningSecrets"}},
		{"standard webhooks with poor secrets", standardSender("whsec_", "key"), []string{"SigningSecrets[0]", "SigningSecrets[1]"}},
		{"standard webhooks with three secrets", standardSender(secret, secret, secret), []string{"SigningSecrets"}},
		{"another signature", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org"), Signature: new("none")}.Validate("ApiClients[0]", Kept{SharedKey: true}), []string{"Signature"}},
		{"secrets without their signature", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org"), SigningSecrets: []string{secret}}.Validate("ApiClients[0]", Kept{SharedKey: true}), []string{"SigningSecrets"}},
		{"private JWK", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org"), PublicJWK: json.RawMessage(`{"kty":"EC","d":"x"}`)}.Validate("ApiClients[0]", Kept{SharedKey: true}), []string{"PublicJWK"}},
		{"smtp of a webhook", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org"), SMTP: new(SMTP)}.Validate("ApiClients[0]", Kept{SharedKey: true}), []string{"SMTP"}},
		{"smtp", smtpSender(SMTP{Host: "mail.example.com", From: "Shop <a@x.org>", Username: new("u"), Password: new("p")}), nil},
		{"smtp at an address", smtpSender(SMTP{Host: "::1", Port: new(25), From: "a@x.org", TLS: new("none")}), nil},
		{"smtp without settings", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("smtp"), URL: new("x")}.Validate("ApiClients[0]", Kept{}), []string{"Kind", "SMTP"}},
		{"smtp with faults", smtpSender(SMTP{Host: "mail.example.com:25", Port: new(0), TLS: new("maybe"), Password: new(""), From: "a@x.org\r\nBcc: b@x.org", SiteName: new("a\nb")}), []string{
			"SMTP.Host", "SMTP.Port", "SMTP.TLS", "SMTP.Password", "SMTP.Password", "SMTP.From", "SMTP.From", "SMTP.SiteName",
		}},
		{"smtp with a name and no password", smtpSender(SMTP{Host: "h", From: "a@x.org", Username: new("u")}), []string{"SMTP.Password"}},
		{"smtp with a name in the clear", smtpSender(SMTP{Host: "h", From: "a@x.org", TLS: new("none"), Username: new("u"), Password: new("p")}), []string{"SMTP.Username"}},
		{"smtp with a foreign From", smtpSender(SMTP{Host: "h", From: "a@müller.example"}), []string{"SMTP.From"}},
		{"other kind", MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("pigeon")}.Validate("ApiClients[0]", Kept{}), []string{"Kind"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got, want []string
			for _, f := range tt.faults {
				got = append(got, f.Path)
			}
			for _, p := range tt.want {
				want = append(want, "ApiClients[0]."+p)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("paths of the faults (-want +got):\n%s\n%v", diff, tt.faults)
			}
		})
	}
}

// TestStoredPasswordStays tests that a stored password is sent only to the server for which it
// was set.
func TestStoredPasswordStays(t *testing.T) {
	t.Parallel()
	stored := storage.Sender{Kind: storage.SMTPSender, SMTP: storage.SMTPSettings{
		Host: "h", Port: 587, TLS: storage.RequiredTLS, Username: "u", Password: storage.Sealed{Data: []byte("x")}, From: "a@x.org",
	}}
	for name, tt := range map[string]struct {
		change func(*SMTP)
		kept   bool
	}{
		"nothing":  {func(*SMTP) {}, true},
		"From":     {func(s *SMTP) { s.From = "b@x.org" }, true},
		"Host":     {func(s *SMTP) { s.Host = "evil.example" }, false},
		"Port":     {func(s *SMTP) { s.Port = new(26) }, false},
		"TLS":      {func(s *SMTP) { s.TLS = new("starttls") }, false},
		"Username": {func(s *SMTP) { s.Username = new("v") }, false},
		"no name":  {func(s *SMTP) { s.Username = nil }, false},
	} {
		shown := MessageSenderFromRecord(stored)
		tt.change(shown.SMTP)
		if got := KeptIn(shown.ToRecord(stored)).SMTPPassword; got != tt.kept {
			t.Errorf("%s changes: got kept %v, want %v", name, got, tt.kept)
		}
	}
	if KeptIn(MessageSender{}.ToRecord(stored)).SMTPPassword {
		t.Error("a webhook keeps the password of a mail server")
	}
}

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

func standardSender(secrets ...string) Faults {
	return MessageSender{
		Name: "m", MessageTypes: []string{"OneTimePassword"}, URL: new("https://x.org"),
		Signature: new("standard-webhooks"), SigningSecrets: secrets,
	}.Validate("ApiClients[0]", Kept{})
}

func smtpSender(s SMTP) Faults {
	return MessageSender{Name: "m", MessageTypes: []string{"OneTimePassword"}, Kind: new("smtp"), SMTP: &s}.Validate("ApiClients[0]", Kept{})
}

// TestReadAndWriteBack tests that writing back what was read changes nothing.
func TestReadAndWriteBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		client := drawClient(t)
		var again ApiClient
		readBack(t, ApiClientFromRecord(client), &again)
		if diff := cmp.Diff(client, again.ToRecord(client)); diff != "" {
			t.Fatal(diff)
		}
		profile := storage.SecurityProfile{ID: "p", Name: "P", Roles: drawRoles(t), Password: drawPolicy(t)}
		var profileAgain SecurityProfile
		readBack(t, SecurityProfileFromRecord(profile), &profileAgain)
		if diff := cmp.Diff(profile, profileAgain.ToRecord(profile)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPeopleAndSendersWriteBack(t *testing.T) {
	t.Parallel()
	account := storage.Account{UID: "acc_1", Kind: storage.Buyer, ID: "b1", Name: "B", XP: json.RawMessage(`{"a":1}`), CreatedAt: time.Unix(9, 0).UTC()}
	var buyer Buyer
	readBack(t, BuyerFromRecord(account), &buyer)
	if diff := cmp.Diff(account, buyer.ToRecord(account)); diff != "" {
		t.Error(diff)
	}
	user := storage.User{UID: "usr_1", Kind: storage.Buyer, AccountUID: "acc_1", ID: "u", FirstName: "F", LastName: "L", Email: "U@x.org", EmailKey: "u@x.org", Phone: "1", Active: true, CreatedAt: time.Unix(9, 0).UTC()}
	login := storage.Login{ID: "l", ProfileID: "other", Username: "Ü", UsernameKey: "ü", UserUID: "usr_1", Active: true, PasswordHash: "h"}
	var shown User
	readBack(t, UserFromRecord(user, login, "b1"), &shown)
	if diff := cmp.Diff(user, shown.ToRecord(user)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(login, shown.ToLogin(login)); diff != "" {
		t.Error(diff)
	}
	for _, sender := range []storage.Sender{
		{ID: "w", Name: "W", Kind: storage.WebhookSender, Types: []storage.MessageType{"OneTimePassword"}, URL: "https://x.org", SharedKey: storage.Sealed{KeyID: "k"}, ElevatedRoles: []string{"MeAdmin"}, AllowSeller: true, AccountUIDs: []string{"acc_1"}},
		{ID: "s", Name: "S", Kind: storage.WebhookSender, Types: []storage.MessageType{"OneTimePassword"}, URL: "https://x.org", Signature: storage.StandardWebhookSignature, SigningSecrets: storage.Sealed{KeyID: "k"}, PublicJWK: json.RawMessage(`{"kty":"EC"}`)},
		{ID: "m", Name: "M", Kind: storage.SMTPSender, Types: []storage.MessageType{"OneTimePassword"}, SMTP: storage.SMTPSettings{Host: "h", Port: 25, TLS: storage.StartTLS, Username: "u", Password: storage.Sealed{KeyID: "k"}, From: "a@x.org", SiteName: "Shop"}},
		{ID: "c", Name: "C", Kind: storage.ConsoleSender, Types: []storage.MessageType{"OneTimePassword"}, AllowAllBuyers: true},
	} {
		var again MessageSender
		readBack(t, MessageSenderFromRecord(sender), &again)
		if diff := cmp.Diff(sender, again.ToRecord(sender)); diff != "" {
			t.Error(diff)
		}
	}
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func readBack(t fataler, from, into any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if faults := Decode(encoded, "", into); faults != nil {
		t.Fatal(faults)
	}
}

func decodeValid[T interface{ Validate(path string) Faults }](t *testing.T, doc string) T {
	t.Helper()
	var v T
	if faults := Decode([]byte(doc), "", &v); faults != nil {
		t.Fatal(faults)
	}
	if faults := v.Validate(""); faults != nil {
		t.Fatal(faults)
	}
	return v
}

func drawRoles(t *rapid.T) []string {
	return surface.SortedSet(rapid.SliceOf(rapid.SampledFrom([]string{"Shopper", "FullAccess", "MeAdmin", "vip", "x"})).Draw(t, "roles"))
}

func drawClient(t *rapid.T) storage.Client {
	yes := rapid.Bool()
	return storage.Client{
		ID: "C1", Name: "n", Active: yes.Draw(t, "active"), Public: true, ProfileID: "default",
		GrantTypes:         surface.SortedSet(rapid.SliceOf(rapid.SampledFrom(grantTypes())).Draw(t, "grants")),
		Credentials:        storage.Credentials{OTP: yes.Draw(t, "otp"), Password: yes.Draw(t, "password")},
		MinimumRoles:       drawRoles(t),
		MaximumRoles:       drawRoles(t),
		AllowAnyBuyer:      yes.Draw(t, "buyers"),
		DefaultContextUser: rapid.SampledFrom([]string{"", "bob"}).Draw(t, "context user"),

		RequiresContextUser: true,
		AccessTokenTTL:      time.Duration(rapid.IntRange(10, 600).Draw(t, "access")) * time.Minute,
		RefreshTokenTTL:     time.Duration(rapid.IntRange(0, 524160).Draw(t, "refresh")) * time.Minute,
		AnonymousTokenTTL:   time.Hour,
		ReuseRefreshTokens:  yes.Draw(t, "reuse"),
		SigningAlg:          rapid.SampledFrom([]string{"", "RS256"}).Draw(t, "alg"),
		Version:             3,
	}
}

func drawPolicy(t *rapid.T) storage.PasswordPolicy {
	p := storage.PasswordPolicy{UpperCaseRequired: rapid.Bool().Draw(t, "upper")}
	if rapid.Bool().Draw(t, "locks") {
		p.AllowedFailedAttempts = new(rapid.IntRange(1, 100).Draw(t, "attempts"))
		p.LockoutDuration = new(time.Duration(rapid.IntRange(0, 1440).Draw(t, "lockout")) * time.Minute)
		p.MaximumPasswordAge = new(time.Duration(rapid.IntRange(0, 3650).Draw(t, "age")) * day)
		p.MinimumPasswordAge = new(time.Duration(rapid.IntRange(0, 1440).Draw(t, "youth")) * time.Minute)
		p.LimitPasswordReuse = new(rapid.IntRange(0, 24).Draw(t, "reuse"))
	}
	return p
}
