package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"

	"latchkey/otp"
	"latchkey/storage"
)

// newLoginStore is a store with one password profile, in the realm "shop".
type newLoginStore struct {
	profile storage.PasswordProfile
	rules   storage.PasswordRules
}

func (s *newLoginStore) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	if id != s.profile.ID {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return s.profile, nil
}

func (s *newLoginStore) Rules(context.Context, string, storage.User) (storage.PasswordRules, error) {
	return s.rules, nil
}

// countingPreparer checks passwords. It counts the hashes instead of computing them.
type countingPreparer struct{ hashes int }

func (p *countingPreparer) Prepare(_ context.Context, who *storage.Principal, password string) (storage.PasswordChange, error) {
	if err := CheckPassword(who.Rules, password); err != nil {
		return storage.PasswordChange{}, err
	}
	p.hashes++
	return storage.PasswordChange{Hash: "hash of " + password}, nil
}

// TestSignUp tests who may sign up, and that passwords of all others are not hashed.
func TestSignUp(t *testing.T) {
	t.Parallel()
	type request struct {
		realm  storage.Realm
		client storage.Client
		login  LoginRequest
		format string // format of usernames
	}
	limit := &storage.LimitError{Budget: "sign_up"}
	full := netip.MustParseAddr("192.0.2.9")
	from := netip.MustParseAddr("192.0.2.1")
	for name, test := range map[string]struct {
		change func(*request)
		from   netip.Addr
		want   error
	}{
		"allowed":                  {from: from},
		"disabled":                 {change: func(r *request) { r.realm.SelfSignup = false }, from: from, want: ErrSignUpDisabled},
		"client without buyers":    {change: func(r *request) { r.client.AllowAnyBuyer = false }, from: from, want: ErrSignUpRefused},
		"client without passwords": {change: func(r *request) { r.client.Credentials.Password = false }, from: from, want: ErrSignUpRefused},
		"limited address":          {from: full, want: limit},
		"unknown profile":          {change: func(r *request) { r.login.ProfileID = "other" }, from: from, want: ErrForeignProfile},
		"profile of another realm": {change: func(r *request) { r.realm.ID = "other" }, from: from, want: ErrForeignProfile},
		"no e-mail address":        {change: func(r *request) { r.format = storage.UsernameEmail }, from: from, want: otp.ErrUsernameNotEmail},
		"invisible username":       {change: func(r *request) { r.login.Username = "bo\u200bb" }, from: from, want: otp.ErrUsernameInvisible},
		"empty username":           {change: func(r *request) { r.login.Username = " " }, from: from, want: otp.ErrUsernameEmpty},
	} {
		r := request{
			realm:  storage.Realm{ID: "shop", SelfSignup: true},
			client: storage.Client{AllowAnyBuyer: true, Credentials: storage.Credentials{Password: true}},
			login:  LoginRequest{ProfileID: "main", Username: "Bob", Password: "long enough"}, format: storage.UsernameAny,
		}
		if test.change != nil {
			test.change(&r)
		}
		passwords := &countingPreparer{}
		signUps := &SignUps{
			Store:     &newLoginStore{profile: storage.PasswordProfile{ID: "main", RealmID: "shop", UsernameFormat: r.format}},
			Passwords: passwords, Rand: rand.Reader,
			Admit: func(_ context.Context, from netip.Addr) error {
				if from == full {
					return limit
				}
				return nil
			},
		}
		fresh, err := r.realm.NewMember(rand.Reader, storage.User{Name: "Bob"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := signUps.Prepare(t.Context(), &r.client, r.realm, fresh, r.login, test.from)
		if !errors.Is(err, test.want) || (err == nil) != (passwords.hashes == 1) {
			t.Errorf("%s: got error %v, %d hashes; want error %v", name, err, passwords.hashes, test.want)
		}
		if err == nil && (got.Login.UserUID != got.User.UID || got.Login.UsernameKey != "bob" || got.Login.PasswordHash != "hash of long enough" || !got.Login.Active) {
			t.Errorf("%s: got the login %+v", name, got.Login)
		}
	}
}

// TestMinPasswordLength tests that both the minimal length and the rules of the profile apply.
func TestMinPasswordLength(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		least, rules int
		password     string
		good         bool
	}{{8, 4, "1234567", false}, {8, 4, "12345678", true}, {8, 10, "12345678", false}, {0, 4, "1234", true}} {
		signUps := &SignUps{
			Store: &newLoginStore{profile: storage.PasswordProfile{ID: "main"}, rules: storage.PasswordRules{MinLength: test.rules}},
			Rand:  rand.Reader, Passwords: &countingPreparer{}, MinPasswordLength: test.least,
		}
		_, err := signUps.NewLogin(t.Context(), storage.User{}, LoginRequest{ProfileID: "main", Username: "bob", Password: test.password})
		if weak := (*RuleError)(nil); (err == nil) != test.good || err != nil && !errors.As(err, &weak) {
			t.Errorf("%+v: got error %v", test, err)
		}
	}
}
