package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Session is a sign-in of a browser at the hosted pages. The resource is Latchkey's own.
type Session struct {
	ID         string   // the claim sid of the tokens that were issued in it
	ClientID   string   // that the user signed in for
	ClientIDs  []string // that got tokens in it
	AMR        []string // otp or pwd
	SignedInAt time.Time
	LastUsedAt time.Time
	IdleUntil  time.Time // it ends then unless it is used
	ExpiresAt  time.Time
	Current    bool // the access token of the request was issued in it
}

// SessionFromRecord returns the session as its user and administrators see it. current is
// the ID of the session of the caller; empty: there is none.
func SessionFromRecord(x storage.Session, current string) Session {
	return Session{
		ID: x.ID, ClientID: x.ClientID, ClientIDs: surface.OrEmpty(x.Clients), AMR: surface.OrEmpty(x.AMR), SignedInAt: x.AuthTime,
		LastUsedAt: x.LastUsedAt, IdleUntil: x.IdleUntil, ExpiresAt: x.ExpiresAt, Current: x.ID == current && current != "",
	}
}
