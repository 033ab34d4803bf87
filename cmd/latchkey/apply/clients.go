package apply

import (
	"context"
	"slices"

	"latchkey/grants"
	"latchkey/oauth/ordercloud"
	"latchkey/otp"
	"latchkey/storage"
)

const (
	secretName   = "apply" // of the secret that a document gives a client
	secretPrefix = "sec_"
	maxSecrets   = 10 // of a client (OrderCloud)
	goodSecret   = 32 // characters
)

func (p *plan) client(ctx context.Context, path string, item ApiClient) error {
	stored, err := p.Clients.Client(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Client{})
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	if _, ok, err := p.profile(ctx, path, want.ProfileID); err != nil || !ok {
		return err
	}
	if item.Assignments != nil {
		if want.AccountUIDs, err = p.admitted(ctx, path, item.Assignments); err != nil {
			return err
		}
	}
	newSecret := item.ClientSecret != nil && !grants.MatchClientSecret(p.Peppers, &want, *item.ClientSecret, p.Now())
	want.Public = want.Public && item.ClientSecret == nil
	fields := differences(ordercloud.ApiClientFromRecord(base), ordercloud.ApiClientFromRecord(want))
	if !sameSet(base.AccountUIDs, want.AccountUIDs) {
		fields = append(fields, "Assignments")
	}
	record := isNew || len(fields) > 0 || base.Public != want.Public
	if newSecret || base.Public != want.Public {
		fields = append(fields, "ClientSecret")
	}
	if err := p.warnOfClient(ctx, path, item, want); err != nil {
		return err
	}
	if !p.change("ApiClient", want.ID, isNew, fields) {
		return nil
	}
	if record {
		put(p, want, p.Clients.PutClient)
	}
	if newSecret {
		return p.clientSecret(path, base.Secrets, want.ID, *item.ClientSecret)
	}
	return nil
}

// admitted returns the UIDs of the assigned buyers and suppliers.
func (p *plan) admitted(ctx context.Context, path string, assignments []ordercloud.ApiClientAssignment) ([]string, error) {
	var uids []string
	err := each(ctx, assignments, path+".Assignments", func(ctx context.Context, path string, a ordercloud.ApiClientAssignment) error {
		account, ok, err := p.party(ctx, path, a.BuyerID, a.SupplierID)
		if ok {
			uids = append(uids, account.UID)
		}
		return err
	})
	return sorted(uids), err
}

// clientSecret plans the secret in place of an older one of that name.
func (p *plan) clientSecret(path string, stored []storage.ClientSecret, clientID, secret string) error {
	kept := slices.DeleteFunc(slices.Clone(stored), func(s storage.ClientSecret) bool { return s.Name == secretName })
	if len(kept) >= maxSecrets {
		p.faults.Add(ordercloud.Join(path, "ClientSecret"), "the client has %d secrets of other names already", len(kept))
	}
	id, err := storage.NewID(p.Rand, secretPrefix)
	if err != nil {
		return err
	}
	fresh := storage.ClientSecret{ID: id, Name: secretName, Digest: grants.DigestClientSecret(p.Peppers, clientID, secret), CreatedAt: p.Now()}
	for _, old := range stored {
		if old.Name == secretName {
			p.write(func(ctx context.Context) error { return p.Clients.DeleteClientSecret(ctx, clientID, old.ID) })
		}
	}
	p.write(func(ctx context.Context) error { return p.Clients.AddClientSecret(ctx, clientID, fresh) })
	return nil
}

func (p *plan) warnOfClient(ctx context.Context, path string, item ApiClient, want storage.Client) error {
	if !want.AllowAnyBuyer && !want.AllowAnySupplier && !want.AllowSeller && len(want.AccountUIDs) == 0 {
		p.result.warn(path, "nobody may sign in through ApiClient %s: set AllowAnyBuyer, AllowAnySupplier or AllowSeller, or assign a buyer or supplier", want.ID)
	}
	if item.ClientSecret != nil && len(*item.ClientSecret) < goodSecret {
		p.result.warn(ordercloud.Join(path, "ClientSecret"), "is shorter than %d characters; client secrets should be random, since no slow hash protects them", goodSecret)
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
		p.result.warn(ordercloud.Join(path, "DefaultContextUserName"), "there is no such user")
	}
	return err
}
