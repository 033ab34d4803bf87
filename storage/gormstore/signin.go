package gormstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"latchkey/storage"
)

// texts are the long statements of the hot paths, put together once. All but
// recipients, which gets conditions, are bound already.
type texts struct {
	principal, principalOf, recipients, family, standing string
}

// assigned is the ids of the security profiles that a user has by itself, by
// its account and by its kind; see storage.Party.
const assigned = `(SELECT string_agg(s.security_profile_id, '` + separator + `')
	FROM security_profile_assignments s
	WHERE s.party IN ('user:' || u.uid, 'account:' || u.account_uid, 'kind:' || u.kind)) AS assigned`

// membership is the roles of a user's membership in its account. As a join it
// would be dearer: every further join carries all the columns.
const membership = `(SELECT m.roles FROM memberships m
	WHERE m.account_uid = u.account_uid AND m.user_uid = u.uid) AS m_roles`

func newTexts(d dialect) texts {
	who := loginState.of("l") + ", " + userState.of("u") + ", " + accountState.of("a") + ", " + membership + ", " + assigned
	const account = "\n LEFT JOIN accounts a ON a.uid = u.account_uid"
	scoped := membershipColumns.of("sm") + ", " + accountState.of("sa")
	return texts{
		principal: d.bind("SELECT " + who + ", " + lockoutColumns.of("f") + ` FROM (SELECT 1 AS one) here
			LEFT JOIN logins l ON l.profile_id = ? AND l.username_key = ?
			LEFT JOIN users u ON u.uid = l.user_uid` + account + `
			LEFT JOIN phantoms f ON f.name_digest = ?`),
		principalOf: d.bind("SELECT " + who + ` FROM logins l
			JOIN users u ON u.uid = l.user_uid` + account + `
			WHERE l.id = ?`),
		recipients: "SELECT " + who + ` FROM logins l
			JOIN users u ON u.uid = l.user_uid` + account + `
			WHERE l.profile_id = ?`,
		family: d.bind("SELECT " + who + ", " + scoped + ", " + familyColumns.of("t") + ` FROM families t
			LEFT JOIN logins l ON l.id = t.login_id
			LEFT JOIN users u ON u.uid = t.user_uid` + account + `
			LEFT JOIN memberships sm ON sm.account_uid = t.account_uid AND sm.user_uid = t.user_uid
			LEFT JOIN accounts sa ON sa.uid = sm.account_uid AND sa.active
			WHERE t.id = ?`),
		standing: d.bind("SELECT " + who + ", " + scoped + `, r.jti AS revoked_jti,
			t.id AS family_id, t.revoked_at AS family_revoked_at, t.created_at AS family_created_at
			FROM (SELECT 1 AS one) here
			LEFT JOIN users u ON u.uid = ?
			LEFT JOIN logins l ON l.id = ? AND l.user_uid = u.uid` + account + `
			LEFT JOIN memberships sm ON sm.account_uid = ? AND sm.user_uid = u.uid
			LEFT JOIN accounts sa ON sa.uid = sm.account_uid AND sa.active
			LEFT JOIN families t ON t.id = ?
			LEFT JOIN revoked_tokens r ON r.jti = ?`),
	}
}

// principalRow is a login with its surroundings; what the joins did not find
// is zero.
type principalRow struct {
	Login    loginRow   `gorm:"embedded;embeddedPrefix:l_"`
	User     userRow    `gorm:"embedded;embeddedPrefix:u_"`
	Account  accountRow `gorm:"embedded;embeddedPrefix:a_"`
	Roles    string     `gorm:"column:m_roles"`
	Assigned string     `gorm:"column:assigned"`
}

// scopeRow is the membership in the account that a token is scoped to. What the
// join of an inactive account did not find is zero.
type scopeRow struct {
	Membership membershipRow `gorm:"embedded;embeddedPrefix:sm_"`
	Account    accountRow    `gorm:"embedded;embeddedPrefix:sa_"`
}

func (r *scopeRow) record() *storage.Member {
	if r.Account.UID == "" {
		return nil
	}
	return &storage.Member{Membership: r.Membership.record(), Account: r.Account.record()}
}

// principal makes the record of a known user, with the policy and the rules of
// the login's profile from memory where possible; login tells whether one was
// looked for.
func (s *Store) principal(ctx context.Context, r *principalRow, login bool) (storage.Principal, error) {
	p := storage.Principal{
		Key:     storage.LoginKey{ProfileID: r.Login.ProfileID, UsernameKey: r.Login.UsernameKey},
		Known:   r.User.UID != "" && (r.Login.ID != "" || !login),
		Lockout: r.Login.Lockout.record(),
	}
	if !p.Known {
		return p, nil
	}
	p.Login, p.User, p.Account = r.Login.record(), r.User.record(), r.Account.record()
	if p.Login.ID != "" {
		profile, err := s.PasswordProfile(ctx, p.Login.ProfileID)
		if err != nil {
			return p, err
		}
		p.Policy, p.Rules = profile.Lockout, profile.Rules
	}
	return p, s.empower(ctx, &p, r.Assigned, r.Roles)
}

type signInRow struct {
	Who     principalRow `gorm:"embedded"`
	Phantom lockoutRow   `gorm:"embedded;embeddedPrefix:f_"`
}

// Principal reads all that a sign-in needs, in one statement while the profiles
// are in memory. Of accounts it reads what a decision needs, here and in
// storage.Member: UID, realm, kind, ID, name and whether it is active. A name
// that nobody has is no error: Known is false then and Lockout the name's own.
// An unknown profile is storage.ErrNotFound.
func (s *Store) Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error) {
	row, err := get[signInRow](ctx, s, "principal", s.texts.principal,
		key.ProfileID, key.UsernameKey, phantomOf(key))
	if err != nil {
		return storage.Principal{}, err
	}
	p, err := s.principal(ctx, &row.Who, true)
	p.Key = key
	if err != nil || p.Known {
		return p, err
	}
	profile, err := s.PasswordProfile(ctx, key.ProfileID)
	p.Policy, p.Lockout = profile.Lockout, row.Phantom.record()
	return p, err
}

