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
	Clients      string `gorm:"column:clients"`
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
		UserUID: x.UserUID, LoginID: x.LoginID, SourceID: x.SourceID, AccountUID: x.AccountUID, Clients: words(x.Clients),
		AMR: words(x.AMR), Purpose: string(x.Purpose), AuthTime: micros(x.AuthTime),
		CreatedAt: micros(x.CreatedAt), LastUsedAt: micros(x.LastUsedAt), IdleUntil: micros(x.IdleUntil),
		ExpiresAt: micros(x.ExpiresAt), EndedAt: micros(x.EndedAt),
	}
}

func (r *sessionRow) record() storage.Session {
	return storage.Session{
		ID: r.ID, Secret: storage.Digest{PepperID: r.PepperID, Sum: r.SecretDigest}, ClientID: r.ClientID,
		UserUID: r.UserUID, LoginID: r.LoginID, SourceID: r.SourceID, AccountUID: r.AccountUID, Clients: list(r.Clients),
		AMR: list(r.AMR), Purpose: storage.Purpose(r.Purpose), AuthTime: instant(r.AuthTime),
		CreatedAt: instant(r.CreatedAt), LastUsedAt: instant(r.LastUsedAt), IdleUntil: instant(r.IdleUntil),
		ExpiresAt: instant(r.ExpiresAt), EndedAt: instant(r.EndedAt),
	}
}

type sessionStateRow struct {
	Who     principalRow `gorm:"embedded"`
	Session sessionRow   `gorm:"embedded;embeddedPrefix:t_"`
}

// Session reads a session with its user as they are now, or returns storage.ErrNotFound.
// The principal is unknown if the user or the login was deleted. The source is that of the
// session, if it is still known for the login.
func (s *Store) Session(ctx context.Context, id string) (storage.SessionState, error) {
	row, err := get[sessionStateRow](ctx, s, "session", s.statements.session, id)
	if err != nil {
		return storage.SessionState{}, err
	}
	state := storage.SessionState{Session: row.Session.record()}
	state.Principal, err = s.principal(ctx, &row.Who, true)
	return state, err
}

// Sessions reads the sessions of a user that were not ended and have not expired at the
// time now, the newest first, up to limit. storage.SessionState.Live reports whether such a
// session can still be used.
func (s *Store) Sessions(ctx context.Context, userUID string, now time.Time, limit int) ([]storage.SessionState, error) {
	rows, err := query[sessionStateRow](ctx, s, "sessions of user", s.statements.sessions, userUID, micros(now), micros(now), limit)
	states := make([]storage.SessionState, len(rows))
	for i := 0; i < len(rows) && err == nil; i++ {
		states[i].Session = rows[i].Session.record()
		states[i].Principal, err = s.principal(ctx, &rows[i].Who, true)
	}
	if err != nil {
		return nil, err
	}
	return states, nil
}

// withWord returns an expression for the words of a column with the word as the last one.
// The result contains the word once, even if the column has it already. word is SQL and
// occurs twice in the expression.
func withWord(column, word string) string {
	return "TRIM(REPLACE(' ' || " + column + " || ' ', ' ' || " + word + " || ' ', ' ') || " + word + ")"
}

// beginSession returns the statement of a settlement that begins or renews a session; see
// storage.Settlement. authorize is the code that is issued with it, or nil.
func (s *Store) beginSession(x *storage.Session, authorize *storage.Authorization) statement {
	row := sessionRowOf(x)
	if authorize != nil {
		row.Clients = authorize.ClientID
	}
	renewed := columns("pepper_id secret_digest client_id source_id amr purpose auth_time last_used_at idle_until expires_at")
	// SQLite needs the condition: without it, ON would belong to a join.
	return insertion(&row).with(" ON CONFLICT (id) DO UPDATE SET " + renewed.set("excluded.") +
		", clients = " + withWord("sessions.clients", "excluded.clients") +
		" WHERE sessions.login_id = excluded.login_id AND sessions.ended_at = 0")
}

