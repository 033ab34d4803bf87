package admin

import (
	"context"
	"encoding/json"

	"latchkey/storage"
)

// AuditChainObject is the Object of tasks and audit events about the chain of audit events.
const AuditChainObject = "AuditChain"

// AuditVerifier verifies the chain of audit events; *gormstore.Store is one.
type AuditVerifier interface {
	VerifyAudit(ctx context.Context, expect storage.AuditHead, progress func(read, all int64) error) (storage.AuditVerdict, error)
}

// AuditVerification is the request of a task of the kind storage.TaskAuditVerification. The
// result is a storage.AuditVerdict.
type AuditVerification struct {
	Expect storage.AuditHead // an earlier head that must be part of the chain; zero: none
}

// VerifyAuditChain returns the tasks that verify the chain of audit events.
func VerifyAuditChain(store AuditVerifier) TaskKind {
	return TaskKind{Action: "auditchain.verified", Work: func(ctx context.Context, t storage.Task, progress func(read, all int64) error) (any, string, error) {
		var request AuditVerification
		if err := json.Unmarshal(t.Request, &request); err != nil {
			return nil, "", err
		}
		verdict, err := store.VerifyAudit(ctx, request.Expect, progress)
		outcome := "success"
		if verdict.Break != nil {
			outcome = "broken"
		}
		return verdict, outcome, err
	}}
}
