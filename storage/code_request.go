package storage

import "time"

// CodeRequest is a stored request for one-time passwords, verification codes,
// forgotten usernames or notifications. It is stored before users are looked up, so
// that a request takes the same time for known and unknown users. A worker resolves
// it into codes and messages.
type CodeRequest struct {
	ID        string
	Type      MessageType // of the messages to send
	ClientID  string      // the client that the request was made through; empty: none in particular
	ProfileID string
	Username  string // as requested; may be empty
	Email     string // as requested; for MessageContactChanged the former address; may be empty
	Phone     string // for MessageContactChanged the former number; may be empty
	UserUID   string // the recipient of an invitation or of MessageContactChanged; otherwise empty
	Purpose   Purpose
	Binding   string // the one-time password is valid only together with this text; see otp.Bind. Empty: it is not bound
	URL       string // page to reset the password, for the message
	SessionID string // the session that has ended, of MessageLogout; otherwise empty
	TraceID   string // correlation id of the HTTP request
	Source    string // network address of the caller; empty: unknown. Workers alternate between sources
	CreatedAt time.Time
	ExpiresAt time.Time // expiry of the codes and messages

	// LeaseUntil is set for a new request if the server that stores it also resolves it,
	// without claiming it. Zero: a worker must claim the request.
	LeaseUntil time.Time
}

// RequestNames holds the names in a request, normalized by otp.NormalizeUsername.
// If UsernameKey is set, EmailKey is ignored.
type RequestNames struct {
	ID          string
	ProfileID   string
	UsernameKey string
	EmailKey    string
}

// WaitingRequests counts the unresolved requests of one source and client.
type WaitingRequests struct {
	Source   string
	ClientID string
	Count    int
	New      int       // how many of them were stored after a given time
	Since    time.Time // when the oldest of them was stored
}

// Issuance is the result of resolving a request. One transaction stores all of it
// and ends the request.
//
// A login whose budgets are used up gets nothing and keeps its current code. So does one
// with a code of the same kind from a request that was stored later.
type Issuance struct {
	RequestID     string
	Now           time.Time
	Codes         []IssuedCode
	Verifications []IssuedVerification
	Notices       []IssuedNotice
	Charges       map[string][]Charge // by login ID; the budgets that its messages are charged to
	ChargedAt     time.Time           // time of the charges
	Postpone      bool                // if a budget is used up, the request is kept until the budget has room
}

// IssueResult is the result of storing an Issuance.
type IssueResult struct {
	Limited    Limited
	Superseded map[string]bool // the logins that got nothing, because a newer request has issued their code; by ID
	Retired    map[string]bool // the logins whose one-time password was live and has been replaced; by ID
}

// Limited lists the logins of an Issuance that got nothing, by login ID, with the
// budget that was used up.
type Limited map[string]*LimitError

// IssuedNotice queues messages without a code to a login.
type IssuedNotice struct {
	LoginID  string
	Messages []Message
}

// IssuedCode replaces a login's one-time password and queues the messages that
// carry it.
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
