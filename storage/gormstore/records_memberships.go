package gormstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"latchkey/storage"
)

type membershipRow struct {
	ID         string `gorm:"column:id;unique;<-:create" list:"ID"`
	AccountUID string `gorm:"column:account_uid;primaryKey;<-:create" list:"AccountUID"`
	UserUID    string `gorm:"column:user_uid;primaryKey;<-:create" list:"UserUID"`
	Roles      string `gorm:"column:roles"`
	Meta       stamps `gorm:"embedded"`
}

func (*membershipRow) TableName() string { return "memberships" }
func (r *membershipRow) stamp() *stamps  { return &r.Meta }

// membershipRowOf gives a membership without an ID a random UUID.
func (s *Store) membershipRowOf(m storage.Membership) (membershipRow, error) {
	if m.ID == "" {
		id, err := uuid.NewRandomFromReader(s.rand)
		if err != nil {
			return membershipRow{}, fmt.Errorf("new membership: %w", err)
		}
		m.ID = id.String()
	}
	return membershipRow{
		ID: m.ID, AccountUID: m.AccountUID, UserUID: m.UserUID, Roles: words(m.Roles),
		Meta: stamps{Version: m.Version, Created: micros(m.CreatedAt)},
	}, nil
}

func (r *membershipRow) record() storage.Membership {
	return storage.Membership{
		ID: r.ID, AccountUID: r.AccountUID, UserUID: r.UserUID, Roles: list(r.Roles),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// Membership reads a user's membership in an account or returns
// storage.ErrNotFound.
func (s *Store) Membership(ctx context.Context, accountUID, userUID string) (storage.Membership, error) {
	row, err := first[membershipRow](ctx, s, "membership", "account_uid = ? AND user_uid = ?", accountUID, userUID)
	return row.record(), err
}

// PutMembership makes a user a member of an account or replaces its roles there, and
// returns the membership as stored. ID and CreatedAt count for a new membership only;
// without an ID it gets a random UUID. Errors: storage.ErrStale if the Version is above 0
// and not the stored one; storage.ErrConflict if the ID is in use, or if the Version is
// storage.MustBeNew and the user is a member already; storage.ErrNotFound for an unknown
// account or user.
func (s *Store) PutMembership(ctx context.Context, m storage.Membership) (storage.Membership, error) {
	row, err := s.membershipRowOf(m)
	if err == nil {
		err = put(ctx, s, "put membership", &row)
	}
	if err != nil {
		return storage.Membership{}, err
	}
	return row.record(), nil
}

// join makes a new user a member of the account. It does nothing if accountUID is empty.
func (s *Store) join(ctx context.Context, accountUID string, u *userRow) error {
	if accountUID == "" {
		return nil
	}
	row, err := s.membershipRowOf(storage.Membership{
		AccountUID: accountUID, UserUID: u.Facts.UID, CreatedAt: instant(u.Meta.Created),
	})
	if err != nil {
		return err
	}
	return addMissing(ctx, s, "put membership", &row)
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

// activeMembers selects the memberships for Members and Member.
const activeMembers = ` FROM memberships m JOIN accounts a ON a.uid = m.account_uid AND a.active WHERE m.user_uid = ?`

// Members lists the active accounts that a user is a member of, the oldest
// membership first, in one statement, or in two when the page is empty. offset
// and limit count members.
func (s *Store) Members(ctx context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error) {
	var page storage.Page[storage.Member]
	rows, err := query[countedMemberRow](ctx, s, "members",
		"SELECT "+columnsOf[memberRow]().joined()+", count(*) OVER () AS total"+activeMembers+
			" ORDER BY m.created_at, m.account_uid LIMIT CAST(? AS BIGINT) OFFSET ?", userUID, limit, offset)
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

// Member reads a user's membership in the account with that ID. If a buyer and a supplier
// have the same ID, it is the buyer's. It returns storage.ErrNotFound if the user is no
// member or the account is not active.
func (s *Store) Member(ctx context.Context, userUID, accountID string) (storage.Member, error) {
	row, err := get[memberRow](ctx, s, "member",
		"SELECT "+columnsOf[memberRow]().joined()+activeMembers+" AND a.id = ? ORDER BY a.kind, a.uid LIMIT 1", userUID, accountID)
	return row.record(), err
}

type membershipDetailRow struct {
	Member memberRow `gorm:"embedded"`
	User   userRow   `gorm:"embedded;embeddedPrefix:u_"`
}

// MembershipByID reads a membership with its account and its user, even if these are
// inactive, or returns storage.ErrNotFound.
func (s *Store) MembershipByID(ctx context.Context, id string) (storage.MembershipDetail, error) {
	row, err := get[membershipDetailRow](ctx, s, "membership",
		"SELECT "+columnsOf[membershipDetailRow]().joined()+` FROM memberships m
		JOIN accounts a ON a.uid = m.account_uid JOIN users u ON u.uid = m.user_uid WHERE m.id = ?`, id)
	return row.record(), err
}

func (r *membershipDetailRow) record() storage.MembershipDetail {
	return storage.MembershipDetail{
		Membership: r.Member.Membership.record(), Account: r.Member.Account.record(), User: r.User.record(),
	}
}
