package otp_test

import (
	"strings"
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	codes := otp.NewCodes(&testDigester{})
	signIn := []storage.Purpose{storage.PurposeSignIn}
	reset := []storage.Purpose{storage.PurposeResetPassword}
	tests := []struct {
		name      string
		change    func(*storage.Principal)
		client    string
		purposes  []storage.Purpose
		presented string
		want      bool
	}{
		{"right", func(*storage.Principal) {}, "shop", signIn, "ABC0123D", true},
		{"as a person types it", func(*storage.Principal) {}, "shop", signIn, " abcO-i23d", true},
		{"wrong", func(*storage.Principal) {}, "shop", signIn, "ABC0123E", false},
		{"nothing", func(*storage.Principal) {}, "shop", signIn, "", false},
		{"another client", func(*storage.Principal) {}, "other", signIn, "ABC0123D", false},
		{"issued for any client", func(p *storage.Principal) { p.Login.Code.ClientID = "" }, "other", signIn, "ABC0123D", true},
		{"another purpose", func(*storage.Principal) {}, "shop", reset, "ABC0123D", false},
		{"one of two purposes", func(*storage.Principal) {}, "shop", append(reset, signIn...), "ABC0123D", true},
		{"no purpose at all", func(*storage.Principal) {}, "shop", nil, "ABC0123D", false},
		{"a code of no purpose, and none wanted", func(p *storage.Principal) { p.Login.Code.Purpose = "" }, "shop", nil, "ABC0123D", false},
		{"used", func(p *storage.Principal) { p.Login.Code.UsedAt = now.Add(-time.Second) }, "shop", signIn, "ABC0123D", false},
		{"last moment", func(p *storage.Principal) { p.Login.Code.ExpiresAt = now.Add(1) }, "shop", signIn, "ABC0123D", true},
		{"expired", func(p *storage.Principal) { p.Login.Code.ExpiresAt = now }, "shop", signIn, "ABC0123D", false},
		{"another login", func(p *storage.Principal) { p.Login.ID = "lgn_eve" }, "shop", signIn, "ABC0123D", false},
		{"no code", func(p *storage.Principal) { p.Login.Code = storage.Code{} }, "shop", signIn, "ABC0123D", false},
		{"no code, nothing presented", func(p *storage.Principal) { p.Login.Code = storage.Code{} }, "", nil, "", false},
		{"code wiped but for its digest", func(p *storage.Principal) { p.Login.Code.ID = "" }, "shop", signIn, "ABC0123D", false},
		{"unknown login", func(p *storage.Principal) { *p = storage.Principal{} }, "shop", signIn, "ABC0123D", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := storage.Principal{Known: true, Login: storage.Login{ID: "lgn_bob", Code: storage.Code{
				ID: "otc_1", ClientID: "shop", Purpose: storage.PurposeSignIn,
				Digest: codes.Digest("lgn_bob", "ABC0123D"), ExpiresAt: now.Add(time.Minute),
			}}}
			test.change(&p)
			if got := codes.Match(p, test.client, test.purposes, test.presented, now); got != test.want {
				t.Errorf("Match: got %v, want %v", got, test.want)
			}
		})
	}
}

// TestMatchCostsTheSameForEverybody tests that Match computes one MAC in all cases.
func TestMatchCostsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	counting := &testDigester{}
	codes := otp.NewCodes(counting)
	now := time.Now()
	live := storage.Code{ID: "otc_1", Purpose: storage.PurposeSignIn, ExpiresAt: now.Add(time.Minute), Digest: codes.Digest("lgn_bob", "ABC0123D")}
	used := live
	used.UsedAt = now
	signIn := []storage.Purpose{storage.PurposeSignIn}
	for name, p := range map[string]storage.Principal{
		"live code": {Known: true, Login: storage.Login{ID: "lgn_bob", Code: live}},
		"used code": {Known: true, Login: storage.Login{ID: "lgn_bob", Code: used}},
		"no code":   {Known: true, Login: storage.Login{ID: "lgn_bob"}},
		"no login":  {},
	} {
		before := counting.macs.Load()
		codes.Match(p, "shop", signIn, "ABC0123E", now)
		if n := counting.macs.Load() - before; n != 1 {
			t.Errorf("%s: got %d MACs, want 1", name, n)
		}
	}
}

func TestMatchVerification(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	codes := otp.NewCodes(&testDigester{})
	const text = "aB3-_xYz0OiIlL"
	none := func(*storage.VerificationCode) {}
	tests := []struct {
		name      string
		change    func(*storage.VerificationCode)
		client    string
		presented string
		want      bool
	}{
		{"right", none, "shop", text, true},
		{"wrong", none, "shop", "aB3-_xYz0OiIlM", false},
		{"nothing", none, "shop", "", false},
		{"in upper case", none, "shop", strings.ToUpper(text), false},
		{"as a one-time password would be read", none, "shop", otp.Normalize(text), false},
		{"another client", none, "other", text, false},
		{"issued for any client", func(c *storage.VerificationCode) { c.ClientID = "" }, "other", text, true},
		{"used", func(c *storage.VerificationCode) { c.UsedAt = now.Add(-time.Second) }, "shop", text, false},
		{"last moment", func(c *storage.VerificationCode) { c.ExpiresAt = now.Add(1) }, "shop", text, true},
		{"expired", func(c *storage.VerificationCode) { c.ExpiresAt = now }, "shop", text, false},
		{"another login", func(c *storage.VerificationCode) { c.LoginID = "lgn_eve" }, "shop", text, false},
		{"no code", func(c *storage.VerificationCode) { *c = storage.VerificationCode{} }, "shop", text, false},
		{"no code, nothing presented", func(c *storage.VerificationCode) { *c = storage.VerificationCode{} }, "", "", false},
		{"a one-time password of the login", func(c *storage.VerificationCode) { c.Digest = codes.Digest("lgn_bob", "ABC0123D") }, "shop", "ABC0123D", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := storage.VerificationCode{
				ID: "vrc_1", LoginID: "lgn_bob", ClientID: "shop",
				Digest: codes.DigestVerification("lgn_bob", text), ExpiresAt: now.Add(time.Minute),
			}
			test.change(&c)
			if got := codes.MatchVerification(c, test.client, test.presented, now); got != test.want {
				t.Errorf("MatchVerification: got %v, want %v", got, test.want)
			}
		})
	}
}

// TestMatchVerificationCostsTheSameForEverybody tests that MatchVerification computes one MAC
// with and without a code.
func TestMatchVerificationCostsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	counting := &testDigester{}
	codes := otp.NewCodes(counting)
	now := time.Now()
	live := storage.VerificationCode{ID: "vrc_1", LoginID: "lgn_bob", ExpiresAt: now.Add(time.Minute), Digest: codes.DigestVerification("lgn_bob", "abc")}
	used := live
	used.UsedAt = now
	for name, c := range map[string]storage.VerificationCode{"live": live, "used": used, "none": {}} {
		before := counting.macs.Load()
		codes.MatchVerification(c, "shop", "abd", now)
		if n := counting.macs.Load() - before; n != 1 {
			t.Errorf("%s: got %d MACs, want 1", name, n)
		}
	}
}