// UseSession extends a session and issues an authorization code, or returns
// storage.ErrRefused and changes nothing; see storage.SessionUse.
func (s *Store) UseSession(ctx context.Context, use storage.SessionUse) error {
	now, client := micros(use.Now), ""
	var then []statement
	if use.Authorize != nil {
		then = append(then, s.insertAuthorization(use.Authorize))
		client = use.Authorize.ClientID
	}
	first := statement{
		sql: `UPDATE sessions SET last_used_at = ?, idle_until = ?, account_uid = CASE WHEN CAST(? AS TEXT) = '' THEN account_uid ELSE ? END,
			clients = ` + withWord("clients", "CAST(? AS TEXT)") + `
			WHERE id = ? AND ended_at = 0 AND idle_until > ? AND expires_at > ?`,
		args: []any{now, micros(use.IdleUntil), use.AccountUID, use.AccountUID, client, client, use.ID, now, now},
	}
	used, err := s.settle(ctx, "use session", first, then...)
	if err == nil && !used {
		err = s.wrap(ctx, "use session", storage.ErrRefused)
	}
	return err
}

// EndSession ends the session logout.SessionID and the token families that began in it,
// at logout.CreatedAt, and stores the request: its clients are notified. A session that
// ended before, or never existed, is no error. ended is false then, and nothing is stored.
//
// It locks the session first. So a concurrent redemption of a code is either committed
// before, and its family is found and ended, or it is refused afterwards. This requires the
// isolation level READ COMMITTED, where each statement sees the commits before it.
func (s *Store) EndSession(ctx context.Context, logout storage.CodeRequest) (ended bool, err error) {
	id, now := logout.SessionID, micros(logout.CreatedAt)
	err = s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, "end session", "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at = 0", now, id)
		if ended = n > 0; err != nil || !ended {
			return err
		}
		_, err = s.exec(ctx, "end session", "UPDATE families SET revoked_at = ? WHERE session_id = ? AND session_id <> '' AND revoked_at = 0", now, id)
		if err != nil {
			return err
		}
		return s.AddCodeRequest(ctx, logout)
	})
	return ended, err
}

// Consent reads what a user allowed a client, or returns storage.ErrNotFound.
func (s *Store) Consent(ctx context.Context, userUID, clientID string) (storage.Consent, error) {
	row, err := get[consentRow](ctx, s, "consent",
		"SELECT user_uid, client_id, scope, granted_at FROM consents WHERE user_uid = ? AND client_id = ?", userUID, clientID)
	return row.record(), err
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

// Consents reads what a user allowed third-party clients, by client, up to limit.
func (s *Store) Consents(ctx context.Context, userUID string, limit int) ([]storage.Consent, error) {
	rows, err := query[consentRow](ctx, s, "consents of user",
		"SELECT user_uid, client_id, scope, granted_at FROM consents WHERE user_uid = ? ORDER BY client_id LIMIT CAST(? AS BIGINT)", userUID, limit)
	return recordsOf(rows, (*consentRow).record), err
}

// EndConsent deletes what a user allowed a client, and ends the client's authorization codes
// and token families that began at a browser, at the time now. It returns
// storage.ErrNotFound if there is no such consent.
//
// It ends the codes first. So a concurrent redemption of a code is either committed before,
// and its family is found and ended, or it is refused afterwards. This requires the
// isolation level READ COMMITTED, where each statement sees the commits before it.
func (s *Store) EndConsent(ctx context.Context, userUID, clientID string, now time.Time) error {
	const what = "end consent"
	return s.InTx(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, what, "DELETE FROM consents WHERE user_uid = ? AND client_id = ?", userUID, clientID)
		if err == nil && n == 0 {
			err = s.wrap(ctx, what, storage.ErrNotFound)
		}
		if err != nil {
			return err
		}
		at := micros(now)
		return s.each(ctx, what,
			statement{
				sql:  "UPDATE authorizations SET expires_at = ? WHERE expires_at > ? AND user_uid = ? AND client_id = ? AND used_at = 0",
				args: []any{at, at, userUID, clientID},
			},
			statement{
				sql:  "UPDATE families SET revoked_at = ? WHERE user_uid = ? AND client_id = ? AND session_id <> '' AND revoked_at = 0",
				args: []any{at, userUID, clientID},
			})
	})
}

func (r *consentRow) record() storage.Consent {
	return storage.Consent{UserUID: r.UserUID, ClientID: r.ClientID, Scope: list(r.Scope), GrantedAt: instant(r.GrantedAt)}
}
