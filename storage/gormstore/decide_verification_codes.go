package gormstore

import (
	"context"

	"latchkey/storage"
)

type verificationRow struct {
	LoginID   string `gorm:"column:login_id"`
	ID        string `gorm:"column:id"`
	RequestID string `gorm:"column:request_id"`
	ClientID  string `gorm:"column:client_id"`
	PepperID  string `gorm:"column:pepper_id"`
	Digest    blob   `gorm:"column:digest"`
	MailedTo  string `gorm:"column:mailed_to"`
	IssuedAt  int64  `gorm:"column:issued_at"`
	ExpiresAt int64  `gorm:"column:expires_at"`
	UsedAt    int64  `gorm:"column:used_at"`
}

func (*verificationRow) TableName() string { return "verification_codes" }

func verificationRowOf(c storage.VerificationCode) verificationRow {
	return verificationRow{
		LoginID: c.LoginID, ID: c.ID, RequestID: c.RequestID, ClientID: c.ClientID,
		PepperID: c.Digest.PepperID, Digest: c.Digest.Sum, MailedTo: c.MailedTo,
		IssuedAt: micros(c.IssuedAt), ExpiresAt: micros(c.ExpiresAt), UsedAt: micros(c.UsedAt),
	}
}

func (r *verificationRow) record() storage.VerificationCode {
	return storage.VerificationCode{
		ID: r.ID, LoginID: r.LoginID, RequestID: r.RequestID, ClientID: r.ClientID,
		Digest: storage.Digest{PepperID: r.PepperID, Sum: r.Digest}, MailedTo: r.MailedTo,
		IssuedAt: instant(r.IssuedAt), ExpiresAt: instant(r.ExpiresAt), UsedAt: instant(r.UsedAt),
	}
}

// VerificationCode reads the last verification code of a login, used or not, or returns
// storage.ErrNotFound.
func (s *Store) VerificationCode(ctx context.Context, loginID string) (storage.VerificationCode, error) {
	row, err := first[verificationRow](ctx, s, "verification code", "login_id = ?", loginID)
	return row.record(), err
}

// issueVerification replaces the verification code of a login, whose row the caller has
// locked.
func (s *Store) issueVerification(ctx context.Context, x storage.IssuedVerification, on issuing) error {
	c := x.Code
	if err := s.endVerification(ctx, c.LoginID, on.now); err != nil {
		return err
	}
	_, err := s.exec(ctx, "store order of verification code", "UPDATE logins SET verification_seq = ? WHERE id = ?", on.seq, c.LoginID)
	if err != nil {
		return err
	}
	row := verificationRowOf(c)
	insert := insertion(&row)
	_, err = s.exec(ctx, "store verification code", insert.alone(), insert.args...)
	if err != nil {
		return err
	}
	history := storage.CodeHistory{ID: c.ID, RequestID: c.RequestID, LoginID: c.LoginID, IssuedAt: on.now, ExpiresAt: c.ExpiresAt}
	return s.noteCode(ctx, history, x.Messages)
}

// noteCode adds a code to the history of codes, and queues the messages that contain it.
func (s *Store) noteCode(ctx context.Context, c storage.CodeHistory, messages []storage.Message) error {
	_, err := s.exec(ctx, "note code",
		`INSERT INTO issued_codes (id, request_id, login_id, issued_at, expires_at, redeemed_at, retired_at)
		VALUES (?, ?, ?, ?, ?, 0, 0)`, c.ID, c.RequestID, c.LoginID, micros(c.IssuedAt), micros(c.ExpiresAt))
	if err != nil {
		return err
	}
	return s.addMessages(ctx, c.ID, messages)
}

func (s *Store) addMessages(ctx context.Context, codeID string, messages []storage.Message) error {
	for _, m := range messages {
		m.CodeID = codeID
		if err := s.addMessage(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
