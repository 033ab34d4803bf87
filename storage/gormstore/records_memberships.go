package gormstore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"

	"latchkey/storage"
)

type membershipRow struct {
	ID         string `gorm:"column:id"`
	AccountUID string `gorm:"column:account_uid"`
	UserUID    string `gorm:"column:user_uid"`
	Roles      string `gorm:"column:roles"`
	Meta       stamps `gorm:"embedded"`
}

const membershipColumns columns = "id account_uid user_uid roles version created_at updated_at"

func (r *membershipRow) record() storage.Membership {
	return storage.Membership{
		ID: r.ID, AccountUID: r.AccountUID, UserUID: r.UserUID, Roles: list(r.Roles),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// Membership reads a user's membership in an account or answers
// storage.ErrNotFound.
func (s *Store) Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error) {
	row, err := get[membershipRow](ctx, s, "membership",
		"SELECT "+membershipColumns.list()+" FROM memberships WHERE account_uid = ? AND user_uid = ?", accountUID, userUID)
	return row.record(), err
}

// PutMembership makes a user a member of an account or replaces its roles
// there, and returns the membership as stored. ID and CreatedAt count for a new
// membership only; without an ID it gets a random UUID. With a Version only that
// version is replaced, or the answer is storage.ErrStale; with
// storage.MustBeNew a user who is a member already is storage.ErrConflict, as an
// ID in use always is. An unknown account or user is storage.ErrNotFound.
func (s *Store) PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error) {
	if m.Version > 0 {
		rows, err := returning[membershipRow](ctx, s, "put membership",
			`UPDATE memberships SET roles = ?, updated_at = ?, version = version + 1
			WHERE account_uid = ? AND user_uid = ? AND version = ? RETURNING `+membershipColumns.list(),
			words(m.Roles), micros(s.now()), m.AccountUID, m.UserUID, m.Version)
		if err := affected(int64(len(rows)), err, s.wrap(ctx, "put membership", storage.ErrStale)); err != nil {
			return storage.Membership{}, err
		}
		return rows[0].record(), nil
	}
	otherwise := ` ON CONFLICT (account_uid, user_uid) DO UPDATE SET roles = excluded.roles,
		updated_at = excluded.updated_at, version = memberships.version + 1`
	if m.Version == storage.MustBeNew {
		otherwise = ""
	}
	return s.addMembership(ctx, m, otherwise)
}

// addMembership inserts a membership; otherwise says what becomes of one that
// exists.
func (s *Store) addMembership(ctx context.Context, m storage.Membership, otherwise string) (storage.Membership, error) {
	if m.ID == "" {
		id, err := uuid.NewRandomFromReader(s.rand)
		if err != nil {
			return storage.Membership{}, fmt.Errorf("put membership: %w", err)
		}
		m.ID = id.String()
	}
	now := micros(s.now())
	rows, err := returning[membershipRow](ctx, s, "put membership",
		"INSERT INTO memberships ("+membershipColumns.list()+") VALUES (?, ?, ?, ?, 1, ?, ?)"+otherwise+
			" RETURNING "+membershipColumns.list(),
		m.ID, m.AccountUID, m.UserUID, words(m.Roles), cmp.Or(micros(m.CreatedAt), now), now)
	if err != nil || len(rows) == 0 {
		return storage.Membership{}, err
	}
	return rows[0].record(), nil
}

// join makes a new user a member of an account, if one is named.
func (s *Store) join(ctx context.Context, accountUID string, u *userRow) error {
	if accountUID == "" {
		return nil
	}
	m := storage.Membership{AccountUID: accountUID, UserUID: u.UID, CreatedAt: instant(u.Meta.Created)}
	_, err := s.addMembership(ctx, m, " ON CONFLICT (account_uid, user_uid) DO NOTHING")
	return err
}

// DeleteMembership ends a membership or answers storage.ErrNotFound.
func (s *Store) DeleteMembership(ctx context.Context, accountUID, userUID string) error {
	n, err := s.exec(ctx, "delete membership",
		"DELETE FROM memberships WHERE account_uid = ? AND user_uid = ?", accountUID, userUID)
	return affected(n, err, s.wrap(ctx, "delete membership", storage.ErrNotFound))
}

type memberRow struct {
	Membership membershipRow `gorm:"embedded;embeddedPrefix:m_"`
	Account    accountRow    `gorm:"embedded;embeddedPrefix:a_"`
}

func (r *memberRow) record() storage.Member {
	return storage.Member{Membership: r.Membership.record(), Account: r.Account.record()}
}

type countedMemberRow struct {
	Member memberRow `gorm:"embedded"`
	Total  int       `gorm:"column:total"`
}

// activeMembers is what Members and Member select from.
const activeMembers = ` FROM memberships m JOIN accounts a ON a.uid = m.account_uid AND a.active WHERE m.user_uid = ?`

func memberColumns() string { return membershipColumns.of("m") + ", " + accountColumns.of("a") }

// Members lists the active accounts that a user is a member of, the oldest
// membership first, in one statement, or in two when the page is empty. offset
// and limit count members.
func (s *Store) Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error) {
	var page storage.Page[storage.Member]
	rows, err := query[countedMemberRow](ctx, s, "members",
		"SELECT "+memberColumns()+", count(*) OVER () AS total"+activeMembers+
			" ORDER BY m.created_at, m.account_uid LIMIT ? OFFSET ?", userUID, limit, offset)
	if err != nil {
		return page, err
	}
	for i := range rows {
		page.Items, page.Total = append(page.Items, rows[i].Member.record()), rows[i].Total
	}
	if len(rows) == 0 {
		page.Total, err = get[int](ctx, s, "members", "SELECT count(*)"+activeMembers, userUID)
	}
	return page, err
}

// Member reads a user's membership in the account of that ID, which is the
// buyer's where a supplier has the same one. It answers storage.ErrNotFound if
// the user is no member or the account is not active.
func (s *Store) Member(ctx context.Context, userUID, accountID string) (storage.Member, error) {
	row, err := get[memberRow](ctx, s, "member",
		"SELECT "+memberColumns()+activeMembers+" AND a.id = ? ORDER BY a.kind, a.uid LIMIT 1", userUID, accountID)
	return row.record(), err
}

type membershipDetailRow struct {
	Member memberRow `gorm:"embedded"`
	User   userRow   `gorm:"embedded;embeddedPrefix:u_"`
}

// MembershipByID reads a membership with its two ends, whether or not they are
// active, or answers storage.ErrNotFound.
func (s *Store) MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error) {
	row, err := get[membershipDetailRow](ctx, s, "membership",
		"SELECT "+memberColumns()+", "+userColumns.of("u")+` FROM memberships m
		JOIN accounts a ON a.uid = m.account_uid JOIN users u ON u.uid = m.user_uid WHERE m.id = ?`, id)
	return storage.MembershipDetail{
		Membership: row.Member.Membership.record(), Account: row.Member.Account.record(), User: row.User.record(),
	}, err
}
