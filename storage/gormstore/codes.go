package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey/storage"
)

type requestRow struct {
	ID        string `gorm:"column:id"`
	Type      string `gorm:"column:type"`
	ClientID  string `gorm:"column:client_id"`
	ProfileID string `gorm:"column:profile_id"`
	Username  string `gorm:"column:username"`
	Email     string `gorm:"column:email"`
	UserUID   string `gorm:"column:user_uid"`
	Purpose   string `gorm:"column:purpose"`
	URL       string `gorm:"column:url"`
	TraceID   string `gorm:"column:trace_id"`
	CreatedAt int64  `gorm:"column:created_at"`
	ExpiresAt int64  `gorm:"column:expires_at"`
}

const requestColumns columns = `id type client_id profile_id username email user_uid purpose url trace_id
	created_at expires_at`

func (r *requestRow) record() storage.CodeRequest {
	return storage.CodeRequest{
		ID: r.ID, Type: storage.MessageType(r.Type), ClientID: r.ClientID, ProfileID: r.ProfileID,
		Username: r.Username, Email: r.Email, UserUID: r.UserUID,
		Purpose: storage.Purpose(r.Purpose), URL: r.URL, TraceID: r.TraceID,
		CreatedAt: instant(r.CreatedAt), ExpiresAt: instant(r.ExpiresAt),
	}
}

// insertRequest writes a request down after a settlement that took effect.
func insertRequest(r storage.CodeRequest) statement {
	return statement{
		sql: "INSERT INTO code_requests (" + requestColumns.list() + ", lease_until, ended_at) SELECT " +
			requestColumns.marks() + ", 0, 0 WHERE " + ifSettled,
		args: []any{
			r.ID, string(r.Type), r.ClientID, r.ProfileID, r.Username, r.Email, r.UserUID, string(r.Purpose), r.URL, r.TraceID,
			micros(r.CreatedAt), micros(r.ExpiresAt),
		},
	}
}

// AddCodeRequest writes a request down for ClaimCodeRequests, in one statement
// that looks at nobody, if every budget that it is charged to has room at its
// CreatedAt; else the error is a *storage.LimitError. Keys of charges differ
// from each other. An ID in use is storage.ErrConflict.
func (s *Store) AddCodeRequest(ctx context.Context, r storage.CodeRequest, charges ...storage.Charge) error {
	insert := insertRequest(r)
	if len(charges) == 0 {
		_, err := s.exec(ctx, "add code request", insert.alone(), insert.args...)
		return err
	}
	taken, err := s.dialect.settle(ctx, s, settlement{
		what: "add code request", first: charge(r.CreatedAt, charges), rows: len(charges), then: []statement{insert},
	})
	if err != nil || taken {
		return err
	}
	return s.exhausted(ctx, r.CreatedAt, charges)
}

// ClaimCodeRequests leases up to limit requests that are neither ended nor
// leased, oldest first, until leaseUntil. Expired ones are among them: somebody
// has to end them and say so. No two callers get the same request before its
// lease is over.
func (s *Store) ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error) {
	rows, err := returning[requestRow](ctx, s, "claim code requests",
		`WITH due AS MATERIALIZED (SELECT id FROM code_requests
			WHERE ended_at = 0 AND lease_until <= ?
			ORDER BY created_at LIMIT ?`+s.dialect.claims()+`)
		UPDATE code_requests SET lease_until = ? WHERE id IN (SELECT id FROM due)
		RETURNING `+requestColumns.list(),
		micros(now), limit, micros(leaseUntil))
	slices.SortFunc(rows, func(a, b requestRow) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) })
	requests := make([]storage.CodeRequest, 0, len(rows))
	for i := range rows {
		requests = append(requests, rows[i].record())
	}
	return requests, err
}

// IssueCodes ends a request and, in the same transaction, gives each login its
// new one-time password or verification code in place of the older one and
// queues the messages. A request that was ended already, or never existed, is
// storage.ErrStale, an unknown login storage.ErrNotFound; then nothing takes
// effect.
func (s *Store) IssueCodes(ctx context.Context, x storage.Issuance) error {
	return s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, "end code request",
			"UPDATE code_requests SET ended_at = ? WHERE id = ? AND ended_at = 0", micros(x.Now), x.RequestID)
		if err := affected(n, err, s.wrap(ctx, "end code request", storage.ErrStale)); err != nil {
			return err
		}
		for _, issued := range sorted(x.Codes) {
			if err := s.issue(ctx, issued, x.Now); err != nil {
				return err
			}
		}
		for _, issued := range byLogin(x.Verifications) {
			if err := s.issueVerification(ctx, issued, x.Now); err != nil {
				return err
			}
		}
		return s.addMessages(ctx, "", x.Messages)
	})
}

// sorted keeps two issuances for the same logins from waiting for each other.
func sorted(codes []storage.IssuedCode) []storage.IssuedCode {
	return slices.SortedFunc(slices.Values(codes), func(a, b storage.IssuedCode) int {
		return cmp.Compare(a.LoginID, b.LoginID)
	})
}

func (s *Store) issue(ctx context.Context, x storage.IssuedCode, now time.Time) error {
	c := x.Code
	if err := s.retire(ctx, x.LoginID, now); err != nil {
		return err
	}
	n, err := s.exec(ctx, "store code",
		`UPDATE logins SET code_id = ?, code_request_id = ?, code_client_id = ?, code_purpose = ?,
		code_pepper_id = ?, code_digest = ?, code_issued_at = ?, code_expires_at = ?, code_used_at = ? WHERE id = ?`,
		c.ID, c.RequestID, c.ClientID, string(c.Purpose), c.Digest.PepperID, blob(c.Digest.Sum),
		micros(c.IssuedAt), micros(c.ExpiresAt), micros(c.UsedAt), x.LoginID)
	if err := affected(n, err, fmt.Errorf("store code of login %s: %w", x.LoginID, storage.ErrNotFound)); err != nil {
		return err
	}
	fate := storage.CodeFate{ID: c.ID, RequestID: c.RequestID, LoginID: x.LoginID, IssuedAt: now, ExpiresAt: c.ExpiresAt}
	return s.noteCode(ctx, fate, x.Messages)
}
