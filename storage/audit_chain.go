package storage

import "time"

// AuditKeys computes the MACs that chain audit events. Whoever can only write
// to the database does not have the secrets behind them.
type AuditKeys interface {
	// CurrentID names the secret that new events are chained under.
	CurrentID() string
	// MAC is the keyed digest of data for the purpose under the secret of that
	// id; false: there is no such secret.
	MAC(keyID, purpose string, data []byte) (mac []byte, known bool)
}

// AuditRecord is an audit event as it was written down.
type AuditRecord struct {
	AuditEvent
	Seq   int64  // from 1 on without gaps; 0: from before events were chained
	KeyID string // the secret that MAC is made with
	MAC   []byte // over the event and the MAC of the one before it
}

// AuditFilter selects audit events. The zero value selects all of them.
type AuditFilter struct {
	Since   time.Time // this or later; zero: from the first on
	Until   time.Time // before this; zero: to the last
	Actions []string  // one of these; none: any
}

// Admits tells whether the filter selects the event.
func (f AuditFilter) Admits(e AuditEvent) bool {
	if e.Time.Before(f.Since) || !f.Until.IsZero() && !e.Time.Before(f.Until) {
		return false
	}
	for _, action := range f.Actions {
		if action == e.Action {
			return true
		}
	}
	return len(f.Actions) == 0
}

// AuditHead names an event of the chain, and with its MAC all those before it.
type AuditHead struct {
	Seq int64
	MAC []byte
}

// AuditBreak is the first place where the chain is not what was written.
type AuditBreak struct {
	Seq int64 // of the first event that is missing, changed or not to be checked
	Why string
	Key string // the unknown secret, if that is all that is known
}

// AuditVerdict is what became of the chain of audit events.
type AuditVerdict struct {
	Events  int64     // that were found intact
	Outside int64     // from before events were chained, which nothing protects
	Swept   int64     // the last event that retention deleted; 0: none
	Head    AuditHead // the last event
	Break   *AuditBreak
}

// AuditChainBroken is the action of the event that the store itself writes when
// it finds that somebody else has changed where the chain ends.
const AuditChainBroken = "audit.chain_broken"
