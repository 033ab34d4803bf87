package storage

import "time"

// CodeFunnel counts what happened to codes in a period.
type CodeFunnel struct {
	Since     time.Time
	Requested int // requests for a code
	Delivered int // messages with a code that a receiver accepted
	Dead      int // messages with a code that cannot be delivered
	Redeemed  int // codes that were used
	Expired   int // codes whose time ended and that nobody used or replaced
	Guessed   int // sign-ins with a wrong secret while a code was live

	// AtLeast is set if the period has more events than the store counts. Then only the last
	// part of the period was counted, so the numbers are lower bounds.
	AtLeast bool
}

// SenderActivity counts the queued messages of a sender and its delivery attempts since a
// given time.
type SenderActivity struct {
	SenderID     string
	Queued       int       // messages that are not delivered yet
	OldestQueued time.Time // when the oldest of them was queued; zero: there is none
	Accepted     int       // attempts that a receiver accepted
	Failed       int       // attempts that failed
	FailedSince  int       // failed attempts since the last accepted one
	AcceptedAt   time.Time // time of the last accepted attempt; zero: there is none
	FailedAt     time.Time // time of the last failed attempt; zero: there is none
	Error        string    // error of the last failed attempt
}

// RunningServers are the servers that run on a database.
type RunningServers struct {
	All     int
	Unaware int // servers that are not notified of changes by other servers and do not poll for them
}

// DeadMessages counts the messages that could not be delivered.
type DeadMessages struct {
	Count   int
	Last    time.Time // when the last of them became undeliverable; zero: there is none
	Senders []string  // IDs of the senders of these messages
}
