package grants

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"latchkey/storage"
)

func TestGrantRoles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		client         storage.Client
		has, requested []string
		want           []string
		wantErr        error
	}{
		"all when none is requested":    {has: []string{"A", "B"}, want: []string{"A", "B"}},
		"intersection, no error":        {has: []string{"A", "B"}, requested: []string{"B", "X"}, want: []string{"B"}},
		"nothing left":                  {has: []string{"A"}, requested: []string{"X"}, wantErr: fosite.ErrInvalidScope},
		"no roles at all":               {},
		"ceiling":                       {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"ceiling cuts the request":      {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, requested: []string{"B"}, wantErr: fosite.ErrInvalidScope},
		"floor reached":                 {client: storage.Client{MinimumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A", "B"}},
		"floor missed":                  {client: storage.Client{MinimumRoles: []string{"A", "C"}}, has: []string{"A", "B"}, wantErr: fosite.ErrInvalidGrant},
		"floor counts before ceiling":   {client: storage.Client{MinimumRoles: []string{"B"}, MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"floor not satisfied by asking": {client: storage.Client{MinimumRoles: []string{"C"}}, has: []string{"A"}, requested: []string{"C"}, wantErr: fosite.ErrInvalidGrant},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := GrantRoles(&tt.client, tt.has, tt.requested)
			if !errors.Is(err, tt.wantErr) || (err != nil) != (tt.wantErr != nil) {
				t.Fatalf("error %v, want %v", err, tt.wantErr)
			}
			if err != nil && !errors.Is(err, ErrInsufficientRoles) {
				t.Errorf("error %v does not say why", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdmit(t *testing.T) {
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
		want   error
	}{
		"open":                {func(*storage.Client, *storage.Principal) {}, nil},
		"unknown":             {func(_ *storage.Client, p *storage.Principal) { p.Known = false }, errUnknownLogin},
		"client inactive":     {func(c *storage.Client, _ *storage.Principal) { c.Active = false }, errClientInactive},
		"user inactive":       {func(_ *storage.Client, p *storage.Principal) { p.User.Active = false }, errUserInactive},
		"login inactive":      {func(_ *storage.Client, p *storage.Principal) { p.Login.Active = false }, errUserInactive},
		"account inactive":    {func(_ *storage.Client, p *storage.Principal) { p.Account.Active = false }, errAccountInactive},
		"locked":              {func(_ *storage.Client, p *storage.Principal) { p.Lockout.LockedUntil = now.Add(time.Microsecond) }, errLocked},
		"lock just over":      {func(_ *storage.Client, p *storage.Principal) { p.Lockout.LockedUntil = now }, nil},
		"buyers not admitted": {func(c *storage.Client, _ *storage.Principal) { c.AllowAnyBuyer = false }, errNotAdmitted},
		"buyer assigned": {func(c *storage.Client, _ *storage.Principal) {
			c.AllowAnyBuyer, c.AccountUIDs = false, []string{"acc_1"}
		}, nil},
		"admin not admitted": {func(_ *storage.Client, p *storage.Principal) { p.User.Kind = storage.Admin }, errNotAdmitted},
		"admin needs no account": {func(c *storage.Client, p *storage.Principal) {
			c.AllowSeller, p.User.Kind, p.Account = true, storage.Admin, storage.Account{}
		}, nil},
		"supplier is not a buyer": {func(_ *storage.Client, p *storage.Principal) { p.User.Kind = storage.Supplier }, errNotAdmitted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := open()
			tt.change(&c, &p)
			if got := Admit(&c, &p, now); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
