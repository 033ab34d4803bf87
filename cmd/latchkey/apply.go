package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	prune          bool

	notice func(format string, args ...any) error // prints a line besides the result
}

func (c *cli) applyCommand() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Bring realms, users, clients and senders in line with a document",
		Long: `Bring realms, users, clients and senders in line with a YAML or JSON document.

The whole document takes effect, or nothing. A second run changes nothing.
Records that the document does not mention are left alone, unless --prune is given:
then each list that the document has is complete, and other records of these lists
are deleted. docs/APPLY.md describes the document.

A secret may be in the environment or in a file instead: ClientSecret: ${NAME}, or
ClientSecretFile: PATH. Paths are relative to the document.`,
		Example: `  latchkey apply -f shop.yaml --dry-run
  latchkey export | latchkey apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.apply(cmd, flags) },
	}
	cmd.AddCommand(c.applySchemaCommand())
	f := cmd.Flags()
	f.StringVarP(&flags.file, "file", "f", "", "the document; - for the standard input")
	f.BoolVar(&flags.dryRun, "dry-run", false, "show what would change and write nothing")
	f.BoolVar(&flags.prune, "prune", false, "delete the records that the document does not name, of each list that it has")
	f.BoolVar(&flags.forcePasswords, "force-passwords", false, "let a PasswordHash replace the password of a user who has one")
	return cmd
}

// secrets reads the secrets that a document refers to. Paths are relative to it.
func (c *cli) secrets(document string) apply.Secrets {
	return apply.Secrets{
		Lookup: func(name string) (string, bool) {
			for _, variable := range slices.Backward(c.environ) {
				if value, ok := strings.CutPrefix(variable, name+"="); ok {
					return value, true
				}
			}
			return "", false
		},
		ReadFile: func(path string) ([]byte, error) {
			if !filepath.IsAbs(path) && document != "-" {
				path = filepath.Join(filepath.Dir(document), path)
			}
			return os.ReadFile(path)
		},
	}
}

func (c *cli) applySchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the document, for editors",
		Example: "  latchkey apply schema >latchkey.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := c.stdout.Write(apply.Schema())
			return err
		},
	}
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
	doc, err := apply.Decode(data, c.secrets(flags.file))
	if err != nil {
		return c.faulty(flags.file, data, err)
	}
	if err := server.CheckSenders(cfg, sendersOf(doc)); err != nil {
		return err
	}
	flags.notice = c.notice
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
		return c.faulty(flags.file, data, err)
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
	applier, err := a.newApplier(flags)
	if err != nil {
		return apply.Result{}, err
	}
	if flags.prune && !flags.dryRun {
		if err := a.announceDeletions(ctx, applier, doc, flags); err != nil {
			return apply.Result{}, err
		}
	}
	result, err := applier.Apply(ctx, doc, flags.dryRun)
	if err == nil && len(doc.MessageSenders) > 0 {
		var senders []storage.Sender
		senders, err = server.WithStoredSenders(ctx, a.store, sendersOf(doc))
		result.Warnings = append(result.Warnings, server.SenderWarnings(a.cfg, senders)...)
	}
	if err == nil && !flags.dryRun {
		err = a.auditApply(ctx, filepath.Base(flags.file), result.Changes)
	}
	return result, err
}

// announceDeletions prints what will be deleted, before it is.
func (a *app) announceDeletions(ctx context.Context, applier *apply.Applier, doc apply.Document, flags applyFlags) error {
	planned, err := applier.Apply(ctx, doc, true)
	if err != nil {
		return err
	}
	for _, change := range planned.Changes {
		if change.Action == apply.Delete {
			if err := flags.notice("will %s", change); err != nil {
				return err
			}
		}
	}
	return nil
}

// newApplier returns an applier on the app's store.
func (a *app) newApplier(flags applyFlags) (*apply.Applier, error) {
	hasher, err := signin.NewHasher(signin.HasherConfig{Rand: a.random})
	if err != nil {
		return nil, err
	}
	cfg := apply.Config{
		Tx: a.store, Realms: a.store, SecurityProfiles: a.store, People: a.store,
		Logins: a.store, Clients: a.store, Senders: a.store,
		Hasher: hasher, Peppers: a.peppers, Sealer: a.sealer,
		ForcePasswords: flags.forcePasswords, GuessCeiling: a.cfg.GuessCeiling, Now: a.now, Rand: a.random,
	}
	if flags.prune {
		cfg.Prune = a.store
	}
	return apply.New(cfg)
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

// faulty turns wire.Faults of a document into a documentError. Unless the output is
// JSON, it prints each fault on a line of its own, behind the file and the line of the
// document. It returns other errors unchanged.
func (c *cli) faulty(file string, data []byte, err error) error {
	found, ok := errors.AsType[wire.Faults](err)
	if !ok {
		return err
	}
	faults := make(config.Faults, len(found))
	for i, f := range found {
		faults[i] = config.Fault{Setting: f.Path, Problem: f.Problem}
		if c.output == "text" {
			place := file
			if line := apply.Line(data, f.Path); line > 0 && f.Path != "" {
				place += fmt.Sprintf(":%d", line)
			}
			_, _ = fmt.Fprintf(c.stderr, "latchkey: %s: %s\n", place, oneLine(f.String()))
		}
	}
	return documentError{file, faults}
}
