package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"latchkey/storage"
)

// redeemedRow has the columns that a token needs of the login whose code was redeemed. Each
// column that is read costs about a microsecond.
type redeemedRow struct {
	LoginID    string `gorm:"column:id"`
	Username   string `gorm:"column:username"`
	UserUID    string `gorm:"column:user_uid"`
	Kind       string `gorm:"column:kind"`
	AccountUID string `gorm:"column:account_uid"`
	CodeID     string `gorm:"column:code_id"`
	LastActive int64  `gorm:"column:last_active_at"`
	SourceID   string `gorm:"column:source_id"`
	Grant      int    `gorm:"column:grant_no"` // counted from 1
}

// RedeemCode lets the one-time password of a login take effect at once if the case is an
// ordinary one; see storage.Redemption. Otherwise it changes nothing and returns false.
func (s *Store) RedeemCode(ctx context.Context, r storage.Redemption) (done storage.Redeemed, ok bool, err error) {
	if len(r.Grants) == 0 {
		return done, false, nil
	}
	redeem := s.redeemInStatement
	if !s.dialect.writesInWith() {
		redeem = s.redeemInTransaction
	}
	row, err := redeem(ctx, &r)
	if row == nil || err != nil {
		return done, false, err
	}
	grant := &r.Grants[row.Grant-1]
	done.CodeID, done.LastActiveAt = row.CodeID, instant(row.LastActive)
	done.SourceID, done.Scope = cmp.Or(row.SourceID, r.NewSourceID), grant.Scope
	done.Principal = storage.Principal{
		Key: r.Key, Known: true, Source: storage.Source{ID: row.SourceID},
		Login: storage.Login{
			ID: row.LoginID, ProfileID: r.Key.ProfileID, UsernameKey: r.Key.UsernameKey, Username: row.Username,
			UserUID: row.UserUID, Active: true,
		},
		User: storage.User{UID: row.UserUID, Kind: storage.UserKind(row.Kind), AccountUID: row.AccountUID, Active: true},
	}
	memberRoles, assigned, _ := strings.Cut(grant.RoleSource, separator)
	return done, true, s.addRoles(ctx, &done.Principal, assigned, memberRoles)
}

