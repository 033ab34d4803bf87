package storage_test

import (
	"testing"
	"time"

	"latchkey/storage"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	open := func() (storage.Client, storage.Principal) {
		return storage.Client{Active: true, AllowAnyBuyer: true}, storage.Principal{
			Known:   true,
			Login:   storage.Login{Active: true},
			User:    storage.User{Active: true, Kind: storage.Buyer, AccountUID: "acc_1"},
			Account: storage.Account{UID: "acc_1", Active: true},
		}
	}
	tests := map[string]struct {
		change func(*storage.Client, *storage.Principal)
		want   string
	}{
		"open":                {func(*storage.Client, *storage.Principal) {}, ""},
		"unknown":             {func(_ *storage.Client, p *storage.Principal) { p.Known = false }, storage.RefusedUnknown},
		"client inactive":     {func(c *storage.Client, _ *storage.Principal) { c.Active = false }, storage.RefusedClientInactive},
		"user inactive":       {func(_ *storage.Client, p *storage.Principal) { p.User.Active = false }, storage.RefusedUserInactive},
		"login inactive":      {func(_ *storage.Client, p *storage.Principal) { p.Login.Active = false }, storage.RefusedLoginInactive},
		"account inactive":    {func(_ *storage.Client, p *storage.Principal) { p.Account.Active = false }, storage.RefusedAccountInactive},
		"locked":              {func(_ *storage.Client, p *storage.Principal) { p.Lockout.LockedUntil = now.Add(time.Microsecond) }, storage.RefusedLocked},
		"lock just over":      {func(_ *storage.Client, p *storage.Principal) { p.Lockout.LockedUntil = now }, ""},
		"buyers not admitted": {func(c *storage.Client, _ *storage.Principal) { c.AllowAnyBuyer = false }, storage.RefusedNotAdmitted},
		"buyer assigned": {func(c *storage.Client, _ *storage.Principal) {
			c.AllowAnyBuyer, c.AccountUIDs = false, []string{"acc_1"}
		}, ""},
		"admin not admitted": {func(_ *storage.Client, p *storage.Principal) { p.User.Kind = storage.Admin }, storage.RefusedNotAdmitted},
		"admin needs no account": {func(c *storage.Client, p *storage.Principal) {
			c.AllowSeller, p.User.Kind, p.User.AccountUID, p.Account = true, storage.Admin, "", storage.Account{}
		}, ""},
		"supplier is not a buyer": {func(_ *storage.Client, p *storage.Principal) { p.User.Kind = storage.Supplier }, storage.RefusedNotAdmitted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := open()
			tt.change(&c, &p)
			if got := c.Refusal(&p, now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			want := tt.want
			if want == storage.RefusedClientInactive || want == storage.RefusedNotAdmitted {
				want = ""
			}
			if got := p.Refusal(now); got != want {
				t.Errorf("without a client: got %q, want %q", got, want)
			}
		})
	}
}
