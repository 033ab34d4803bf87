package otp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/storage"
)

// LogoutRequest returns the request that notifies the clients of a session of its end. The
// caller stores it together with the end, and calls Wake afterwards. traceID is the
// correlation id of the HTTP request. LogoutRequest returns the error of random.
func LogoutRequest(random io.Reader, x *storage.Session, traceID string, now time.Time) (storage.CodeRequest, error) {
	id, err := storage.NewID(random, requestPrefix)
	if err != nil {
		return storage.CodeRequest{}, fmt.Errorf("logout request: %w", err)
	}
	now = now.UTC()
	return storage.CodeRequest{
		ID: id, Type: storage.MessageLogout, UserUID: x.UserUID, SessionID: x.ID, TraceID: traceID,
		CreatedAt: now, ExpiresAt: now.Add(noticeTTL),
	}, nil
}

// resolveLogout returns one message for each client of a session that has a URI for
// logouts. A request with a client is for that one only. It changes nothing. The session
// has ended, so no further client can join it.
func (s *Service) resolveLogout(ctx context.Context, r storage.CodeRequest, issuance storage.Issuance) (storage.Issuance, []result, error) {
	if s.cfg.Sessions == nil {
		return issuance, []result{{reason: storage.RefusedUnknown}}, nil
	}
	state, err := s.cfg.Sessions.Session(ctx, r.SessionID)
	if errors.Is(err, storage.ErrNotFound) { // deleted with its user
		return issuance, []result{{reason: storage.RefusedUnknown}}, nil
	}
	if err != nil {
		return issuance, nil, err
	}
	x, user := &state.Session, state.Principal
	user.User.UID, user.Login.ID = x.UserUID, x.LoginID // the login may be gone
	var messages []storage.Message
	for _, id := range x.Clients {
		if r.ClientID != "" && id != r.ClientID {
			continue
		}
		client, err := s.cfg.Directory.Client(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return issuance, nil, err
		}
		sender := storage.LogoutSender(&client)
		if !sender.Active {
			continue
		}
		m, err := s.message(r, sender, Payload{
			ClientID: client.ID, UserUID: x.UserUID, SessionID: x.ID, RequestedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		}, issuance.Now)
		if err != nil {
			return issuance, nil, err
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return issuance, nil, nil
	}
	issuance.Notices = []storage.IssuedNotice{{LoginID: x.LoginID, Messages: messages}}
	return issuance, []result{{who: &user, messages: messages}}, nil
}
