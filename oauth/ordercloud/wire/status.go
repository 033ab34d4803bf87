package wire

import (
	"time"

	"latchkey/storage"
)

// Status says how the servers on the database are doing.
type Status struct {
	Checks []StatusCheck // those that the caller may see
}

// StatusCheck is the result of one check.
type StatusCheck struct {
	Name   string // "audit_chain", "dead_letters", "senders", "signing_keys", "servers", "retention"
	State  string // "ok", "warning", "failing", "unknown"
	Count  int64  // verified events, dead messages, failing senders, keys due, servers, tables
	Since  *time.Time
	About  []string // IDs of senders and keys, or names of tables, that the state is due to
	Detail *string
}

// OneTimePasswordFunnel counts what became of codes.
type OneTimePasswordFunnel struct {
	Until   time.Time
	Periods []FunnelPeriod // the last hour and the last day
}

// FunnelPeriod counts what happened in a period.
type FunnelPeriod struct {
	Since     time.Time
	Requested int
	Delivered int  // messages with a code that a receiver accepted
	Redeemed  int  // codes that were used
	Expired   int  // codes that nobody used in time
	Dead      int  // messages with a code that cannot be delivered
	Guessed   int  // sign-ins with a wrong code
	AtLeast   bool // there was too much to count; the numbers are those of the last part
}

// FunnelPeriodFromRecord returns the counts as they are shown to administrators.
func FunnelPeriodFromRecord(f storage.CodeFunnel) FunnelPeriod {
	return FunnelPeriod{
		Since: f.Since, Requested: f.Requested, Delivered: f.Delivered, Redeemed: f.Redeemed, Expired: f.Expired,
		Dead: f.Dead, Guessed: f.Guessed, AtLeast: f.AtLeast,
	}
}
