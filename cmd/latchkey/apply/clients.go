package apply

import (
	"context"

	"latchkey/oauth/client"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// minSecretLength is how many characters a client secret should have at least.
const minSecretLength = 32

func (p *plan) client(ctx context.Context, path string, item ApiClient) error {
	stored, err := p.Clients.Client(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Client{})
	if err != nil {
		return err
	}
	before := base
	if item.Roles != nil {
		base.Roles = surface.SortedSet(item.Roles)
	}
	want := item.ToRecord(base)
	base = before
	if _, ok, err := p.profile(ctx, path, want.ProfileID); err != nil || !ok {
		return err
	}
	if item.Assignments != nil {
		if want.AccountUIDs, err = p.assignedAccounts(ctx, path, item.Assignments); err != nil {
			return err
		}
	}
	want.Public = surface.ValueOr(item.Public, want.Public) && item.ClientSecret == nil
	fields := differences(wire.ApiClientFromRecord(base), wire.ApiClientFromRecord(want))
	if !sameSet(base.Roles, want.Roles) {
		fields = append(fields, "Roles")
	}
	if !isNew && base.Public != want.Public && item.ClientSecret == nil {
		fields = append(fields, "Public")
	}
	if !sameSet(base.AccountUIDs, want.AccountUIDs) {
		fields = append(fields, "Assignments")
	}
	if isNew || len(fields) > 0 || base.Public != want.Public {
		put(p, want, p.Clients.PutClient)
	}
	newSecret, err := p.clientSecret(path, want, item.ClientSecret)
	if err != nil {
		return err
	}
	if newSecret || base.Public != want.Public && item.ClientSecret != nil {
		fields = append(fields, "ClientSecret")
	}
	p.change("ApiClient", want.ID, isNew, fields)
	return p.warnOfClient(ctx, path, item, want)
}

// assignedAccounts returns the UIDs of the buyers and suppliers that are assigned.
func (p *plan) assignedAccounts(ctx context.Context, path string, assignments []wire.ApiClientAssignment) ([]string, error) {
	var uids []string
	err := each(ctx, assignments, path+".Assignments", func(ctx context.Context, path string, a wire.ApiClientAssignment) error {
		account, ok, err := p.party(ctx, path, a.BuyerID, a.SupplierID)
		if ok {
			uids = append(uids, account.UID)
		}
		return err
	})
	return sorted(uids), err
}

// clientSecret plans to replace the secret of an earlier ClientSecret, unless the
// client has the secret already.
func (p *plan) clientSecret(path string, c storage.Client, secret *string) (changed bool, err error) {
	if secret == nil {
		return false, nil
	}
	fresh, replaced, err := client.InlineSecret(p.Peppers, p.Rand, c, *secret, p.Now())
	if err != nil || fresh == nil {
		return false, err
	}
	if others := len(c.Secrets) - len(replaced); others >= client.MaxSecrets {
		p.faults.Add(wire.Join(path, "ClientSecret"), "the client has %d secrets of other names already", others)
	}
	for _, old := range replaced {
		p.write(func(ctx context.Context) error { return p.Clients.DeleteClientSecret(ctx, c.ID, old) })
	}
	p.write(func(ctx context.Context) error {
		return p.Clients.AddClientSecret(ctx, c.ID, *fresh, client.MaxSecrets)
	})
	return true, nil
}

func (p *plan) warnOfClient(ctx context.Context, path string, item ApiClient, want storage.Client) error {
	if !want.AllowAnyBuyer && !want.AllowAnySupplier && !want.AllowSeller && len(want.AccountUIDs) == 0 {
		p.result.warn(path, "nobody may sign in through ApiClient %s: set AllowAnyBuyer, AllowAnySupplier or AllowSeller, or assign a buyer or supplier", want.ID)
	}
	if !want.Public && item.ClientSecret == nil && len(want.Secrets) == 0 && want.AuthMethod == "" {
		p.result.warn(path, "ApiClient %s has no secret yet: run `latchkey client secret add %s`", want.ID, want.ID)
	}
	if item.ClientSecret != nil && len(*item.ClientSecret) < minSecretLength {
		p.result.warn(wire.Join(path, "ClientSecret"), "is shorter than %d characters; client secrets should be random, since no slow hash protects them", minSecretLength)
	}
	if want.DefaultContextUser == "" {
		return nil
	}
	key := otp.NormalizeUsername(want.DefaultContextUser)
	if _, ok := p.logins[want.ProfileID+"/"+key]; ok {
		return nil
	}
	_, err := p.Logins.Login(ctx, want.ProfileID, key)
	ok, err := found(err)
	if !ok && err == nil {
		p.result.warn(wire.Join(path, "DefaultContextUserName"), "there is no such user")
	}
	return err
}
