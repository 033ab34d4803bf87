package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"latchkey/cmd/latchkey/apply"
	"latchkey/config"
	"latchkey/grants/signin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/server"
	"latchkey/storage"
)

// maxDocument is the largest size of a document, in bytes.
const maxDocument = 64 << 20

// applyFlags are the flags of "apply".
type applyFlags struct {
	file           string
	dryRun         bool
	forcePasswords bool
}

func (c *cli) applyCommand() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Bring realms, users, clients and senders in line with a document",
		Long: `Bring realms, users, clients and senders in line with a YAML or JSON document.

The whole document takes effect, or nothing. A second run changes nothing.
Records that the document does not mention are left alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd, flags) },
	}
	f := cmd.Flags()
	f.StringVarP(&flags.file, "file", "f", "", "the document; - for the standard input")
	f.BoolVar(&flags.dryRun, "dry-run", false, "show what would change and write nothing")
	f.BoolVar(&flags.forcePasswords, "force-passwords", false, "let a PasswordHash replace the password of a user who has one")
	return cmd
}

func (c *cli) apply(cmd *cobra.Command, flags applyFlags) error {
	data, err := c.readDocument(flags.file)
	if err != nil {
		return err
	}
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	doc, err := apply.Decode(data)
	if err != nil {
		return c.faulty(flags.file, err)
	}
	if err := server.CheckSenders(cfg, sendersOf(doc)); err != nil {
		return err
	}
	var result apply.Result
	open := c.withApp
	if flags.dryRun {
		open = c.withReadingApp
	}
	err = open(cmd.Context(), cfg, func(a *app) error {
		result, err = a.apply(cmd.Context(), doc, flags)
		return err
	})
	if err != nil {
		return c.faulty(flags.file, err)
	}
	if c.output == "text" {
		for _, warning := range result.Warnings {
			_, _ = fmt.Fprintf(c.stderr, "latchkey: warning: %s\n", oneLine(warning))
		}
	}
	return c.print(result, result.WriteText)
}

// readDocument reads the file, or the standard input for "-".
func (c *cli) readDocument(file string) ([]byte, error) {
	if file == "" {
		return nil, usagef("--file is required")
	}
	in := c.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("longer than %d bytes", maxDocument)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return data, nil
}

// sendersOf returns the document's senders as records.
func sendersOf(doc apply.Document) []storage.Sender {
	var senders []storage.Sender
	for _, s := range doc.MessageSenders {
		senders = append(senders, s.ToRecord(storage.Sender{}))
	}
	return senders
}

func (a *app) apply(ctx context.Context, doc apply.Document, flags applyFlags) (apply.Result, error) {
	if algs := signingAlgsOf(doc); len(algs) > 0 && !flags.dryRun {
		// Create the first key of an algorithm now, not in the first request.
		if err := a.openRing(ctx, algs...); err != nil {
			return apply.Result{}, err
		}
	}
	applier, err := a.newApplier(flags.forcePasswords)
	if err != nil {
		return apply.Result{}, err
	}
	result, err := applier.Apply(ctx, doc, flags.dryRun)
	if err == nil && !flags.dryRun {
		err = a.auditApply(ctx, filepath.Base(flags.file), result.Changes)
	}
	return result, err
}

// newApplier returns an applier on the app's store.
func (a *app) newApplier(forcePasswords bool) (*apply.Applier, error) {
	hasher, err := signin.NewHasher(signin.HasherConfig{Rand: a.random})
	if err != nil {
		return nil, err
	}
	return apply.New(apply.Config{
		Tx: a.store, Realms: a.store, SecurityProfiles: a.store, People: a.store,
		Logins: a.store, Clients: a.store, Senders: a.store,
		Hasher: hasher, Peppers: a.peppers, Sealer: a.sealer,
		ForcePasswords: forcePasswords, GuessCeiling: a.cfg.GuessCeiling, Now: a.now, Rand: a.random,
	})
}

func signingAlgsOf(doc apply.Document) []string {
	var algs []string
	for _, k := range doc.ApiClients {
		if k.SigningAlg != nil && !slices.Contains(algs, *k.SigningAlg) {
			algs = append(algs, *k.SigningAlg)
		}
	}
	return algs
}

// documentError is the error for a document with faults.
type documentError struct {
	file   string
	faults config.Faults
}

func (e documentError) Error() string {
	return fmt.Sprintf("%s: nothing was written, since the document has %d fault(s)", e.file, len(e.faults))
}

// Unwrap returns the faults, so that the exit code is that of a wrong configuration
// and the JSON report lists them.
func (e documentError) Unwrap() error { return e.faults }

// faulty turns ordercloud.Faults into a documentError. Unless the output is JSON, it
// prints each fault on a line of its own. It returns other errors unchanged.
func (c *cli) faulty(file string, err error) error {
	found, ok := errors.AsType[wire.Faults](err)
	if !ok {
		return err
	}
	faults := make(config.Faults, len(found))
	for i, f := range found {
		faults[i] = config.Fault{Setting: f.Path, Problem: f.Problem}
		if c.output == "text" {
			_, _ = fmt.Fprintf(c.stderr, "latchkey: %s\n", oneLine(f.String()))
		}
	}
	return documentError{file, faults}
}
