package gormstore

import (
	"context"
	"errors"
	"time"

	"latchkey/storage"
)

// AddUser adds a user with its login, its new account, its memberships in that account and
// in the account of its AccountUID, and the request for its invitation, in one transaction.
// It returns user and login as stored. The login belongs to the user, whatever its UserUID
// is. Errors: storage.ErrConflict if one of the records exists already,
// storage.ErrUsernameTaken if another login of the profile has the username, and
// storage.ErrNotFound for an unknown realm, account or profile.
func (s *Store) AddUser(ctx context.Context, n storage.NewUser) (storage.UserLogin, error) {
	var added storage.UserLogin
	err := s.InTx(ctx, func(ctx context.Context) (err error) {
		added, err = s.addUser(ctx, n)
		return err
	})
	if err != nil {
		return storage.UserLogin{}, err
	}
	return added, nil
}

func (s *Store) addUser(ctx context.Context, n storage.NewUser) (added storage.UserLogin, err error) {
	user := userRowOf(n.User)
	if err := add(ctx, s, "add user", &user); err != nil {
		return added, err
	}
	added.User = user.record()
	if added.Login, err = s.addLogin(ctx, n); err != nil {
		return added, err
	}
	if err := s.join(ctx, n.User.AccountUID, &user); err != nil {
		return added, err
	}
	if n.Account != nil {
		account := accountRowOf(*n.Account)
		if err := add(ctx, s, "add account", &account); err != nil {
			return added, err
		}
		if err := s.join(ctx, n.Account.UID, &user); err != nil {
			return added, err
		}
	}
	if n.Invitation != nil {
		return added, s.AddCodeRequest(ctx, *n.Invitation)
	}
	return added, nil
}

func (s *Store) addLogin(ctx context.Context, n storage.NewUser) (storage.Login, error) {
	if n.Login == nil {
		return storage.Login{}, nil
	}
	row := loginRowOf(*n.Login)
	row.Facts.UserUID = n.User.UID
	if err := taken(add(ctx, s, "add login", &row)); err != nil {
		return storage.Login{}, err
	}
	return row.record(), nil
}

// ChangeUser changes a user in one transaction. If l is not nil, it also changes the
// administrator's view of that login (see PutLogin). If p is not nil, it also changes a
// permanent password (see ChangePassword). A p without LoginID is for the login l, which
// need not be active then. It returns the user and the login l as stored, or the user's
// first login by profile if l is nil.
//
// A Version other than 0 must be the stored one, otherwise the error is storage.ErrStale.
// Further errors: storage.ErrNotFound for an unknown user or login, storage.ErrConflict if
// another user of the account has the ID, storage.ErrUsernameTaken if another login of the
// profile has the username, and those of ChangePassword. If the e-mail address or the phone
// number changes, the codes that were sent to the former one end, and the former one gets a
// message; contactNotices limits these messages.
func (s *Store) ChangeUser(
	ctx context.Context, u storage.User, l *storage.Login, p *storage.PasswordChange,
) (storage.UserLogin, error) {
	var changed storage.UserLogin
	err := s.InTx(ctx, func(ctx context.Context) error {
		if err := s.leaveContact(ctx, u); err != nil {
			return err
		}
		row := userRowOf(u)
		if err := update(ctx, s, "change user", &row); err != nil {
			return err
		}
		id, err := s.changeLogin(ctx, l, p)
		if err != nil {
			return err
		}
		changed.User = row.record()
		changed.Login, err = s.loginOf(ctx, u.UID, id)
		return err
	})
	if err != nil {
		return storage.UserLogin{}, err
	}
	return changed, nil
}

// DeleteUserLogin deletes a user if the user and its login, the first by profile, have the
// versions of u. u.Login is zero for a user without a login.
func (s *Store) DeleteUserLogin(ctx context.Context, u storage.UserLogin) error {
	return deleteRecord[userRow](ctx, s, "delete user", "uid = ?", u.User.UID, u.User.Version, func(ctx context.Context) error {
		if _, err := pluck[loginRow](s.locking(ctx), "id", "user_uid = ?", u.User.UID); err != nil {
			return s.wrap(ctx, "delete user", err)
		}
		stored, err := s.loginOf(ctx, u.User.UID, "")
		if err == nil && (stored.ID != u.Login.ID || stored.Version != u.Login.Version) {
			err = s.wrap(ctx, "delete user", storage.ErrStale)
		}
		if err != nil {
			return err
		}
		return s.clearUsers(ctx, "uid = ?", u.User.UID)
	})
}

