package main

import (
	"context"
	"os/user"
	"strings"
	"time"

	"latchkey/cmd/latchkey/apply"
	"latchkey/storage"
)

// sourceCLI is the source in audit events of commands. Events of requests have an
// address instead.
const sourceCLI = "cli"

// osUser returns the name of the operating system user that runs the program.
func osUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// byOperator returns the audit event of a change that a command has made.
func (c *cli) byOperator(action, object string) storage.AuditEvent {
	return byOperator(c.now, action, object)
}

// byOperator is cli.byOperator for a command that has an app.
func (a *app) byOperator(action, object string) storage.AuditEvent {
	return byOperator(a.now, action, object)
}

func byOperator(now func() time.Time, action, object string) storage.AuditEvent {
	return storage.AuditEvent{
		Time: now().UTC(), Action: action, Outcome: "success", Username: osUser(), Source: sourceCLI, Object: object,
	}
}

// audit stores the audit event of a change, before the command reports the change.
// Call it in the transaction of the change, so that neither is stored without the
// other.
func (a *app) audit(ctx context.Context, action, object string) error {
	return a.store.AddAuditEvents(ctx, []storage.AuditEvent{a.byOperator(action, object)})
}

// auditApply stores an audit event for the run of a document and for each changed
// record. The actions have the same names as those of changes through /v1.
func (a *app) auditApply(ctx context.Context, file string, changes []apply.Change) error {
	events := []storage.AuditEvent{a.byOperator("document.applied", "Document/"+file)}
	for _, change := range changes {
		events = append(events, a.byOperator(strings.ToLower(change.Kind)+"."+change.Action+"d", change.Kind+"/"+change.ID))
	}
	return a.store.AddAuditEvents(ctx, events)
}
