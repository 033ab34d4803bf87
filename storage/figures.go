package storage

import "time"

// CodeFunnel counts what happened to codes in a period.
type CodeFunnel struct {
	Since     time.Time
	Requested int // requests for a code
	Delivered int // messages with a code that a receiver accepted
	Dead      int // messages with a code that cannot be delivered
	Redeemed  int // codes
	Expired   int // codes whose time ended and that nobody used or replaced
	Guessed   int // sign-ins with a wrong secret while a code was live

	// AtLeast is set if there was too much to count. The numbers are those of the last part
	// of the period then.
	AtLeast bool
}

// SenderActivity is what a sender has to do, and what it has done since a given time.
type SenderActivity struct {
	SenderID     string
	Queued       int       // messages that are not delivered yet
	OldestQueued time.Time // when the oldest of them was queued; zero: there is none
	Accepted     int       // attempts that a receiver accepted
	Failed       int       // attempts that failed
	FailedSince  int       // those of them since the last one that was accepted
	AcceptedAt   time.Time // of the last such attempt; zero: there is none
	FailedAt     time.Time // likewise
	Error        string    // of the last attempt that failed
}

// RunningServers are the servers that run on a database.
type RunningServers struct {
	All     int
	Unaware int // those that do not learn of changes that other servers make
}

// DeadMessages counts the messages that could not be delivered.
type DeadMessages struct {
	Count   int
	Last    time.Time // when the last one was given up; zero: there is none
	Senders []string  // whose messages they are, by ID
}
