package admin

import (
	"context"
	"errors"
	"io"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// maxSessions is how many sessions of a user are listed, and ended at once.
const maxSessions = 1000

// SessionStore keeps the sessions of browsers; *gormstore.Store is one.
type SessionStore interface {
	// Session returns the session of that ID with its user, or storage.ErrNotFound.
	Session(ctx context.Context, id string) (storage.SessionState, error)
	// Sessions returns the sessions of a user that were not ended and have not expired.
	Sessions(ctx context.Context, userUID string, now time.Time, limit int) ([]storage.SessionState, error)
	// EndSession ends the session with its token families, and stores the request.
	EndSession(ctx context.Context, logout storage.CodeRequest) (ended bool, err error)
	// Family returns the token family of that ID, or storage.ErrNotFound.
	Family(ctx context.Context, id string) (storage.FamilyState, error)
}

// Sessions lists and ends sessions of browsers. Sessions must be ended by its methods, so
// that the clients of a session are notified. All fields are required.
type Sessions struct {
	Store SessionStore
	Rand  io.Reader
	Now   func() time.Time
	Wake  func() // called when clients are to be notified
}

// OfUser returns the sessions of the user that have not ended, the newest first and at most
// 1000.
func (s *Sessions) OfUser(ctx context.Context, userUID string) ([]storage.Session, error) {
	now := s.Now()
	all, err := s.Store.Sessions(ctx, userUID, now, maxSessions)
	if err != nil {
		return nil, err
	}
	live := make([]storage.Session, 0, len(all))
	for i := range all {
		if all[i].Live(now) {
			live = append(live, all[i].Session)
		}
	}
	return live, nil
}

// OfFamily returns the ID of the session in which the token family was issued, or "" if
// there is none.
func (s *Sessions) OfFamily(ctx context.Context, familyID string) (string, error) {
	if familyID == "" {
		return "", nil
	}
	state, err := s.Store.Family(ctx, familyID)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return state.Family.SessionID, err
}

// End ends a session and the refresh tokens that clients got in it, and notifies these
// clients. traceID is the correlation id of the HTTP request. ended is false if it had
// ended before.
func (s *Sessions) End(ctx context.Context, x *storage.Session, traceID string) (ended bool, err error) {
	request, err := otp.LogoutRequest(s.Rand, x, traceID, s.Now())
	if err != nil {
		return false, err
	}
	if ended, err = s.Store.EndSession(ctx, request); ended {
		s.Wake()
	}
	return ended, err
}

// EndOfUser ends one session of the user. It returns storage.ErrNotFound if the user has
// no such session, or it has ended.
func (s *Sessions) EndOfUser(ctx context.Context, userUID, id, traceID string) error {
	state, err := s.Store.Session(ctx, id)
	if err != nil {
		return err
	}
	if state.Session.UserUID != userUID || !state.Live(s.Now()) {
		return storage.ErrNotFound
	}
	ended, err := s.End(ctx, &state.Session, traceID)
	if err == nil && !ended {
		err = storage.ErrNotFound
	}
	return err
}

// EndAll ends all sessions of the user. except is the ID of a session that goes on; empty:
// none.
func (s *Sessions) EndAll(ctx context.Context, userUID, except, traceID string) error {
	for {
		all, err := s.Store.Sessions(ctx, userUID, s.Now(), maxSessions)
		if err != nil {
			return err
		}
		ended := 0
		for i := range all {
			x := &all[i].Session
			if x.ID == except {
				continue
			}
			if _, err := s.End(ctx, x, traceID); err != nil {
				return err
			}
			ended++
		}
		if ended == 0 || len(all) < maxSessions {
			return nil
		}
	}
}
