package storage

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AuditKeys computes the MACs that chain audit events. Somebody who can only
// write to the database does not have the secrets, so cannot forge the chain.
type AuditKeys interface {
	// CurrentID returns the id of the secret for new events.
	CurrentID() string
	// MAC returns the keyed digest of data for the purpose under the secret with
	// that id. known is false if there is no such secret.
	MAC(keyID, purpose string, data []byte) (mac []byte, known bool)
}

// AuditRecord is a stored audit event with its place in the chain.
type AuditRecord struct {
	AuditEvent
	Seq   int64  // from 1 without gaps; 0: stored before events were chained
	KeyID string // of the secret that MAC was computed with
	MAC   []byte // over the event and the MAC of the previous one in its batch
}

// AuditFilter selects audit events. The zero value selects all of them.
type AuditFilter struct {
	Since   time.Time   // events at this time or later; zero: from the first
	Until   time.Time   // events before this time; zero: to the last
	Actions []string    // events with one of these actions; empty: with any
	Where   []Condition // further conditions, as for a list of audit events
}

// Conditions returns the whole filter in the form of a list's conditions.
func (f AuditFilter) Conditions() []Condition {
	all := slices.Clone(f.Where)
	at := func(op Op, t time.Time) {
		if !t.IsZero() {
			all = append(all, Condition{Fields: []string{"Time"}, Tests: []Test{{Op: op, Value: t.UTC().Format(time.RFC3339Nano)}}})
		}
	}
	at(OpGreaterOrEqual, f.Since)
	at(OpLess, f.Until)
	if len(f.Actions) > 0 {
		action := Condition{Fields: []string{"Action"}}
		for _, a := range f.Actions {
			action.Tests = append(action.Tests, Test{Op: OpEqual, Value: a})
		}
		all = append(all, action)
	}
	return all
}

// AuditHead identifies a batch of the chain. Its MAC covers all earlier batches.
type AuditHead struct {
	Seq int64 // of the last event of the batch
	MAC []byte
}

// String returns the head as one word, such as "17:pX0…".
func (h AuditHead) String() string {
	return strconv.FormatInt(h.Seq, 10) + ":" + base64.RawURLEncoding.EncodeToString(h.MAC)
}

// ParseAuditHead parses the result of AuditHead.String. ok is false for other texts. Empty
// text is the zero AuditHead.
func ParseAuditHead(text string) (h AuditHead, ok bool) {
	if text == "" {
		return h, true
	}
	seq, mac, _ := strings.Cut(text, ":")
	number, seqErr := strconv.ParseInt(seq, 10, 64)
	digest, macErr := base64.RawURLEncoding.DecodeString(mac)
	return AuditHead{Seq: number, MAC: digest}, seqErr == nil && macErr == nil && number > 0 && len(digest) > 0
}

// AuditBreak is the first place where the chain differs from what was written.
type AuditBreak struct {
	Seq int64 // of the first event that is missing, changed or cannot be checked; 0: rows outside of the chain
	Why string
	Key string // id of the secret that is missing, if the event cannot be checked for that reason
}

// AuditVerdict is the result of checking the chain of audit events.
type AuditVerdict struct {
	Events  int64       // number of intact events
	Outside int64       // number of events from before events were chained; nothing protects them
	Swept   int64       // Seq of the last event that retention deleted; 0: none
	Head    AuditHead   // the last batch
	Break   *AuditBreak // nil: the chain is intact
}

// AuditChainBroken is the action of the event that the store records when the
// stored end of the chain was changed from outside.
const AuditChainBroken = "audit.chain_broken"
