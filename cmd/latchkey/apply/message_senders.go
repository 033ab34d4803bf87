package apply

import (
	"context"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (p *plan) sender(ctx context.Context, path string, item MessageSender) error {
	stored, err := p.Senders.Sender(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Sender{RealmID: storage.DefaultRealmID})
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	p.faults = append(p.faults, item.Validate(path, wire.KeptIn(want))...)
	if err := p.deliveryConfig(ctx, path, want.DeliveryConfig); err != nil {
		return err
	}
	if err := p.assignSender(ctx, path, item, &want); err != nil {
		return err
	}
	fields := differences(wire.MessageSenderFromRecord(base), wire.MessageSenderFromRecord(want))
	secrets, err := item.SealSecrets(p.Sealer, &want)
	if err != nil {
		return err
	}
	fields = append(fields, secrets...)
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

// assignSender sets the assignments of the sender, if the item has any.
func (p *plan) assignSender(ctx context.Context, path string, item MessageSender, want *storage.Sender) error {
	if item.Assignments == nil {
		return nil
	}
	var uids []string
	want.AllowSeller = false
	err := each(ctx, item.Assignments, path+".Assignments", func(ctx context.Context, path string, a wire.MessageSenderAssignment) error {
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

// deliveryConfig adds a fault if the delivery config does not exist.
func (p *plan) deliveryConfig(ctx context.Context, path, id string) error {
	if id == "" {
		return nil
	}
	_, err := p.Senders.DeliveryConfig(ctx, id)
	ok, err := found(err)
	if !ok && err == nil {
		p.faults.Add(wire.Join(path, "DeliveryConfigID"), "there is no delivery config %s", id)
	}
	return err
}
