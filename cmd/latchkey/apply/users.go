package apply

import (
	"context"
	"errors"

	"latchkey/grants/signin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/otp"
	"latchkey/storage"
)

func (p *plan) adminUser(ctx context.Context, path string, item User) error {
	return p.user(ctx, path, item, storage.Account{Kind: storage.Admin})
}

// user plans a user of the account, together with its login. For an admin user, the
// account has only a kind.
func (p *plan) user(ctx context.Context, path string, item User, account storage.Account) error {
	stored, err := p.People.User(ctx, storage.DefaultRealmID, account.Kind, account.UID, item.ID)
	base, isNew, err := orNew(stored, err, storage.User{RealmID: storage.DefaultRealmID, Kind: account.Kind, AccountUID: account.UID})
	if isNew && err == nil {
		base.UID, err = storage.NewUserUID(p.Rand)
	}
	if err != nil {
		return err
	}
	want := item.ToRecord(base)
	want.Locale = item.Locale
	p.users[userKey(account.UID, item.ID)] = want
	p.byID[item.ID] = append(p.byID[item.ID], want)

	login, ok, err := p.login(ctx, path, item, want)
	if err != nil || !ok {
		return err
	}
	fields := login.fields(base, want)
	kind, id := "User", account.ID+"/"+item.ID
	if account.Kind == storage.Admin {
		kind, id = "AdminUser", item.ID
	}
	if !p.change(kind, id, isNew, fields) {
		return nil
	}
	if isNew || userFields(base, storage.Login{}, want, storage.Login{}) != nil {
		put(p, want, p.People.PutUser)
	}
	p.writeLogin(login)
	return nil
}

// loginPlan is the login of a user before and after the run.
type loginPlan struct {
	base, want storage.Login
	isNew      bool
	newHash    bool // want.PasswordHash is to be stored
}

// fields returns the names of the fields that differ in the user and its login.
func (l loginPlan) fields(base, want storage.User) []string {
	shown := l.want
	shown.PasswordSetAt = l.base.PasswordSetAt // shown as "Password"
	fields := userFields(base, l.base, want, shown)
	if l.newHash {
		fields = append(fields, "Password")
	}
	return fields
}

func userFields(base storage.User, login storage.Login, want storage.User, wanted storage.Login) []string {
	fields := differences(wire.UserFromRecord(base, login, ""), wire.UserFromRecord(want, wanted, ""))
	if base.Locale != want.Locale {
		fields = append(fields, "Locale")
	}
	return fields
}

func (p *plan) login(ctx context.Context, path string, item User, user storage.User) (loginPlan, bool, error) {
	wanted := item.ToLogin(storage.Login{UserUID: user.UID, Active: true})
	profile, ok, err := p.profile(ctx, path, wanted.ProfileID)
	if err != nil || !ok {
		return loginPlan{}, false, err
	}
	if profile.UsernameFormat == storage.UsernameEmail && !otp.IsEmail(item.Username) {
		p.faults.Add(wire.Join(path, "Username"), "must be an e-mail address in password profile %s", profile.ID)
	}
	if free, err := p.usernameIsFree(ctx, path, wanted); err != nil || !free {
		return loginPlan{}, false, err
	}
	l, ok, err := p.ownLogin(ctx, path, user.UID, wanted)
	if err != nil || !ok {
		return loginPlan{}, false, err
	}
	l.want = item.ToLogin(l.base)
	if l.isNew {
		l.want = wanted
		if l.want.ID, err = storage.NewUUID(p.Rand); err != nil {
			return loginPlan{}, false, err
		}
	}
	hash, err := p.password(ctx, item, l.base.PasswordHash)
	if item.Password != nil {
		p.passwords = append(p.passwords, plannedPassword{path: wire.Join(path, "Password"), value: *item.Password, profile: profile, user: user})
	}
	if hash != "" {
		l.newHash, l.want.PasswordHash, l.want.PasswordSetAt = true, hash, p.Now()
	}
	return l, err == nil, err
}

// usernameIsFree adds a fault if another user has the username, or gets it in this run.
func (p *plan) usernameIsFree(ctx context.Context, path string, wanted storage.Login) (bool, error) {
	key := wanted.ProfileID + "/" + wanted.UsernameKey
	if first, ok := p.logins[key]; ok {
		p.faults.Add(wire.Join(path, "Username"), "is that of %s", first)
		return false, nil
	}
	p.logins[key] = path
	other, err := p.Logins.Login(ctx, wanted.ProfileID, wanted.UsernameKey)
	ok, err := found(err)
	if ok && other.UserUID != wanted.UserUID {
		p.faults.Add(wire.Join(path, "Username"), "belongs to another user")
		return false, nil
	}
	return err == nil, err
}

// ownLogin returns the user's login in the profile: the login with that username or,
// if there is none, the only login, which is then renamed.
func (p *plan) ownLogin(ctx context.Context, path, uid string, wanted storage.Login) (loginPlan, bool, error) {
	logins, err := p.Logins.LoginsOfUser(ctx, uid)
	if err != nil {
		return loginPlan{}, false, err
	}
	var here []storage.Login
	for _, l := range logins {
		if l.ProfileID != wanted.ProfileID {
			continue
		}
		if l.UsernameKey == wanted.UsernameKey {
			return loginPlan{base: l}, true, nil
		}
		here = append(here, l)
	}
	switch len(here) {
	case 0:
		return loginPlan{isNew: true}, true, nil
	case 1:
		return loginPlan{base: here[0]}, true, nil
	}
	p.faults.Add(wire.Join(path, "Username"), "the user has %d other names in password profile %s", len(here), wanted.ProfileID)
	return loginPlan{}, false, nil
}

// password returns the hash to store, or "" to keep the stored one. In a dry
// run it hashes nothing.
func (p *plan) password(ctx context.Context, item User, stored string) (string, error) {
	if item.PasswordHash != nil {
		if stored != "" && !p.ForcePasswords || stored == *item.PasswordHash {
			return "", nil
		}
		return *item.PasswordHash, nil
	}
	if item.Password == nil {
		return "", nil
	}
	if stored != "" {
		ok, _, err := p.Hasher.Verify(ctx, stored, *item.Password)
		if ok || err != nil && !errors.Is(err, signin.ErrHashRefused) {
			return "", err
		}
	}
	if p.dryRun {
		return "not computed", nil
	}
	return p.Hasher.Hash(ctx, *item.Password)
}

// writeLogin plans the changes of a login. A new password ends the sessions of the
// old one.
func (p *plan) writeLogin(l loginPlan) {
	renamed := l.base.Username != l.want.Username || l.base.UsernameKey != l.want.UsernameKey
	if l.isNew || renamed {
		put(p, l.want, p.Logins.PutLogin)
	}
	if l.newHash && !l.isNew {
		p.write(func(ctx context.Context) error {
			return p.Logins.SetPassword(ctx, l.want.ID, l.want.PasswordHash, l.want.PasswordSetAt, true)
		})
	}
}
