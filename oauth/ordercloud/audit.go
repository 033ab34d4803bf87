package ordercloud

import "latchkey/storage"

// record records that the caller changed an object, and which of its members have
// another value now.
func (a *API) record(c *call, action, object string, changed ...string) {
	a.recordOutcome(c, action, "success", object, changed...)
}

// recordOutcome records what the caller did, or tried to do, to an object.
func (a *API) recordOutcome(c *call, action, outcome, object string, changed ...string) {
	a.cfg.Record(c.Context(), c.caller.Client, c.caller.Principal, storage.AuditEvent{
		Action: action, Outcome: outcome, Object: object, Changed: changed,
	})
}
