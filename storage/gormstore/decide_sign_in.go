package gormstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"latchkey/storage"
)

// statements has the long statements of the hot paths, which are built once. Their
// parameters are in the form of the database, except in recipients, to which conditions are
// added later.
type statements struct {
	principal, principalOf, recipients, family, tokenStatus string
	session, sessions, authorization                        string
	redemption, familyUse                                   string
	withFamily                                              []int // see storedWithFamily
}

// assigned is a subquery for the ids of the security profiles that are assigned to the
// user, to its account and to its kind; see storage.Party.
const assigned = `(SELECT string_agg(s.security_profile_id, '` + separator + `')
	FROM security_profile_assignments s
	WHERE s.party IN ('user:' || u.uid, 'account:' || u.account_uid, 'kind:' || u.kind)) AS assigned`

// membership is a subquery for the roles of a user's membership in its account. A join
// would cost more, because every further join carries all the columns.
const membership = `(SELECT m.roles FROM memberships m
	WHERE m.account_uid = u.account_uid AND m.user_uid = u.uid) AS m_roles`

func newStatements(d dialect) statements {
	who := columnsOf[loginFacts]().of("l") + ", " + columnsOf[sourceRow]().of("src") + ", " +
		columnsOf[userFacts]().of("u") + ", " + columnsOf[accountFacts]().of("a") + ", " + membership + ", " + assigned
	const account = "\n LEFT JOIN accounts a ON a.uid = u.account_uid"
	scoped := columnsOf[membershipRow]().of("sm") + ", " + columnsOf[accountFacts]().of("sa")
	session := "SELECT " + who + ", " + columnsOf[sessionRow]().of("t") + ` FROM sessions t
			LEFT JOIN logins l ON l.id = t.login_id
			LEFT JOIN login_sources src ON src.id = t.source_id AND src.login_id = l.id
			LEFT JOIN users u ON u.uid = t.user_uid` + account
	return statements{
		principal: d.bind("SELECT " + who + ", " + columnsOf[lockoutRow]().of("f") + ` FROM (SELECT 1 AS one) here
			LEFT JOIN logins l ON l.profile_id = ? AND l.username_key = ?
			LEFT JOIN login_sources src ON src.login_id = l.id AND src.address = ?
			LEFT JOIN users u ON u.uid = l.user_uid` + account + `
			LEFT JOIN phantoms f ON f.name_digest = ?`),
		redemption: d.redemption(),
		withFamily: storedWithFamily(),
		familyUse:  d.familyUse(),
		principalOf: d.bind("SELECT " + who + ` FROM logins l
			JOIN users u ON u.uid = l.user_uid` + account + anySource + `
			WHERE l.id = ?`),
		recipients: "SELECT " + who + ` FROM logins l
			JOIN users u ON u.uid = l.user_uid` + account + anySource + `
			WHERE l.profile_id = ?`,
		family: d.bind("SELECT " + who + ", " + scoped + ", " + columnsOf[familyRow]().of("t") + ` FROM families t
			LEFT JOIN logins l ON l.id = t.login_id
			LEFT JOIN login_sources src ON src.id = t.source_id AND src.login_id = l.id
			LEFT JOIN users u ON u.uid = t.user_uid` + account + `
			LEFT JOIN memberships sm ON sm.account_uid = t.account_uid AND sm.user_uid = t.user_uid
			LEFT JOIN accounts sa ON sa.uid = sm.account_uid AND sa.active
			WHERE t.id = ?`),
		session: d.bind(session + "\n WHERE t.id = ?"),
		sessions: d.bind(session + `
			WHERE t.user_uid = ? AND t.ended_at = 0 AND t.idle_until > ? AND t.expires_at > ? ORDER BY t.created_at DESC, t.id LIMIT CAST(? AS BIGINT)`),
		authorization: d.bind("SELECT " + who + ", " + scoped + ", " + columnsOf[authorizationRow]().of("t") + `, b.id AS session_id FROM authorizations t
			LEFT JOIN sessions b ON b.id = t.session_id AND b.ended_at = 0
			LEFT JOIN logins l ON l.id = t.login_id
			LEFT JOIN login_sources src ON src.id = t.source_id AND src.login_id = l.id
			LEFT JOIN users u ON u.uid = t.user_uid` + account + `
			LEFT JOIN memberships sm ON sm.account_uid = t.account_uid AND sm.user_uid = t.user_uid
			LEFT JOIN accounts sa ON sa.uid = sm.account_uid AND sa.active
			WHERE t.id = ?`),
		tokenStatus: d.bind("SELECT " + who + ", " + scoped + `, r.jti AS revoked_jti,
			t.id AS family_id, t.revoked_at AS family_revoked_at, t.created_at AS family_created_at
			FROM (SELECT 1 AS one) here
			LEFT JOIN users u ON u.uid = ?
			LEFT JOIN logins l ON l.id = ? AND l.user_uid = u.uid
			LEFT JOIN login_sources src ON src.id = ? AND src.login_id = l.id` + account + `
			LEFT JOIN memberships sm ON sm.account_uid = ? AND sm.user_uid = u.uid
			LEFT JOIN accounts sa ON sa.uid = sm.account_uid AND sa.active
			LEFT JOIN families t ON t.id = ?
			LEFT JOIN revoked_tokens r ON r.jti = ?`),
	}
}

