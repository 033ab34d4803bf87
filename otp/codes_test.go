package otp_test

import (
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	codes := otp.NewCodes(&pepper{})
	tests := []struct {
		name      string
		change    func(*storage.Principal)
		client    string
		purpose   storage.Purpose
		presented string
		want      bool
	}{
		{"right", func(*storage.Principal) {}, "shop", storage.PurposeSignIn, "ABC0123D", true},
		{"as a person types it", func(*storage.Principal) {}, "shop", storage.PurposeSignIn, " abcO-i23d", true},
		{"wrong", func(*storage.Principal) {}, "shop", storage.PurposeSignIn, "ABC0123E", false},
		{"nothing", func(*storage.Principal) {}, "shop", storage.PurposeSignIn, "", false},
		{"another client", func(*storage.Principal) {}, "other", storage.PurposeSignIn, "ABC0123D", false},
		{"issued for any client", func(p *storage.Principal) { p.Login.Code.ClientID = "" }, "other", storage.PurposeSignIn, "ABC0123D", true},
		{"another purpose", func(*storage.Principal) {}, "shop", storage.PurposeResetPassword, "ABC0123D", false},
		{"used", func(p *storage.Principal) { p.Login.Code.UsedAt = now.Add(-time.Second) }, "shop", storage.PurposeSignIn, "ABC0123D", false},
		{"last moment", func(p *storage.Principal) { p.Login.Code.ExpiresAt = now.Add(1) }, "shop", storage.PurposeSignIn, "ABC0123D", true},
		{"expired", func(p *storage.Principal) { p.Login.Code.ExpiresAt = now }, "shop", storage.PurposeSignIn, "ABC0123D", false},
		{"another login", func(p *storage.Principal) { p.Login.ID = "lgn_eve" }, "shop", storage.PurposeSignIn, "ABC0123D", false},
		{"no code", func(p *storage.Principal) { p.Login.Code = storage.Code{} }, "shop", storage.PurposeSignIn, "ABC0123D", false},
		{"no code, nothing presented", func(p *storage.Principal) { p.Login.Code = storage.Code{} }, "", "", "", false},
		{"code wiped but for its digest", func(p *storage.Principal) { p.Login.Code.ID = "" }, "shop", storage.PurposeSignIn, "ABC0123D", false},
		{"unknown login", func(p *storage.Principal) { *p = storage.Principal{} }, "shop", storage.PurposeSignIn, "ABC0123D", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := storage.Principal{Known: true, Login: storage.Login{ID: "lgn_bob", Code: storage.Code{
				ID: "otc_1", ClientID: "shop", Purpose: storage.PurposeSignIn,
				Digest: codes.Digest("lgn_bob", "ABC0123D"), ExpiresAt: now.Add(time.Minute),
			}}}
			test.change(&p)
			if got := codes.Match(p, test.client, test.purpose, test.presented, now); got != test.want {
				t.Errorf("Match = %v, want %v", got, test.want)
			}
		})
	}
}

// Whatever is wrong, matching costs one MAC.
func TestMatchCostsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	counting := &pepper{}
	codes := otp.NewCodes(counting)
	now := time.Now()
	live := storage.Code{ID: "otc_1", Purpose: storage.PurposeSignIn, ExpiresAt: now.Add(time.Minute), Digest: codes.Digest("lgn_bob", "ABC0123D")}
	used := live
	used.UsedAt = now
	for name, p := range map[string]storage.Principal{
		"live code": {Known: true, Login: storage.Login{ID: "lgn_bob", Code: live}},
		"used code": {Known: true, Login: storage.Login{ID: "lgn_bob", Code: used}},
		"no code":   {Known: true, Login: storage.Login{ID: "lgn_bob"}},
		"no login":  {},
	} {
		before := counting.macs.Load()
		codes.Match(p, "shop", storage.PurposeSignIn, "ABC0123E", now)
		if n := counting.macs.Load() - before; n != 1 {
			t.Errorf("%s: %d MACs, want 1", name, n)
		}
	}
}
