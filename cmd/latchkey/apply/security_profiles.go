package apply

import (
	"context"
	"slices"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (p *plan) securityProfile(ctx context.Context, path string, item SecurityProfile) error {
	stored, err := p.SecurityProfiles.SecurityProfile(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.SecurityProfile{RealmID: storage.DefaultRealmID})
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	fields := differences(wire.SecurityProfileFromRecord(base), wire.SecurityProfileFromRecord(want))
	record := isNew || len(fields) > 0
	parties, add, remove, err := p.assignments(ctx, path, item)
	if err != nil {
		return err
	}
	p.securityProfiles[item.ID] = plannedProfile{SecurityProfile: want, parties: parties, assigned: item.Assignments != nil}
	if len(add)+len(remove) > 0 {
		fields = append(fields, "Assignments")
	}
	if !p.change("SecurityProfile", item.ID, isNew, fields) {
		return nil
	}
	if record {
		put(p, want, p.SecurityProfiles.PutSecurityProfile)
	}
	for _, party := range add {
		p.write(func(ctx context.Context) error { return p.SecurityProfiles.AssignSecurityProfile(ctx, item.ID, party) })
	}
	for _, party := range remove {
		p.write(func(ctx context.Context) error {
			return p.SecurityProfiles.UnassignSecurityProfile(ctx, item.ID, party)
		})
	}
	return nil
}

// assignments returns which parties the profile will have (want), which of them it gets (add),
// and which it loses (remove). If the item has no Assignments, nothing changes.
func (p *plan) assignments(ctx context.Context, path string, item SecurityProfile) (want, add, remove []storage.Party, _ error) {
	if item.Assignments == nil {
		return nil, nil, nil, nil
	}
	err := each(ctx, item.Assignments, path+".Assignments", func(ctx context.Context, path string, a wire.SecurityProfileAssignment) error {
		party, ok, err := p.partyOf(ctx, path, a)
		if ok && !slices.Contains(want, party) {
			want = append(want, party)
		}
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	have, err := p.SecurityProfiles.SecurityProfileParties(ctx, item.ID)
	if _, err := found(err); err != nil {
		return nil, nil, nil, err
	}
	without := func(list, other []storage.Party) []storage.Party {
		return slices.DeleteFunc(slices.Clone(list), func(x storage.Party) bool { return slices.Contains(other, x) })
	}
	return want, without(want, have), without(have, want), nil
}

// partyOf returns the party of an assignment. It adds a fault if the party does not
// exist.
func (p *plan) partyOf(ctx context.Context, path string, a wire.SecurityProfileAssignment) (storage.Party, bool, error) {
	account, ok, err := p.party(ctx, path, a.BuyerID, a.SupplierID)
	if err != nil || !ok {
		return "", false, err
	}
	if a.UserID != nil {
		user, ok, err := p.member(ctx, account, *a.UserID)
		if !ok && err == nil {
			p.faults.Add(wire.Join(path, "UserID"), "there is no such user")
		}
		return storage.UserParty(user.UID), ok, err
	}
	if account.Kind == storage.Admin {
		return storage.KindParty(storage.Admin), true, nil
	}
	return storage.AccountParty(account.UID), true, nil
}
