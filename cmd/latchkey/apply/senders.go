package apply

import (
	"context"
	"crypto/subtle"
	"encoding/json"

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
	p.faults = append(p.faults, item.Validate(path, ordercloud.KeptIn(want))...)
	if err := p.served(ctx, path, item, &want); err != nil {
		return err
	}
	fields := differences(ordercloud.MessageSenderFromRecord(base), ordercloud.MessageSenderFromRecord(want))
	secrets, err := p.secrets(item, &want)
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

// secrets seals those of the item that are new and names their members.
func (p *plan) secrets(item MessageSender, want *storage.Sender) (changed []string, err error) {
	for _, s := range []struct {
		member, context string
		given           []byte // nil: keep the stored one
		into            *storage.Sealed
	}{
		{"SharedKey", ordercloud.SharedKeyContext, text(item.SharedKey), &want.SharedKey},
		{"SigningSecrets", ordercloud.SigningSecretsContext, textList(item.SigningSecrets), &want.SigningSecrets},
		{"SMTP.Password", ordercloud.SMTPPasswordContext, text(smtpPassword(item)), &want.SMTP.Password},
	} {
		if s.given == nil || p.sealedAs(*s.into, s.context, s.given) {
			continue
		}
		if *s.into, err = p.Sealer.Seal(s.given, s.context); err != nil {
			return nil, err
		}
		changed = append(changed, s.member)
	}
	return changed, nil
}

// sealedAs tells whether what is stored is the secret that was given.
func (p *plan) sealedAs(stored storage.Sealed, context string, given []byte) bool {
	if len(stored.Data) == 0 {
		return false
	}
	opened, err := p.Sealer.Open(stored, context)
	return err == nil && subtle.ConstantTimeCompare(opened, given) == 1
}

func smtpPassword(item MessageSender) *string {
	if item.SMTP == nil {
		return nil
	}
	return item.SMTP.Password
}

func text(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// textList is how several secrets are kept in one (see
// storage.Sender.SigningSecrets).
func textList(list []string) []byte {
	if len(list) == 0 {
		return nil
	}
	encoded, _ := json.Marshal(list) // cannot fail on strings
	return encoded
}
