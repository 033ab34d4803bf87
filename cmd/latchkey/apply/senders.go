package apply

import (
	"context"
	"crypto/subtle"

	"latchkey/oauth/ordercloud"
	"latchkey/storage"
)

func (p *plan) sender(ctx context.Context, path string, item MessageSender) error {
	stored, err := p.Senders.Sender(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Sender{RealmID: storage.DefaultRealmID})
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	p.faults = append(p.faults, item.Validate(path, len(want.SharedKey.Data) > 0)...)
	if err := p.served(ctx, path, item, &want); err != nil {
		return err
	}
	newKey, err := p.sharedKey(item, &want)
	if err != nil {
		return err
	}
	fields := differences(ordercloud.MessageSenderFromRecord(base), ordercloud.MessageSenderFromRecord(want))
	if newKey {
		fields = append(fields, "SharedKey")
	}
	if base.AllowSeller != want.AllowSeller || !sameSet(base.AccountUIDs, want.AccountUIDs) {
		fields = append(fields, "Assignments")
	}
	if !want.AllowAllBuyers && !want.AllowSeller && len(want.AccountUIDs) == 0 {
		p.result.warn(path, "MessageSender %s serves nobody: set AllowAllBuyers, or assign a buyer, a supplier or the admin users", want.ID)
	}
	if p.change("MessageSender", want.ID, isNew, fields) {
		put(p, want, p.Senders.PutSender)
	}
	return nil
}

// served sets whom the sender is assigned to, if the item says so.
func (p *plan) served(ctx context.Context, path string, item MessageSender, want *storage.Sender) error {
	if item.Assignments == nil {
		return nil
	}
	var uids []string
	want.AllowSeller = false
	err := each(ctx, item.Assignments, path+".Assignments", func(ctx context.Context, path string, a ordercloud.MessageSenderAssignment) error {
		account, ok, err := p.party(ctx, path, a.BuyerID, a.SupplierID)
		switch {
		case !ok:
		case account.Kind == storage.Admin:
			want.AllowSeller = true
		default:
			uids = append(uids, account.UID)
		}
		return err
	})
	want.AccountUIDs = sorted(uids)
	return err
}

// sharedKey seals the item's key unless the stored one is the same.
func (p *plan) sharedKey(item MessageSender, want *storage.Sender) (changed bool, err error) {
	if item.SharedKey == nil {
		return false, nil
	}
	if len(want.SharedKey.Data) > 0 {
		stored, err := p.Sealer.Open(want.SharedKey, ordercloud.SharedKeyContext)
		if err == nil && subtle.ConstantTimeCompare(stored, []byte(*item.SharedKey)) == 1 {
			return false, nil
		}
	}
	want.SharedKey, err = p.Sealer.Seal([]byte(*item.SharedKey), ordercloud.SharedKeyContext)
	return true, err
}
