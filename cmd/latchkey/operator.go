package main

import (
	"context"
	"os/user"
	"strings"

	"latchkey/cmd/latchkey/apply"
	"latchkey/storage"
)

// sourceCLI is the source of what was done by a command: audit events of
// requests have an address there.
const sourceCLI = "cli"

// osUser is the operating system's name for whoever runs the program.
func osUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// byOperator is the event of something that a command has done.
func (a *app) byOperator(action, object string) storage.AuditEvent {
	return storage.AuditEvent{
		Time: a.now().UTC(), Action: action, Outcome: "success", Username: osUser(), Source: sourceCLI, Object: object,
	}
}

// audit writes down that a command did something, before the command says so.
// In the transaction of what was done the one does not happen without the
// other.
func (a *app) audit(ctx context.Context, action, object string) error {
	return a.store.AddAuditEvents(ctx, []storage.AuditEvent{a.byOperator(action, object)})
}

// auditApply writes down the run of a document and each record that it changed,
// under the name that the same change has when it is made through /v1.
func (a *app) auditApply(ctx context.Context, file string, changes []apply.Change) error {
	events := []storage.AuditEvent{a.byOperator("document.applied", "Document/"+file)}
	for _, change := range changes {
		events = append(events, a.byOperator(strings.ToLower(change.Kind)+"."+change.Action+"d", change.Kind+"/"+change.ID))
	}
	return a.store.AddAuditEvents(ctx, events)
}