// principalRow is a login with its user and account. Columns that the joins did not find
// are zero.
type principalRow struct {
	Login    loginFacts   `gorm:"embedded;embeddedPrefix:l_"`
	Source   sourceRow    `gorm:"embedded;embeddedPrefix:src_"`
	User     userFacts    `gorm:"embedded;embeddedPrefix:u_"`
	Account  accountFacts `gorm:"embedded;embeddedPrefix:a_"`
	Roles    string       `gorm:"column:m_roles"`
	Assigned string       `gorm:"column:assigned"`
}

// scopeRow is the membership in the account that a token is scoped to. It is zero if the
// account is not active.
type scopeRow struct {
	Membership membershipRow `gorm:"embedded;embeddedPrefix:sm_"`
	Account    accountFacts  `gorm:"embedded;embeddedPrefix:sa_"`
}

func (r *scopeRow) record() *storage.Member {
	if r.Account.UID == "" {
		return nil
	}
	return &storage.Member{Membership: r.Membership.record(), Account: r.Account.record()}
}

// principal returns the record of a known user, with the policy and the rules of
// the login's profile from memory where possible. login reports whether a login was
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
	p.Source, p.Lockout.Source = r.Source.record(), r.Source.Counter.record()
	if p.Login.ID != "" {
		profile, err := s.PasswordProfile(ctx, p.Login.ProfileID)
		if err != nil {
			return p, err
		}
		p.Policy, p.Rules = profile.Lockout, profile.Rules
	}
	return p, s.addRoles(ctx, &p, r.Assigned, r.Roles)
}

type signInRow struct {
	Who     principalRow `gorm:"embedded"`
	Phantom lockoutRow   `gorm:"embedded;embeddedPrefix:f_"`
}

// Principal reads all that a sign-in needs, in one statement while the profiles are in
// memory. Of accounts, here and in storage.Member, it reads UID, realm, kind, ID, name and
// whether it is active. A name without a login is not an error: then Known is false, and
// Lockout has the failures of the name. Source is key.Source if that is known for the
// login. The error is storage.ErrNotFound for an unknown profile.
func (s *Store) Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error) {
	row, err := get[signInRow](ctx, s, "principal", s.statements.principal,
		key.ProfileID, key.UsernameKey, key.Source, phantomOf(key))
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

// PrincipalOf is Principal for a login's ID. It returns storage.ErrNotFound if there is no
// such login. The caller does not know the user's address, so Source is a known source that
// is not locked, if there is any. Otherwise a lock because of somebody else's guesses would
// stop messages to the user.
func (s *Store) PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error) {
	row, err := get[principalRow](ctx, s, "principal", s.statements.principalOf, micros(s.now()), loginID)
	if err != nil {
		return storage.Principal{}, err
	}
	return s.principal(ctx, &row, true)
}