// redeemInStatement takes one round trip.
func (s *Store) redeemInStatement(ctx context.Context, r *storage.Redemption) (*redeemedRow, error) {
	rows, err := returning[redeemedRow](ctx, s, "redeem code", s.statements.redemption, s.redemptionArgs(r)...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// RestoreCode undoes a RedeemCode, for a caller who could not issue the token. A code that
// was replaced meanwhile stays replaced.
func (s *Store) RestoreCode(ctx context.Context, r storage.Redemption, done storage.Redeemed) error {
	loginID, now := done.Principal.Login.ID, micros(r.Now)
	back := statement{
		sql: `UPDATE logins SET code_used_at = 0, last_active_at = CASE WHEN last_active_at = ? THEN ? ELSE last_active_at END
			WHERE id = ? AND code_id = ? AND code_used_at = ?`,
		args: []any{now, micros(done.LastActiveAt), loginID, done.CodeID, now},
	}
	var then []statement
	if r.Family != nil {
		then = append(then, statement{sql: "DELETE FROM families WHERE id = ? AND " + ifSettled, args: []any{r.Family.ID}})
	}
	if done.Principal.Source.ID == "" && r.NewSourceID != "" {
		then = append(then, statement{sql: "DELETE FROM login_sources WHERE id = ? AND login_id = ? AND " + ifSettled, args: []any{r.NewSourceID, loginID}})
	}
	_, err := s.settle(ctx, "restore code", back, then...)
	return err
}

// sourceText is Principal.RoleSource in SQL; see addRoles.
const sourceText = `COALESCE((SELECT m.roles FROM memberships m WHERE m.account_uid = u.account_uid AND m.user_uid = u.uid), '') || '` + separator + `' ||
	COALESCE((SELECT string_agg(s.security_profile_id, '` + separator + `' ORDER BY s.security_profile_id COLLATE "C")
		FROM security_profile_assignments s WHERE s.party IN ('user:' || u.uid, 'account:' || u.account_uid, 'kind:' || u.kind)), '')`

// admitted is storage.Admission in SQL. No index serves the comparison: without
// statistics the planner would look for all users of a kind.
const admitted = `(array_position(string_to_array(:kinds, ' '), u.kind) IS NOT NULL
	OR u.kind <> '` + string(storage.Admin) + `' AND array_position(string_to_array(:accounts, ' '), u.account_uid) IS NOT NULL)`

const (
	isNewSource = "(src.id IS NULL AND :new_source <> '')"
	isOldSource = "COALESCE(src.seen_at < :seen_before, FALSE)"
)

// redeemable is the condition that the login x may redeem its code now, where l is the
// login as the others were joined to it. The condition is the same as that of decision and
// unlocked, but it fails if there are failures to clear. It also fails for a code that
// would verify the e-mail address of its user: SettleLogin does that.
var redeemable = `l.profile_id = :profile AND l.username_key = :username AND x.active
			AND x.code_id <> '' AND x.code_used_at = 0 AND x.code_expires_at > :now
			AND x.code_pepper_id = :pepper AND x.code_name_digest = :digest
			AND x.code_purpose = :purpose AND x.code_client_id IN ('', :client)
			AND x.code_issued_at >= :issued_from AND x.code_issued_at >= x.sessions_valid_from
			AND x.code_issued_at >= u.valid_from AND x.code_issued_at >= COALESCE(a.valid_from, 0)
			AND x.failures = 0 AND x.locked_until = 0 AND x.codes_failures = 0 AND x.codes_locked_until = 0
			AND COALESCE(src.failures, 0) = 0 AND COALESCE(src.locked_until, 0) = 0
			AND (x.code_mailed_to = '' OR x.code_mailed_to <> u.email_key OR u.verified_email = u.email_key)
			AND u.active AND (u.account_uid = '' OR a.active)
			AND u.valid_from <= :now AND u.tokens_valid_from <= :now AND COALESCE(a.valid_from, 0) <= :now
			AND (NOT ` + isNewSource + ` OR (SELECT count(*) FROM login_sources k WHERE k.login_id = l.id) < ` + strconv.Itoa(storage.MaxSources) + `)`

// rememberSource inserts a new source, or updates when a known one was seen.
const rememberSource = `INSERT INTO login_sources (id, login_id, address, failures, last_failure_at, locked_until, seen_at)
		SELECT %s ON CONFLICT (login_id, address) DO UPDATE SET seen_at = excluded.seen_at`

// redemption returns the statement of RedeemCode. All parts of it read the rows as they
// were when it began. If the UPDATE had to wait for the login's row, only x is the current
// row. So the statement requires that x and l have the same lockout version, which every
// change of the sources increments. OFFSET 0 keeps the source a subquery, which its index
// answers. Without statistics the planner would otherwise read all sources with the
// address.
func (p *postgres) redemption() string {
	began := columnsOf[familyRow]()
	family := strings.Fields(string(began))
	values := slices.Clone(family)
	for i, column := range family {
		switch column {
		case "user_uid":
		case "login_id":
			values[i] = "id"
		case "source_id":
			values[i] = "COALESCE(source_id, :new_source)"
		case "scope":
			values[i] = "COALESCE((string_to_array(:scopes, :next))[grant_no], '')"
		default:
			values[i] = ":f_" + column
		}
	}
	return numbered(`WITH done AS (UPDATE logins x SET code_used_at = :now, last_active_at = :now,
			lockout_version = x.lockout_version + CASE WHEN `+isNewSource+` OR `+isOldSource+` THEN 1 ELSE 0 END
		FROM logins l JOIN users u ON u.uid = l.user_uid
			LEFT JOIN accounts a ON a.uid = u.account_uid
			LEFT JOIN LATERAL (SELECT * FROM login_sources s WHERE s.login_id = l.id AND s.address = :address OFFSET 0) src ON TRUE
			CROSS JOIN LATERAL (SELECT array_position(string_to_array(:role_sources, :next), `+sourceText+`) AS grant_no OFFSET 0) has
		WHERE x.id = l.id AND x.lockout_version = l.lockout_version AND x.code_id = l.code_id
			AND `+redeemable+` AND `+admitted+` AND has.grant_no IS NOT NULL
		RETURNING x.id, l.username, l.user_uid, u.kind, u.account_uid, l.code_id, l.last_active_at, src.id AS source_id,
			`+isNewSource+` OR `+isOldSource+` AS is_seen, has.grant_no),
	began AS (INSERT INTO families (`+began.list()+`) SELECT `+strings.Join(values, ", ")+` FROM done WHERE :f_id <> ''),
	got_known AS (`+fmt.Sprintf(rememberSource, ":new_source, id, :address, 0, 0, 0, :now FROM done WHERE is_seen")+`)
	SELECT id, username, user_uid, kind, account_uid, code_id, last_active_at, source_id, grant_no FROM done`, redemptionParams())
}

// numbered replaces the names of parameters in SQL, each after a colon, by PostgreSQL's
// numbers with the types.
func numbered(sql string, params []string) string {
	pairs := make([]string, 0, 2*len(params))
	for i, param := range params {
		name, kind, _ := strings.Cut(param, " ")
		number := "$" + strconv.Itoa(i+1)
		if kind != "" {
			number = "CAST(" + number + " AS " + kind + ")"
		}
		pairs = append(pairs, ":"+name, number)
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

// nextItem separates the elements of a list that is one argument.
const nextItem = "\x1e"

// redeemableParams are the names and types of the arguments of redeemable and of the
// admission.
var redeemableParams = []string{
	"now BIGINT", "seen_before BIGINT", "issued_from BIGINT", "profile TEXT", "username TEXT", "address TEXT", "new_source TEXT",
	"pepper TEXT", "digest BYTEA", "purpose TEXT", "client TEXT", "kinds TEXT", "accounts TEXT",
}

// redemptionParams returns the names and types of the arguments of redemption, in the
// order of redemptionArgs. A name that begins with another one comes first.
func redemptionParams() []string {
	params := slices.Concat(redeemableParams, []string{"role_sources TEXT", "scopes TEXT", "next TEXT"})
	names := strings.Fields(string(columnsOf[familyRow]()))
	for _, place := range storedWithFamily() {
		params = append(params, "f_"+names[place])
	}
	return params
}

// storedWithFamily returns the places of the columns of a family that do not come from the
// login, in descending order of their names.
func storedWithFamily() (places []int) {
	names := strings.Fields(string(columnsOf[familyRow]()))
	for place, name := range names {
		if !slices.Contains([]string{"user_uid", "login_id", "source_id", "scope"}, name) {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, func(a, b int) int { return strings.Compare(names[b], names[a]) })
	return places
}

// redeemableArgs returns the arguments for redeemableParams.
func redeemableArgs(r *storage.Redemption) []any {
	kinds := make([]string, len(r.Admission.Kinds))
	for i, kind := range r.Admission.Kinds {
		kinds[i] = string(kind)
	}
	return []any{
		micros(r.Now), micros(r.SeenBefore), micros(r.IssuedFrom), r.Key.ProfileID, r.Key.UsernameKey, r.Key.Source, r.NewSourceID,
		r.NameDigest.PepperID, blob(r.NameDigest.Sum), string(r.Purpose), r.ClientID, words(kinds), words(r.Admission.AccountUIDs),
	}
}

// redemptionArgs returns the arguments of the redemption.
func (s *Store) redemptionArgs(r *storage.Redemption) []any {
	sources, scopes := make([]string, len(r.Grants)), make([]string, len(r.Grants))
	for i, g := range r.Grants {
		sources[i], scopes[i] = g.RoleSource, words(g.Scope)
	}
	args := append(redeemableArgs(r), strings.Join(sources, nextItem), strings.Join(scopes, nextItem), nextItem)
	family := r.Family
	if family == nil {
		family = new(storage.TokenFamily)
	}
	row := familyRowOf(family)
	values := valuesOf(&row)
	for _, place := range s.statements.withFamily {
		args = append(args, values[place])
	}
	return args
}