type contactRow struct {
	Email string `gorm:"column:email"`
	Phone string `gorm:"column:phone"`
}

// leaveContact ends the codes of a user if the e-mail address or the phone number is about
// to change, and stores a request for a message to the former one.
func (s *Store) leaveContact(ctx context.Context, u storage.User) error {
	moved, err := query[contactRow](ctx, s, "former contact",
		`SELECT email, phone FROM users WHERE uid = ? AND (email <> '' AND email_key <> ? OR phone <> '' AND phone <> ?)`+s.dialect.locks(),
		u.UID, u.EmailKey, u.Phone)
	if err != nil || len(moved) == 0 {
		return err
	}
	if err := s.endCodesOf(ctx, u); err != nil {
		return err
	}
	return s.notifyFormerContact(ctx, u, moved[0])
}

// contactNotices limits the messages about changes of one user's address: three, and one
// more each hour. So nobody can fill somebody else's mailbox by such changes. The first
// address always gets a message.
const (
	contactNotices   = 3
	contactNoticeGap = time.Hour
	contactNoticeTTL = 24 * time.Hour
)

// notifyFormerContact stores the request for a message to the user's former
// address, unless contactNotices is used up.
func (s *Store) notifyFormerContact(ctx context.Context, u storage.User, former contactRow) error {
	id, err := storage.NewID(s.rand, "otr_")
	if err != nil {
		return err
	}
	now := s.now().UTC()
	err = s.AddCodeRequest(ctx, storage.CodeRequest{
		ID: id, Type: storage.MessageContactChanged, UserUID: u.UID, Email: former.Email, Phone: former.Phone,
		CreatedAt: now, ExpiresAt: now.Add(contactNoticeTTL),
	}, storage.Charge{Budget: "contact", Key: "contact:" + u.UID, Gap: contactNoticeGap, Burst: contactNotices})
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		return nil
	}
	return err
}

// endCodesOf ends the codes of all logins of a user. Otherwise somebody who reads the mails
// to the former address could sign in.
func (s *Store) endCodesOf(ctx context.Context, u storage.User) error {
	const what = "end codes of user"
	logins, err := query[string](ctx, s, what, "SELECT id FROM logins WHERE user_uid = ? ORDER BY id"+s.dialect.locks(), u.UID)
	if err != nil {
		return err
	}
	now := s.now()
	for _, id := range logins {
		if err := s.endVerification(ctx, id, now); err != nil {
			return err
		}
		if err := s.retire(ctx, id, now); err != nil {
			return err
		}
	}
	return s.each(ctx, what, statement{
		sql: `UPDATE logins SET code_id = '', code_request_id = '', code_client_id = '', code_purpose = '',
			code_pepper_id = '', code_digest = ?, code_name_digest = '', code_issued_at = 0, code_expires_at = 0, code_used_at = 0 WHERE user_uid = ?`,
		args: []any{blob(nil), u.UID},
	})
}

// changeLogin returns the ID of the login that was changed, or none.
func (s *Store) changeLogin(ctx context.Context, l *storage.Login, p *storage.PasswordChange) (id string, err error) {
	condition := " AND active"
	if l != nil {
		row := loginRowOf(*l)
		if err := taken(update(ctx, s, "change login", &row)); err != nil {
			return "", err
		}
		id, condition = l.ID, ""
	}
	if p == nil {
		return id, nil
	}
	change := *p
	if change.LoginID == "" {
		change.LoginID = id
	}
	return change.LoginID, s.changePassword(ctx, change, condition)
}

// loginOf reads a login or, without an ID, the user's first one, if it has any.
func (s *Store) loginOf(ctx context.Context, userUID, id string) (storage.Login, error) {
	if id != "" {
		return s.LoginByID(ctx, id)
	}
	logins, err := s.LoginsOfUser(ctx, userUID)
	if err != nil || len(logins) == 0 {
		return storage.Login{}, err
	}
	return logins[0], nil
}
