package apply

import (
	"context"
	"strings"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func (p *plan) buyer(ctx context.Context, path string, item Buyer) error {
	base, isNew, err := p.accountOrNew(ctx, storage.Buyer, item.ID)
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	fields := differences(wire.BuyerFromRecord(base), wire.BuyerFromRecord(want))
	return p.accountWithUsers(ctx, path, "Buyer", want, isNew, fields, item.Users)
}

func (p *plan) supplier(ctx context.Context, path string, item Supplier) error {
	base, isNew, err := p.accountOrNew(ctx, storage.Supplier, item.ID)
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	fields := differences(wire.SupplierFromRecord(base), wire.SupplierFromRecord(want))
	return p.accountWithUsers(ctx, path, "Supplier", want, isNew, fields, item.Users)
}

func (p *plan) accountOrNew(ctx context.Context, kind storage.UserKind, id string) (base storage.Account, isNew bool, err error) {
	stored, err := p.People.Account(ctx, storage.DefaultRealmID, kind, id)
	base, isNew, err = orNew(stored, err, storage.Account{RealmID: storage.DefaultRealmID, Kind: kind, ID: id})
	if isNew && err == nil {
		base.UID, err = storage.NewID(p.Rand, storage.AccountPrefix)
	}
	return base, isNew, err
}

func (p *plan) accountWithUsers(ctx context.Context, path, kind string, want storage.Account, isNew bool, fields []string, users []User) error {
	p.accounts[accountKey(want.Kind, want.ID)] = want
	if p.change(kind, want.ID, isNew, fields) {
		put(p, want, p.People.PutAccount)
	}
	return each(ctx, users, path+".Users", func(ctx context.Context, path string, u User) error { return p.user(ctx, path, u, want) })
}

func accountKey(kind storage.UserKind, id string) string { return string(kind) + "/" + id }

func userKey(accountUID, id string) string { return accountUID + "/" + id }

// account returns a buyer or supplier as it will be after the run.
func (p *plan) account(ctx context.Context, kind storage.UserKind, id string) (storage.Account, bool, error) {
	if a, ok := p.accounts[accountKey(kind, id)]; ok {
		return a, true, nil
	}
	a, err := p.People.Account(ctx, storage.DefaultRealmID, kind, id)
	ok, err := found(err)
	if ok {
		p.accounts[accountKey(kind, id)] = a
	}
	return a, ok, err
}

// party returns the buyer or supplier of an assignment, or a zero account of the kind
// Admin if the assignment has neither. It adds a fault if the account does not exist.
func (p *plan) party(ctx context.Context, path string, buyer, supplier *string) (storage.Account, bool, error) {
	if buyer == nil && supplier == nil {
		return storage.Account{Kind: storage.Admin}, true, nil
	}
	kind, field, id := storage.Buyer, "BuyerID", surface.ValueOr(buyer, "")
	if supplier != nil {
		kind, field, id = storage.Supplier, "SupplierID", *supplier
	}
	a, ok, err := p.account(ctx, kind, id)
	if !ok && err == nil {
		p.faults.Add(wire.Join(path, field), "there is no %s %s", kind, id)
	}
	return a, ok, err
}

// member returns a user of an account as it will be after the run. The zero account
// stands for the marketplace itself.
func (p *plan) member(ctx context.Context, of storage.Account, id string) (storage.User, bool, error) {
	if u, ok := p.users[userKey(of.UID, id)]; ok {
		return u, true, nil
	}
	u, err := p.People.User(ctx, storage.DefaultRealmID, of.Kind, of.UID, id)
	ok, err := found(err)
	return u, ok, err
}

func (p *plan) membership(ctx context.Context, path string, item Membership) error {
	account, ok, err := p.accountOfEitherKind(ctx, wire.Join(path, "account_id"), item.AccountID)
	if err != nil || !ok {
		return err
	}
	user, ok, err := p.memberOf(ctx, wire.Join(path, "account_member_id"), account, item.MemberID)
	if err != nil || !ok {
		return err
	}
	stored, err := p.People.Membership(ctx, account.UID, user.UID)
	want, isNew, err := orNew(stored, err, storage.Membership{AccountUID: account.UID, UserUID: user.UID, CreatedAt: p.Now()})
	if err != nil {
		return err
	}
	var fields []string
	if !sameSet(want.Roles, item.Roles) {
		fields = []string{"roles"}
	}
	want.Roles = sorted(item.Roles)
	if p.change("account_membership", item.AccountID+"/"+item.MemberID, isNew, fields) {
		put(p, want, p.People.PutMembership)
	}
	return nil
}

func (p *plan) accountOfEitherKind(ctx context.Context, path, id string) (storage.Account, bool, error) {
	buyer, isBuyer, err := p.account(ctx, storage.Buyer, id)
	if err != nil {
		return buyer, false, err
	}
	supplier, isSupplier, err := p.account(ctx, storage.Supplier, id)
	switch {
	case err != nil:
	case isBuyer && isSupplier:
		p.faults.Add(path, "%s is both a buyer and a supplier", id)
	case isBuyer:
		return buyer, true, nil
	case isSupplier:
		return supplier, true, nil
	default:
		p.faults.Add(path, "there is no account %s", id)
	}
	return storage.Account{}, false, err
}

// memberOf returns the user of a membership, see Membership.
func (p *plan) memberOf(ctx context.Context, path string, account storage.Account, id string) (storage.User, bool, error) {
	home, own, qualified := strings.Cut(id, "/")
	if qualified {
		of, ok, err := p.accountOfEitherKind(ctx, path, home)
		if err != nil || !ok {
			return storage.User{}, false, err
		}
		account, id = of, own
	}
	user, ok, err := p.member(ctx, account, id)
	if named := p.byID[id]; !ok && err == nil && len(named) == 1 && !qualified {
		return named[0], true, nil
	}
	if !ok && err == nil {
		p.faults.Add(path, "there is no user %s in account %s, and the document does not have exactly one user of that ID", id, account.ID)
	}
	return user, ok, err
}
