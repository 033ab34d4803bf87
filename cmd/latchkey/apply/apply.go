package apply

import (
	"context"
	"fmt"
)

// Applier imports documents.
type Applier struct{ cfg Config }

// New returns an Applier. It fails if a required field is missing.
func New(cfg Config) (*Applier, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Applier{cfg}, nil
}

// Apply compares the stored records with the document. Unless dryRun, it writes all
// differences or, if there is an error, nothing. The error is wire.Faults if
// the stored records do not allow what the document says; it lists all faults. After
// storage.ErrStale and storage.ErrConflict another run may succeed: a record was
// changed at the same time.
func (a *Applier) Apply(ctx context.Context, doc Document, dryRun bool) (Result, error) {
	p := newPlan(a.cfg, dryRun)
	if err := p.build(ctx, doc); err != nil {
		return Result{}, err
	}
	if err := p.faults.Err(); err != nil {
		return Result{}, err
	}
	if dryRun || len(p.writes) == 0 {
		return p.result, nil
	}
	err := a.cfg.Tx.InTx(ctx, func(ctx context.Context) error {
		for _, write := range p.writes {
			if err := write(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("apply: %w", err)
	}
	return p.result, nil
}

// build plans each item after the items that it refers to. It continues after a fault and
// collects all of them. It returns at the first error.
func (p *plan) build(ctx context.Context, doc Document) error {
	for _, part := range []func() error{
		func() error { return each(ctx, doc.Realms, "authentication_realms", p.realm) },
		func() error { return each(ctx, doc.Buyers, "Buyers", p.buyer) },
		func() error { return each(ctx, doc.Suppliers, "Suppliers", p.supplier) },
		func() error { return each(ctx, doc.AdminUsers, "AdminUsers", p.adminUser) },
		func() error { return each(ctx, doc.SecurityProfiles, "SecurityProfiles", p.securityProfile) },
		func() error { return p.checkPasswords(ctx) },
		func() error { return each(ctx, doc.ApiClients, "ApiClients", p.client) },
		func() error { return each(ctx, doc.MessageSenders, "MessageSenders", p.sender) },
		func() error { return each(ctx, doc.Memberships, "account_memberships", p.membership) },
		func() error { return p.prune(ctx, doc) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}