// PrincipalOf is Principal for a login's ID, or answers storage.ErrNotFound.
func (s *Store) PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error) {
	row, err := get[principalRow](ctx, s, "principal", s.texts.principalOf, loginID)
	if err != nil {
		return storage.Principal{}, err
	}
	return s.principal(ctx, &row, true)
}

// Recipients reads the known logins of a request's profile that have the
// username and belong to the e-mail address, where an empty key (in the form
// of otp.NormalizeUsername) leaves its condition out. Both empty is nobody.
func (s *Store) Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error) {
	sql, args := s.texts.recipients, []any{r.ProfileID}
	if usernameKey != "" {
		sql, args = sql+" AND l.username_key = ?", append(args, usernameKey)
	}
	if emailKey != "" { // the second condition is the index's
		sql, args = sql+" AND u.email_key = ? AND u.email_key <> ''", append(args, emailKey)
	}
	if len(args) == 1 {
		return nil, nil
	}
	rows, err := query[principalRow](ctx, s, "recipients", sql+" ORDER BY l.username_key", args...)
	if err != nil {
		return nil, err
	}
	found := make([]storage.Principal, 0, len(rows))
	for i := range rows {
		p, err := s.principal(ctx, &rows[i], true)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// RecordFailure writes the next lockout state of a login, or of a name that
// nobody has, unless the state in p is outdated: then storage.ErrStale, and the
// caller is to read again. The store counts the versions itself. Known and
// unknown cost one durable write of one row each.
func (s *Store) RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout) error {
	const set = `failures = ?, last_failure_at = ?, locked_until = ?, lockout_version = ?`
	failed, locked := micros(next.LastFailureAt), micros(next.LockedUntil)
	seen := p.Lockout.Version
	sql := "UPDATE logins SET " + set + " WHERE id = ? AND lockout_version = ?"
	args := []any{next.Failures, failed, locked, seen + 1, p.Login.ID, seen}
	if !p.Known {
		day := next.LastFailureAt.Unix() / secondsPerDay
		sql = `INSERT INTO phantoms (name_digest, ` + lockoutColumns.list() + `, quiet_day) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (name_digest) DO UPDATE SET failures = excluded.failures,
			last_failure_at = excluded.last_failure_at, locked_until = excluded.locked_until,
			lockout_version = excluded.lockout_version, quiet_day = excluded.quiet_day
			WHERE phantoms.lockout_version = ?`
		args = []any{phantomOf(p.Key), next.Failures, failed, locked, seen + 1, day, seen}
	}
	n, err := s.exec(ctx, "record failure", sql, args...)
	return affected(n, err, s.wrap(ctx, "record failure", storage.ErrStale))
}

const secondsPerDay = 24 * 60 * 60

// phantomOf is the key under which the failures of a name are kept that nobody
// has. It has one length whatever was typed.
func phantomOf(key storage.LoginKey) blob {
	text := binary.AppendUvarint(nil, uint64(len(key.ProfileID)))
	text = append(append(text, key.ProfileID...), key.UsernameKey...)
	sum := sha256.Sum256(text)
	return sum[:]
}

// SettleLogin lets a successful attempt take effect if, at this moment, the
// login is active and not locked and the presented code is live or, without
// one, the password unchanged;
// otherwise it answers storage.ErrRefused and changes nothing.
func (s *Store) SettleLogin(ctx context.Context, x storage.Settlement) error {
	settled, err := s.settle(ctx, settlement(x), x.BeginFamily)
	if err == nil && !settled {
		err = storage.ErrRefused
	}
	return s.wrap(ctx, fmt.Sprintf("settle sign-in of login %s", x.LoginID), err)
}

func (s *Store) settle(ctx context.Context, update statement, begin *storage.TokenFamily) (bool, error) {
	if begin != nil {
		return s.dialect.both(ctx, s, "settle sign-in", update, 1, insertFamily(*begin))
	}
	n, err := s.exec(ctx, "settle sign-in", update.sql, update.args...)
	return n == 1, err
}

// settlement is the conditional update that decides. The version moves when
// there were failures to clear, so that a failure settled against them does not
// put them back.
func settlement(x storage.Settlement) statement {
	now := micros(x.Now)
	sql := `UPDATE logins SET lockout_version = lockout_version +
			CASE WHEN failures <> 0 OR locked_until <> 0 THEN 1 ELSE 0 END,
		failures = 0, last_failure_at = 0, locked_until = 0`
	if x.Resumed {
		sql = "UPDATE logins SET failures = failures" // the condition decides, and nothing changes
	}
	var args []any
	if x.NewHash != "" {
		sql += ", password_hash = CASE WHEN password_hash = ? THEN ? ELSE password_hash END"
		args = append(args, x.OldHash, x.NewHash)
	}
	where := " WHERE id = ? AND active AND locked_until <= ?"
	conditions := []any{x.LoginID, now}
	if x.CodeID != "" {
		sql += ", code_used_at = ?"
		args = append(args, now)
		where += " AND code_id = ? AND code_used_at = 0 AND code_expires_at > ?"
		conditions = append(conditions, x.CodeID, now)
	} else {
		where += " AND password_set_at = ?"
		conditions = append(conditions, micros(x.PasswordSetAt))
	}
	return statement{sql: sql + where, args: append(args, conditions...)}
}
