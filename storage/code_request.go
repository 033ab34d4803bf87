package storage

import "time"

// CodeRequest is somebody's wish for one-time passwords, for codes to renew a
// password or for forgotten usernames, written down before anybody looks
// whether the user exists, so that asking costs the same for everyone. A worker
// resolves it into codes and messages.
type CodeRequest struct {
	ID        string
	Type      MessageType // what is to be sent
	ClientID  string      // through which it was asked for; empty: none in particular
	ProfileID string
	Username  string // as asked; may be empty
	Email     string // as asked, or of MessageContactChanged where the user was reached before; may be empty
	Phone     string // of MessageContactChanged: where the user was reached before; may be empty
	UserUID   string // whom an invitation or MessageContactChanged is for; else empty
	Purpose   Purpose
	URL       string // where a password is renewed, for the message to tell
	TraceID   string // correlation id of the HTTP request
	Source    string // network address of the caller; empty: unknown. Workers take turns over them
	CreatedAt time.Time
	ExpiresAt time.Time // of the codes it yields
}

// RequestNames is a request with the names it goes by, in the form of
// otp.NormalizeUsername. With a UsernameKey the EmailKey is not looked at.
type RequestNames struct {
	ID          string
	ProfileID   string
	UsernameKey string
	EmailKey    string
}

// WaitingRequests counts the requests of one source and client that wait for a
// worker.
type WaitingRequests struct {
	Source   string
	ClientID string
	Count    int
	New      int       // of them, those that began to wait after a given time
	Since    time.Time // when the first of them began to wait
}

// Issuance is what a request was resolved into: all of it takes effect in one
// transaction, together with the end of the request, or nothing does.
//
// A login whose budgets are used up gets nothing, and its older code stays.
type Issuance struct {
	RequestID     string
	Now           time.Time
	Codes         []IssuedCode
	Verifications []IssuedVerification
	Notices       []IssuedNotice
	Charges       map[string][]Charge // by login ID: the budgets that its messages are charged to
	ChargedAt     time.Time           // the time that they are charged for
	Postpone      bool                // a request that a used-up budget stops is not ended, but waits for the budget
}

// Limited says which logins of an Issuance got nothing, by login ID, and which
// budget stopped them.
type Limited map[string]*LimitError

// IssuedNotice queues the messages to a login that carry no code.
type IssuedNotice struct {
	LoginID  string
	Messages []Message
}

// IssuedCode replaces a login's code and queues the messages that carry it.
type IssuedCode struct {
	LoginID  string
	Code     Code
	Messages []Message
}

// IssuedVerification replaces a login's verification code and queues the
// messages that carry it.
type IssuedVerification struct {
	Code     VerificationCode
	Messages []Message
}
