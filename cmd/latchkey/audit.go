package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/server/terminal"
	"latchkey/storage"
)

func (c *cli) auditCommand() *cobra.Command {
	head := &cobra.Command{
		Use:   "head",
		Short: "Print the number of the newest event and the MAC of its batch, for keeping elsewhere; see audit verify --expect",
		Args:  cobra.NoArgs,
		RunE:  c.withAudit(c.withReadingApp, c.auditHead),
	}
	return group("audit", "Audit events, and the chain that shows what was done to them",
		head, c.auditVerifyCommand(), c.auditExportCommand(), c.auditRestartCommand())
}

// withAudit opens an app by withExistingApp or withReadingApp for a command without
// arguments.
func (c *cli) withAudit(open opensApp, do func(context.Context, *app) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, err := c.load(cmd)
		if err != nil {
			return err
		}
		return open(cmd.Context(), cfg, func(a *app) error { return do(cmd.Context(), a) })
	}
}

func (c *cli) auditHead(ctx context.Context, a *app) error {
	head, err := a.store.AuditHead(ctx)
	if err != nil {
		return err
	}
	if head.Seq == 0 {
		return errors.New("no audit event has been written yet")
	}
	return c.print(map[string]string{"head": head.String()}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, head)
		return err
	})
}

func (c *cli) auditVerifyCommand() *cobra.Command {
	var expect string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the audit events are those that were written; exit code 1 if not",
		Long: `Check that the audit events are those that were written.

Each event has a number, and a MAC over itself and the MAC of the event before
it. Each batch of events has a MAC over that and the MAC of the batch before it. The
secret of the MACs is not in the database. So the command finds the first event that
was changed, deleted, added or moved. Deletions by retention are no fault.

Only --expect shows that somebody has restored the whole database from an older
copy: keep the output of "latchkey audit head" in a place that the writers of
the database cannot access, and pass it here. Events that are older than the
chain are counted, but not protected.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&expect, "expect", "", "an earlier head, SEQ:MAC, that must be part of the chain")
	cmd.RunE = c.withAudit(c.withReadingApp, func(ctx context.Context, a *app) error { return c.verifyAudit(ctx, a, expect) })
	return cmd
}

// auditView is the result of "audit verify" in the output.
type auditView struct {
	Intact  bool   `json:"intact"`
	Events  int64  `json:"events"`       // that were checked
	Outside int64  `json:"outside"`      // older than the chain
	Swept   int64  `json:"begins_after"` // number of the last event that retention deleted, or that is older than a restart
	Head    string `json:"head"`
	Broken  *int64 `json:"broken_at"`
	Reason  string `json:"reason,omitempty"`
	Key     string `json:"unknown_key,omitempty"`
}

func viewAudit(v storage.AuditVerdict) auditView {
	view := auditView{Intact: v.Break == nil, Events: v.Events, Outside: v.Outside, Swept: v.Swept, Head: v.Head.String()}
	if v.Break != nil {
		view.Broken, view.Reason, view.Key = &v.Break.Seq, v.Break.Why, v.Break.Key
	}
	return view
}

func (c *cli) verifyAudit(ctx context.Context, a *app, expect string) error {
	head, ok := storage.ParseAuditHead(expect)
	if !ok {
		return usagef("--expect must be SEQ:MAC as latchkey audit head prints it")
	}
	v, err := a.store.VerifyAudit(ctx, head, nil)
	if err != nil {
		return err
	}
	view := viewAudit(v)
	if err := c.print(view, func(w io.Writer) error {
		_, err := io.WriteString(w, view.text())
		return err
	}); err != nil {
		return err
	}
	switch {
	case v.Break == nil:
		return nil
	case v.Break.Key != "":
		return fmt.Errorf("audit event %d cannot be checked: %s", v.Break.Seq, v.Break.Why)
	}
	return fmt.Errorf("the chain of audit events is broken at event %d: %s", v.Break.Seq, v.Break.Why)
}

func (v auditView) text() string {
	text := fmt.Sprintf("%d events are as they were written", v.Events)
	if v.Swept > 0 {
		text += fmt.Sprintf(", from number %d on", v.Swept+1)
	}
	if v.Outside > 0 {
		text += fmt.Sprintf("; %d from before the chain are not protected", v.Outside)
	}
	if v.Intact {
		text += "\nhead " + v.Head
	}
	return text + "\n"
}

// exportFlags are those of "audit export".
type exportFlags struct {
	since, until string
	actions      []string
}

func (c *cli) auditExportCommand() *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print audit events as lines of JSON, in the order of their times",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringVar(&flags.since, "since", "", "from this time on: RFC 3339, or so long ago, as 24h or 30d")
	cmd.Flags().StringVar(&flags.until, "until", "", "up to this time, likewise")
	cmd.Flags().StringArrayVar(&flags.actions, "action", nil, "only events of this action, such as sign_in; repeatable")
	cmd.RunE = c.withAudit(c.withReadingApp, func(ctx context.Context, a *app) error { return c.exportAudit(ctx, a, flags) })
	return cmd
}

func (c *cli) exportAudit(ctx context.Context, a *app, flags exportFlags) (err error) {
	filter := storage.AuditFilter{Actions: flags.actions}
	if filter.Since, err = c.moment("--since", flags.since); err != nil {
		return err
	}
	if filter.Until, err = c.moment("--until", flags.until); err != nil {
		return err
	}
	lines := json.NewEncoder(terminal.JSON(c.stdout))
	lines.SetEscapeHTML(false)
	return a.store.EachAuditEvent(ctx, filter, func(r storage.AuditRecord) error { return lines.Encode(wire.ExportedAuditEventFromRecord(r)) })
}

var daysAgo = regexp.MustCompile(`^([0-9]{1,4})d$`)

// moment parses a time, or a duration before now. Empty text is the zero time.
func (c *cli) moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days := daysAgo.FindStringSubmatch(text); days != nil {
		n, _ := strconv.Atoi(days[1]) // four digits
		return c.now().UTC().AddDate(0, 0, -n), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return c.now().UTC().Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	return time.Time{}, usagef("%s must be a time of RFC 3339, or how long ago, as 24h or 30d, not %q", flag, text)
}

func (c *cli) auditRestartCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restart",
		Short: "Start a new chain after a break has been investigated",
		Long: `Start a new chain after a break has been investigated.

All existing events stay, but they are outside of the new chain: they are counted
and not protected. Export them first. The first event of the new chain records
who ran this command.`,
		Args: cobra.NoArgs,
		RunE: c.withAudit(c.withExistingApp, func(ctx context.Context, a *app) error {
			outside, err := a.store.RestartAudit(ctx, a.byOperator("audit.chain_restarted", ""))
			if err != nil {
				return err
			}
			return c.done("the chain begins anew; %d events are outside of it", outside)
		}),
	}
}