// Recipients reads the logins of a request's profile that have the username and whose user
// has the e-mail address. The keys have the form of otp.NormalizeUsername. An empty key
// matches everybody, but if both are empty the result is empty. Source is as in
// PrincipalOf.
func (s *Store) Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error) {
	sql, args := s.statements.recipients, []any{micros(s.now()), r.ProfileID}
	if usernameKey != "" {
		sql, args = sql+" AND l.username_key = ?", append(args, usernameKey)
	}
	if emailKey != "" { // the second condition is the index's
		sql, args = sql+" AND u.email_key = ? AND u.email_key <> ''", append(args, emailKey)
	}
	if usernameKey == "" && emailKey == "" {
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

// Recipient is Principal for a login that gets a message. Source is as in PrincipalOf.
func (s *Store) Recipient(ctx context.Context, key storage.LoginKey) (storage.Principal, error) {
	found, err := s.Recipients(ctx, storage.CodeRequest{ProfileID: key.ProfileID}, key.UsernameKey, "")
	if err != nil || len(found) == 0 {
		return storage.Principal{Key: key}, err
	}
	return found[0], nil
}

// RecordFailure writes the next lockout state of a login or of an unknown name, and the
// counter of p.Source if that is known. If notice is not nil, it stores the notice for
// ClaimCodeRequests in the same statement. If the state in p is outdated, it writes nothing
// and returns storage.ErrStale; the caller must read the login again. The store increments
// the version itself. Known and unknown names both cost one durable write.
func (s *Store) RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error {
	first := s.failureOf(&p, next)
	var then []statement
	if p.Known && p.Source.ID != "" {
		then = append(then, countAt(p.Source.ID, p.Login.ID, next.Source))
	}
	if notice != nil {
		then = append(then, s.insertRequest(*notice))
	}
	settled, err := s.settle(ctx, "record failure", first, then...)
	if err == nil && !settled {
		err = s.wrap(ctx, "record failure", storage.ErrStale)
	}
	return err
}

// failureOf returns the statement that writes the lockout state for all sources, if the
// version has not changed since p was read. Writes to the counters of sources increment
// this version too.
func (s *Store) failureOf(p *storage.Principal, next storage.Lockout) statement {
	counted := columnsOf[lockoutRow]()
	seen := p.Lockout.Version
	row := lockoutRowOf(next)
	row.Version = seen + 1
	if p.Known {
		return statement{
			sql:  "UPDATE logins SET " + counted.set("?") + " WHERE id = ? AND lockout_version = ?",
			args: append(valuesOf(&row), p.Login.ID, seen),
		}
	}
	day := next.LastFailureAt.Unix() / secondsPerDay
	all := "name_digest " + counted + " quiet_day"
	return statement{
		sql: "INSERT INTO phantoms (" + all.list() + ") VALUES (" + all.marks() + `)
			ON CONFLICT (name_digest) DO UPDATE SET ` + (counted + " quiet_day").set("excluded.") + `
			WHERE phantoms.lockout_version = ?`,
		args: append(append([]any{phantomOf(p.Key)}, valuesOf(&row)...), day, seen),
	}
}

const secondsPerDay = 24 * 60 * 60

// phantomOf returns the key under which the failures of an unknown name are stored. It is a
// digest, so its length does not depend on the name.
func phantomOf(key storage.LoginKey) blob {
	text := binary.AppendUvarint(nil, uint64(len(key.ProfileID)))
	text = append(append(text, key.ProfileID...), key.UsernameKey...)
	sum := sha256.Sum256(text)
	return sum[:]
}
