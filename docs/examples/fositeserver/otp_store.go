package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"latchkey/otp"
	"latchkey/storage"
)

// AddCodeRequest implements otp.Store. The service has no rate limits in this example, so
// there are no charges.
func (s *store) AddCodeRequest(_ context.Context, r storage.CodeRequest, _ ...storage.Charge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, &queuedRequest{CodeRequest: r})
	return nil
}

// ClaimCodeRequests implements otp.Store.
func (s *store) ClaimCodeRequests(_ context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claimed []storage.CodeRequest
	for _, r := range s.requests {
		if len(claimed) < limit && !now.Before(r.leaseUntil) {
			r.leaseUntil = leaseUntil
			claimed = append(claimed, r.CodeRequest)
		}
	}
	return claimed, nil
}

// EndUnknownRequests implements otp.Store. This store ends all requests in IssueCodes.
func (s *store) EndUnknownRequests(context.Context, []storage.RequestNames) ([]string, error) {
	return nil, nil
}

// WaitingRequests implements otp.Store. This store has one queue for all sources.
func (s *store) WaitingRequests(_ context.Context, now, after time.Time) ([]storage.WaitingRequests, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all storage.WaitingRequests
	for _, r := range s.requests {
		if !now.Before(r.leaseUntil) {
			if all.Count++; all.Count == 1 {
				all.Since = r.CreatedAt
			}
			if r.CreatedAt.After(after) {
				all.New++
			}
		}
	}
	if all.Count == 0 {
		return nil, nil
	}
	return []storage.WaitingRequests{all}, nil
}

// Recipients implements otp.People.
func (s *store) Recipients(_ context.Context, _ storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []storage.Principal
	for name := range s.users {
		p := s.recipient(name)
		if (usernameKey == "" || name == usernameKey) && (emailKey == "" || p.User.EmailKey == emailKey) {
			found = append(found, p)
		}
	}
	return found, nil
}

// recipient returns the principal of a recipient. It has a known source that is not locked,
// if there is one. So attackers who lock the login do not keep messages from the user.
func (s *store) recipient(name string) storage.Principal {
	p := s.principal(name)
	for _, known := range s.state(name).sources {
		if !known.failures.Locked(s.now()) {
			p.Source, p.Lockout.Source = known.Source, known.failures
		}
	}
	return p
}

// PrincipalOf implements otp.People.
func (s *store) PrincipalOf(_ context.Context, loginID string) (storage.Principal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(loginID, loginPrefix)
	if s.users[name] == nil {
		return storage.Principal{}, storage.ErrNotFound
	}
	return s.recipient(name), nil
}

// LoginsOfUser implements otp.People.
func (s *store) LoginsOfUser(_ context.Context, uid string) ([]storage.Login, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := strings.TrimPrefix(uid, userPrefix); s.users[name] != nil {
		return []storage.Login{s.principal(name).Login}, nil
	}
	return nil, nil
}

// IssueCodes implements otp.Store. It stores the codes and delivers the messages at once. A
// real store queues the messages, and deliver.Worker sends them.
func (s *store) IssueCodes(_ context.Context, x storage.Issuance) (storage.IssueResult, error) {
	messages, err := s.issue(x)
	for _, m := range messages {
		payload, err := otp.OpenPayload(s.sealer, m)
		if err != nil {
			return storage.IssueResult{}, err
		}
		s.sendCode(payload.Username, payload.Code)
	}
	return storage.IssueResult{}, err
}

// issue stores the codes and returns the messages.
func (s *store) issue(x storage.Issuance) ([]storage.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.requests, func(r *queuedRequest) bool { return r.ID == x.RequestID })
	if at < 0 {
		return nil, storage.ErrStale
	}
	s.requests = slices.Delete(s.requests, at, at+1)
	var messages []storage.Message
	for _, notice := range x.Notices {
		messages = append(messages, notice.Messages...)
	}
	for _, issued := range x.Codes {
		s.state(strings.TrimPrefix(issued.LoginID, loginPrefix)).code = issued.Code
		messages = append(messages, issued.Messages...)
	}
	return messages, nil
}

// Client implements otp.Directory.
func (s *store) Client(_ context.Context, id string) (storage.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[id]; ok {
		return *c.Policy(), nil
	}
	return storage.Client{}, storage.ErrNotFound
}

// PasswordProfile implements otp.Directory.
func (s *store) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	if id != profileID {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return storage.PasswordProfile{ID: id, OneTimeCodes: true, Code: otp.DefaultFormat(), CodeTTL: 5 * time.Minute}, nil
}

// Senders implements otp.Directory. One sender delivers to all users.
func (s *store) Senders(context.Context) ([]storage.Sender, error) {
	return []storage.Sender{{
		ID: "terminal", Active: true, AllowAllBuyers: true,
		Types: []storage.MessageType{storage.MessageOneTimePassword},
	}}, nil
}

// DeliveryConfig implements otp.Directory. No sender has a delivery config.
func (s *store) DeliveryConfig(context.Context, string) (storage.DeliveryConfig, error) {
	return storage.DeliveryConfig{}, storage.ErrNotFound
}

// GetClient implements fosite.ClientManager.
func (s *store) GetClient(_ context.Context, id string) (fosite.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[id]; ok {
		return c, nil
	}
	return nil, fosite.ErrNotFound
}

// ClientAssertionJWTValid implements fosite.ClientManager. It refuses all assertions,
// because clients authenticate with secrets.
func (s *store) ClientAssertionJWTValid(context.Context, string) error {
	return fosite.ErrJTIKnown
}

// SetClientAssertionJWT implements fosite.ClientManager.
func (s *store) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return fosite.ErrJTIKnown
}

// CreateAccessTokenSession implements oauth2.AccessTokenStorage for fosite's client
// credentials. Tokens are verified by their signature, so nothing is stored.
func (s *store) CreateAccessTokenSession(context.Context, string, fosite.Requester) error { return nil }

// GetAccessTokenSession implements oauth2.AccessTokenStorage.
func (s *store) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession implements oauth2.AccessTokenStorage.
func (s *store) DeleteAccessTokenSession(context.Context, string) error { return nil }
