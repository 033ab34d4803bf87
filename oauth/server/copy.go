package server

import (
	"context"
	"errors"
	"fmt"

	"latchkey/config"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// CopyResult is the result of Copy and Restore.
type CopyResult struct {
	Tables  []gormstore.CopiedTable
	Secrets int                  // all open with the master key
	Audit   storage.AuditVerdict // of the copied audit events
}

// Progress is called while tables are copied; see gormstore.CopyConfig.
type Progress func(table string, rows int64, done bool)

// CopyConfig has the audit event of a copy and the function that gets its progress.
type CopyConfig struct {
	Event    storage.AuditEvent // recorded in the target as its newest event
	Progress Progress
}

// Copy copies the database of the URL from into the database of the URL to, which
// must be empty and gets its schema. Servers may run on the source. Before the copy takes
// effect, the digests of all tables are compared, every sealed secret is opened with the
// master keys of the source, and the chain of audit events is verified.
func Copy(ctx context.Context, cfg Config, from, to config.DatabaseURL, copying CopyConfig) (CopyResult, error) {
	source, err := OpenStoreReadOnly(ctx, cfg.at(from))
	if err != nil {
		return CopyResult{}, err
	}
	result, err := func() (CopyResult, error) {
		if err := source.CheckSchema(ctx); err != nil {
			return CopyResult{}, err
		}
		masterKeys, err := masterKeysOf(ctx, cfg.at(from), source)
		if err != nil {
			return CopyResult{}, err
		}
		fill := filling{cfg: cfg.at(to), masterKeys: masterKeys, copying: copying, wholeChain: true}
		return fill.from(ctx, source)
	}()
	return result, errors.Join(err, source.Close())
}

// Restore copies a backup into the database of the settings, which must be empty and
// gets its schema. It checks what Copy checks, but an incomplete chain of audit events is
// restored as it is: the result says so.
func Restore(ctx context.Context, cfg Config, file string, copying CopyConfig) (CopyResult, gormstore.Manifest, error) {
	source, manifest, err := gormstore.OpenBackup(ctx, file)
	if err != nil {
		return CopyResult{}, manifest, err
	}
	result, err := func() (CopyResult, error) {
		if e, wrong := errors.AsType[gormstore.SchemaError](source.CheckSchema(ctx)); wrong {
			return CopyResult{}, fmt.Errorf("%s has the schema of version %d; this program needs version %d. Restore it with the release that made it, and upgrade then", file, e.Found, e.Needs)
		}
		masterKeys, err := masterKeysOf(ctx, cfg, source)
		if err != nil {
			return CopyResult{}, err
		}
		fill := filling{cfg: cfg, masterKeys: masterKeys, copying: copying, expect: manifest.Tables}
		return fill.from(ctx, source)
	}()
	return result, manifest, errors.Join(err, source.Close())
}

// at returns the configuration for another database. The direct URL belongs to the
// configured one.
func (c Config) at(url config.DatabaseURL) Config {
	if url != c.Settings.DatabaseURL {
		c.Settings.DatabaseURL, c.Settings.DatabaseDirectURL = url, config.DatabaseURL{}
	}
	return c
}

// masterKeysOf returns the configured master keys. A database without secrets needs none.
func masterKeysOf(ctx context.Context, cfg Config, store *gormstore.Store) ([][]byte, error) {
	sealed, err := store.Peppers(ctx)
	if err != nil || len(sealed) == 0 {
		return nil, err
	}
	return cfg.Settings.ResolveMasterKeys(nil)
}

// filling is one run that fills an empty database.
type filling struct {
	cfg        Config // of the target
	masterKeys [][]byte
	copying    CopyConfig
	expect     []gormstore.CopiedTable
	wholeChain bool // a broken chain of audit events is an error
}

func (f filling) from(ctx context.Context, source *gormstore.Store) (result CopyResult, err error) {
	target, err := OpenStore(ctx, f.cfg)
	if err != nil {
		return CopyResult{}, err
	}
	result.Tables, err = target.CopyFrom(ctx, source, gormstore.CopyConfig{
		Expect: f.expect, Progress: f.copying.Progress,
		Finish: func(ctx context.Context, _ []gormstore.CopiedTable) error { return f.check(ctx, target, &result) },
	})
	if err != nil {
		err = fmt.Errorf("to %s: %w", f.cfg.Settings.DatabaseURL, err)
	}
	return result, errors.Join(err, target.Close())
}

// check opens the secrets and verifies the audit events in the target.
func (f filling) check(ctx context.Context, target *gormstore.Store, result *CopyResult) error {
	if f.masterKeys == nil {
		return nil
	}
	app, err := newApp(ctx, f.cfg, target, target, f.masterKeys)
	if err != nil {
		return err
	}
	if result.Secrets, err = app.Rewrapper().Check(ctx); err != nil {
		return err
	}
	if result.Audit, err = target.VerifyAudit(ctx, storage.AuditHead{}, nil); err != nil {
		return err
	}
	if broken := result.Audit.Break; broken != nil && f.wholeChain && result.Audit.Head.Seq > 0 {
		return fmt.Errorf("the chain of audit events of the source is broken at event %d: %s (run `latchkey audit verify` on the source)", broken.Seq, broken.Why)
	}
	return target.AddAuditEvents(ctx, []storage.AuditEvent{f.copying.Event})
}
