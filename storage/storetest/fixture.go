package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// fixture is a database with one buyer and its user bob.
type fixture struct {
	t       *testing.T
	ctx     context.Context
	open    Database
	store   Store
	now     time.Time
	account storage.Account
	user    storage.User
	login   storage.Login
}

const day = 24 * time.Hour

func newFixture(t *testing.T, open Database) *fixture {
	w := &fixture{
		t: t, ctx: t.Context(), open: open, store: open(t),
		now: time.Date(2031, 5, 17, 10, 20, 30, 123456000, time.UTC),
	}
	w.account = must(w.store.PutAccount(w.ctx, storage.Account{
		UID: "acc_1", RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: "acme", Name: "Acme", Active: true,
		XP: json.RawMessage(`{"tier":1}`), LegalName: "Acme AG", RegistrationID: "CHE-1", ExternalRef: "crm-7", ParentUID: "acc_0",
	}))(t)
	w.user, w.login = w.addUser("bob", "bob@example.com")
	return w
}

// addUser stores a user of the buyer with a login. name is its username.
func (w *fixture) addUser(name, email string) (storage.User, storage.Login) {
	w.t.Helper()
	u := must(w.store.PutUser(w.ctx, storage.User{
		UID: "usr_" + name, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: "acc_1", ID: name,
		Name: "First M. Last", FirstName: "First", MiddleName: "Middle", LastName: "Last", Email: email, EmailKey: email, Phone: "+41 1", Active: true,
		Locale: "de-CH", XP: json.RawMessage(`{"a":[1]}`), TokensValidFrom: w.now.Add(-day),
	}))(w.t)
	l := must(w.store.PutLogin(w.ctx, storage.Login{
		ID: "lgn_" + name, ProfileID: storage.DefaultProfileID, Username: name + " ", UsernameKey: name,
		UserUID: u.UID, Active: true, PasswordHash: "hash-1", PasswordSetAt: w.now.Add(-day),
	}))(w.t)
	return u, l
}

func (w *fixture) key() storage.LoginKey {
	return storage.LoginKey{ProfileID: w.login.ProfileID, UsernameKey: w.login.UsernameKey}
}

func (w *fixture) principal() storage.Principal {
	w.t.Helper()
	return must(w.store.Principal(w.ctx, w.key()))(w.t)
}

// addAccount stores another active buyer.
func (w *fixture) addAccount(uid, id string) storage.Account {
	w.t.Helper()
	return must(w.store.PutAccount(w.ctx, storage.Account{
		UID: uid, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: id, Name: id, Active: true,
	}))(w.t)
}

// withoutUnread returns a principal without the fields that Principal does not read.
func withoutUnread(p storage.Principal) storage.Principal {
	p.Login.Version, p.Login.CreatedAt, p.Login.UpdatedAt = 0, time.Time{}, time.Time{}
	p.User.XP, p.User.Version, p.User.CreatedAt, p.User.UpdatedAt = nil, 0, time.Time{}, time.Time{}
	p.Account = accountWithoutUnread(p.Account)
	return p
}

func accountWithoutUnread(a storage.Account) storage.Account {
	return storage.Account{UID: a.UID, RealmID: a.RealmID, Kind: a.Kind, ID: a.ID, Name: a.Name, Active: a.Active}
}

// code issues a one-time password for bob, with a message. id is the ID of the request.
// leave ends bob's membership in an account.
func (w *fixture) leave(accountUID string) {
	w.t.Helper()
	m := must(w.store.Membership(w.ctx, accountUID, w.user.UID))(w.t)
	check(w.t, w.store.DeleteMembership(w.ctx, m.ID, m.Version))
}

func (w *fixture) code(id string) storage.Code {
	w.t.Helper()
	w.request(id)
	x := w.issuance(id)
	must(w.store.IssueCodes(w.ctx, x))(w.t)
	return x.Codes[0].Code
}

func (w *fixture) request(id string) storage.CodeRequest {
	w.t.Helper()
	r := storage.CodeRequest{
		ID: id, Type: storage.MessageOneTimePassword, ClientID: "web", ProfileID: storage.DefaultProfileID,
		Username: "bob", Email: "bob@example.com", UserUID: "usr_bob", URL: "https://shop.example/reset",
		Purpose: storage.PurposeSignIn, Binding: "b", TraceID: "trace", Source: "192.0.2.1", CreatedAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute),
	}
	check(w.t, w.store.AddCodeRequest(w.ctx, r))
	return r
}

func (w *fixture) issuance(requestID string) storage.Issuance {
	code := storage.Code{
		ID: "code-" + requestID, RequestID: requestID, ClientID: "web", Purpose: storage.PurposeSignIn,
		Digest:   storage.Digest{PepperID: "p1", Sum: []byte{1, 2, 3}},
		IssuedAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute),
	}
	return storage.Issuance{RequestID: requestID, Now: w.now, Codes: []storage.IssuedCode{{
		LoginID: w.login.ID, Code: code, Messages: []storage.Message{w.message("msg-"+requestID, requestID)},
	}}}
}

func (w *fixture) message(id, requestID string) storage.Message {
	return storage.Message{
		ID: id, RequestID: requestID, CodeID: "code-" + requestID, SenderID: "hook", Type: storage.MessageOneTimePassword, UserUID: w.user.UID,
		TraceID: "trace", Payload: storage.Sealed{KeyID: "k1", Data: []byte("secret")}, State: storage.MessageQueued,
		RunAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute), CreatedAt: w.now,
	}
}

func (w *fixture) family(id string) storage.TokenFamily {
	return storage.TokenFamily{
		ID: id, ClientID: "web", UserUID: w.user.UID, LoginID: w.login.ID, AccountUID: "acc_1",
		Scope: []string{"Shopper", "Reader"}, AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: w.now.Truncate(time.Second),
		SeedDigest: []byte{9, 8, 7}, Generation: 1, RotatedAt: w.now,
		ExpiresAt: w.now.Add(30 * day), IdleUntil: w.now.Add(day), CreatedAt: w.now,
	}
}

// begin signs bob in and begins a token family.
func (w *fixture) begin(id string) storage.TokenFamily {
	w.t.Helper()
	f := w.family(id)
	check(w.t, w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginFamily: &f, Now: w.now}))
	return f
}

// must returns the value of a call, and fails the test on an error.
func must[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// fails is wantErr for a call that returns a value too.
func fails[V any](_ V, err error) func(t *testing.T, want error) {
	return func(t *testing.T, want error) {
		t.Helper()
		wantErr(t, err, want)
	}
}

func equal[V any](t *testing.T, got, want V) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("unexpected result (-want +got):\n%s", diff)
	}
}

// concurrently calls f n times at once and returns the errors.
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	return errs
}

// countErrors counts the errors by sentinel, with nil as "".
func countErrors(errs []error) map[string]int {
	n := make(map[string]int)
	for _, err := range errs {
		n[kind(err)]++
	}
	return n
}

func kind(err error) string {
	if err == nil {
		return ""
	}
	for _, known := range []error{
		storage.ErrNotFound, storage.ErrConflict, storage.ErrTooMany, storage.ErrStale, storage.ErrRefused, storage.ErrUnavailable,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprintf("unknown: %v", err)
}
