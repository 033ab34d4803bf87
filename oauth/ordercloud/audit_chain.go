package ordercloud

import (
	"net/http"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// auditReaders returns the roles of those who read audit events.
func auditReaders() []string { return []string{"AuditReader"} }

// auditChain is the chain of audit events, and its verifications.
type auditChain struct{ *API }

func (a auditChain) routes() []route {
	const path = "/v1/auditchain"
	operation := func(method, under, verb, summary string, answers map[int]any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path + under, ID: operationID("auditchain"+under, verb), Tag: "AuditEvent", Summary: summary,
			Roles: auditReaders(), Answers: answers, Refuses: refuses,
		}
	}
	shown := map[int]any{http.StatusOK: wire.AuditVerification{}}
	list := operation(http.MethodGet, "/verifications", "List", "List the verifications of the chain, which are kept for a week",
		map[int]any{http.StatusOK: wire.List[wire.AuditVerification]{}}, 400)
	list.Query = listParameters()
	start := operation(http.MethodPost, "/verifications", "Create", "Start to verify that the audit events are as they were written",
		map[int]any{http.StatusCreated: wire.AuditVerification{}, http.StatusOK: wire.AuditVerification{}}, 400, 409)
	start.Body = wire.AuditVerificationRequest{}
	return []route{
		{
			Operation: operation(http.MethodGet, "", "Get", "Get the state of the chain of audit events", map[int]any{http.StatusOK: wire.AuditChain{}}),
			serve:     a.get,
		},
		{Operation: list, serve: a.list},
		{Operation: start, serve: a.start},
		{
			Operation: operation(http.MethodGet, "/verifications/{verificationID}", "Get", "Get a verification with its progress or its result", shown, 404),
			serve:     a.getVerification,
		},
	}
}

func (a auditChain) get(c *call) (surface.Answer, error) {
	state, err := a.cfg.Stores.Records.AuditState(c.Context())
	if err != nil {
		return surface.Answer{}, err
	}
	newest, err := a.cfg.Tasks.List(c.Context(), storage.TaskAuditVerification, admin.AuditChainObject)
	if err != nil {
		return surface.Answer{}, err
	}
	shown, err := wire.AuditChainFromCore(state, newest)
	return surface.Answer{Status: http.StatusOK, Body: shown}, err
}

func (a auditChain) list(c *call) (surface.Answer, error) {
	return listTasks(c, storage.TaskAuditVerification, admin.AuditChainObject, wire.AuditVerificationFromTask)
}

// start answers with a new verification. A request without Expect is answered with a
// verification that has not ended, if there is one.
func (a auditChain) start(c *call) (surface.Answer, error) {
	var w wire.AuditVerificationRequest
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	head, ok := storage.ParseAuditHead(surface.ValueOr(w.Expect, ""))
	if !ok {
		return surface.Answer{}, wire.Faults{{Path: "Expect", Problem: "must be the Head of the chain at an earlier time"}}
	}
	newest, err := a.cfg.Tasks.List(c.Context(), storage.TaskAuditVerification, admin.AuditChainObject)
	if err != nil {
		return surface.Answer{}, err
	}
	status, found := http.StatusOK, false
	var t storage.Task
	for i := range newest {
		if newest[i].EndedAt.IsZero() && head.Seq == 0 {
			t, found = newest[i], true
		}
	}
	if !found {
		status = http.StatusCreated
		if t, err = a.startTask(c, storage.TaskAuditVerification, admin.AuditChainObject, admin.AuditVerification{Expect: head}); err != nil {
			return surface.Answer{}, err
		}
	}
	shown, err := wire.AuditVerificationFromTask(t)
	return surface.Answer{Status: status, Body: shown}, err
}

func (a auditChain) getVerification(c *call) (surface.Answer, error) {
	t, err := a.task(c, storage.TaskAuditVerification, admin.AuditChainObject, "AuditVerification", c.PathValue("verificationID"))
	if err != nil {
		return surface.Answer{}, err
	}
	shown, err := wire.AuditVerificationFromTask(t)
	return surface.Answer{Status: http.StatusOK, Body: shown}, err
}
