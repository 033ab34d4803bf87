package gormstore

import (
	"context"
	"time"

	"latchkey/storage"
)

type sessionRow struct {
	ID           string `gorm:"column:id"`
	PepperID     string `gorm:"column:pepper_id"`
	SecretDigest blob   `gorm:"column:secret_digest"`
	ClientID     string `gorm:"column:client_id"`
	UserUID      string `gorm:"column:user_uid"`
	LoginID      string `gorm:"column:login_id"`
	SourceID     string `gorm:"column:source_id"`
	AccountUID   string `gorm:"column:account_uid"`
	AMR          string `gorm:"column:amr"`
	Purpose      string `gorm:"column:purpose"`
	AuthTime     int64  `gorm:"column:auth_time"`
	CreatedAt    int64  `gorm:"column:created_at"`
	LastUsedAt   int64  `gorm:"column:last_used_at"`
	IdleUntil    int64  `gorm:"column:idle_until"`
	ExpiresAt    int64  `gorm:"column:expires_at"`
	EndedAt      int64  `gorm:"column:ended_at"`
}

func (*sessionRow) TableName() string { return "sessions" }

func sessionRowOf(x *storage.Session) sessionRow {
	return sessionRow{
		ID: x.ID, PepperID: x.Secret.PepperID, SecretDigest: x.Secret.Sum, ClientID: x.ClientID,
		UserUID: x.UserUID, LoginID: x.LoginID, SourceID: x.SourceID, AccountUID: x.AccountUID,
		AMR: words(x.AMR), Purpose: string(x.Purpose), AuthTime: micros(x.AuthTime),
		CreatedAt: micros(x.CreatedAt), LastUsedAt: micros(x.LastUsedAt), IdleUntil: micros(x.IdleUntil),
		ExpiresAt: micros(x.ExpiresAt), EndedAt: micros(x.EndedAt),
	}
}

func (r *sessionRow) record() storage.Session {
	return storage.Session{
		ID: r.ID, Secret: storage.Digest{PepperID: r.PepperID, Sum: r.SecretDigest}, ClientID: r.ClientID,
		UserUID: r.UserUID, LoginID: r.LoginID, SourceID: r.SourceID, AccountUID: r.AccountUID,
		AMR: list(r.AMR), Purpose: storage.Purpose(r.Purpose), AuthTime: instant(r.AuthTime),
		CreatedAt: instant(r.CreatedAt), LastUsedAt: instant(r.LastUsedAt), IdleUntil: instant(r.IdleUntil),
		ExpiresAt: instant(r.ExpiresAt), EndedAt: instant(r.EndedAt),
	}
}

type sessionStateRow struct {
	Who     principalRow `gorm:"embedded"`
	Session sessionRow   `gorm:"embedded;embeddedPrefix:t_"`
}

// Session reads a session with its user as they are now, or returns
// storage.ErrNotFound. The principal is unknown if user or login are gone. The source is
// that of the session, if it is still known for the login.
func (s *Store) Session(ctx context.Context, id string) (storage.SessionState, error) {
	row, err := get[sessionStateRow](ctx, s, "session", s.statements.session, id)
	if err != nil {
		return storage.SessionState{}, err
	}
	state := storage.SessionState{Session: row.Session.record()}
	state.Principal, err = s.principal(ctx, &row.Who, true)
	return state, err
}

// beginSession begins or renews a session after a settlement that took effect; see
// storage.Settlement.
func (s *Store) beginSession(x *storage.Session) statement {
	row := sessionRowOf(x)
	renewed := columns("pepper_id secret_digest client_id source_id amr purpose auth_time last_used_at idle_until expires_at")
	// SQLite needs the condition: without it, ON would belong to a join.
	return s.rows.insertion(&row).with(" ON CONFLICT (id) DO UPDATE SET " + renewed.set("excluded.") +
		" WHERE sessions.login_id = excluded.login_id AND sessions.ended_at = 0")
}

// UseSession extends a session and issues an authorization code, or returns
// storage.ErrRefused and changes nothing; see storage.SessionUse.
func (s *Store) UseSession(ctx context.Context, use storage.SessionUse) error {
	now := micros(use.Now)
	first := statement{
		sql: `UPDATE sessions SET last_used_at = ?, idle_until = ?, account_uid = CASE WHEN CAST(? AS TEXT) = '' THEN account_uid ELSE ? END
			WHERE id = ? AND ended_at = 0 AND idle_until > ? AND expires_at > ?`,
		args: []any{now, micros(use.IdleUntil), use.AccountUID, use.AccountUID, use.ID, now, now},
	}
	var then []statement
	if use.Authorize != nil {
		then = append(then, s.insertAuthorization(use.Authorize))
	}
	used, err := s.settle(ctx, "use session", first, then...)
	if err == nil && !used {
		err = s.wrap(ctx, "use session", storage.ErrRefused)
	}
	return err
}

// EndSession ends a session and the token families that began in it. One that ended
// before, or never existed, is no error. ended is false then.
//
// It locks the session first: a code that is redeemed meanwhile comes before, so that its
// family is found, or is refused. Statements of one transaction see what was committed
// before each of them.
func (s *Store) EndSession(ctx context.Context, id string, now time.Time) (ended bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, "end session", "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at = 0", micros(now), id)
		if ended = n > 0; err != nil || !ended {
			return err
		}
		_, err = s.exec(ctx, "end session", "UPDATE families SET revoked_at = ? WHERE session_id = ? AND session_id <> '' AND revoked_at = 0", micros(now), id)
		return err
	})
	return ended, err
}

// Consent reads what a user allowed a client, or returns storage.ErrNotFound.
func (s *Store) Consent(ctx context.Context, userUID, clientID string) (storage.Consent, error) {
	row, err := get[consentRow](ctx, s, "consent",
		"SELECT user_uid, client_id, scope, granted_at FROM consents WHERE user_uid = ? AND client_id = ?", userUID, clientID)
	if err != nil {
		return storage.Consent{}, err
	}
	return storage.Consent{UserUID: row.UserUID, ClientID: row.ClientID, Scope: list(row.Scope), GrantedAt: instant(row.GrantedAt)}, nil
}

// PutConsent stores what a user allowed a client, in place of what the user allowed it
// before.
func (s *Store) PutConsent(ctx context.Context, c storage.Consent) error {
	_, err := s.exec(ctx, "put consent",
		`INSERT INTO consents (user_uid, client_id, scope, granted_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_uid, client_id) DO UPDATE SET scope = excluded.scope, granted_at = excluded.granted_at`,
		c.UserUID, c.ClientID, words(c.Scope), micros(c.GrantedAt))
	return err
}

type consentRow struct {
	UserUID   string `gorm:"column:user_uid"`
	ClientID  string `gorm:"column:client_id"`
	Scope     string `gorm:"column:scope"`
	GrantedAt int64  `gorm:"column:granted_at"`
}

func (*consentRow) TableName() string { return "consents" }
