package storetest

import (
	"fmt"
	"strings"
	"time"

	"latchkey/storage"
)

const stampNames = " Version CreatedAt UpdatedAt"

const (
	accountNames = "UID RealmID Kind ID Name Active LegalName RegistrationID ExternalRef ParentUID" + stampNames
	userNames    = "UID RealmID Kind AccountUID ID Name FirstName MiddleName LastName Email Phone Active Locale TermsAccepted TokensValidFrom" + stampNames
	messageNames = " Message.ID Message.RequestID Message.CodeID Message.SenderID Message.Type Message.UserUID" +
		" Message.TraceID Message.State Message.Attempts Message.LastError Message.RunAt Message.ExpiresAt" +
		" Message.CreatedAt Message.EndedAt"
)

func prefixed(prefix, names string) string {
	return " " + prefix + strings.ReplaceAll(names, " ", " "+prefix)
}

// lists returns tests of all lists with all their fields.
func (w *fixture) lists() []listTest {
	s, ctx := w.store, w.ctx
	return []listTest{
		newListTest("realms", "", "ID Name SelfSignup AutoCreateAccount SelfManagement AccountTokenTTL DuplicateEmailPolicy"+stampNames,
			func(q storage.Query) (storage.Page[storage.Realm], error) { return s.ListRealms(ctx, q) }),
		newListTest("password profiles", "", "ID RealmID Name OneTimeCodes UsernameFormat CodeTTL"+stampNames,
			func(q storage.Query) (storage.Page[storage.PasswordProfile], error) {
				return s.ListPasswordProfiles(ctx, "default", q)
			}),
		newListTest("security profiles", "", "ID RealmID Name"+stampNames,
			func(q storage.Query) (storage.Page[storage.SecurityProfile], error) {
				return s.ListSecurityProfiles(ctx, q)
			}),
		newListTest("profile assignments", "", "ProfileID Party",
			func(q storage.Query) (storage.Page[storage.ProfileAssignment], error) {
				return s.ListProfileAssignments(ctx, q)
			}),
		newListTest("clients", "", `ID Name Active Public ProfileID Credentials.OTP Credentials.Password AllowAnyBuyer AllowAnySupplier
			AllowSeller DefaultContextUser RequiresContextUser AnonymousBuyer AccessTokenTTL RefreshTokenTTL RefreshIdleTTL
			AnonymousTokenTTL ReuseRefreshTokens SigningAlg`+stampNames,
			func(q storage.Query) (storage.Page[storage.Client], error) { return s.ListClients(ctx, q) }),
		newListTest("senders", "", "ID RealmID Name Description Active Dialect Kind URL DeliveryConfig Signature AllowAllBuyers AllowSeller"+stampNames,
			func(q storage.Query) (storage.Page[storage.Sender], error) { return s.ListSenders(ctx, q) }),
		newListTest("delivery configs", "", "ID RealmID Name Enabled Target URL CustomAuthHeaderName"+stampNames,
			func(q storage.Query) (storage.Page[storage.DeliveryConfig], error) {
				return s.ListDeliveryConfigs(ctx, q)
			}),
		newListTest("accounts", "", accountNames,
			func(q storage.Query) (storage.Page[storage.Account], error) {
				return s.ListAccounts(ctx, "default", "", q)
			}),
		newListTest("users", "User", userNames+" Username",
			func(q storage.Query) (storage.Page[storage.UserLogin], error) {
				return s.ListUsers(ctx, storage.UserScope{RealmID: "default"}, q)
			}),
		newListTest("logins", "", `ID ProfileID Username UsernameKey UserUID Active PasswordSetAt SessionsValidFrom Lockout.Failures
			Lockout.LastFailureAt Lockout.LockedUntil`+stampNames,
			func(q storage.Query) (storage.Page[storage.Login], error) { return s.ListLogins(ctx, w.user.UID, q) }),
		newListTest("memberships of an account", "Membership",
			"ID AccountUID UserUID"+stampNames+prefixed("Account.", accountNames)+prefixed("User.", userNames),
			func(q storage.Query) (storage.Page[storage.MembershipDetail], error) {
				return s.ListMemberships(ctx, storage.MembershipScope{AccountUID: "acc_1"}, q)
			}),
		newListTest("memberships of a user", "Membership", "ID CreatedAt Account.Name",
			func(q storage.Query) (storage.Page[storage.MembershipDetail], error) {
				return s.ListMemberships(ctx, storage.MembershipScope{UserUID: w.user.UID}, q)
			}),
		newListTest("others", "", userNames,
			func(q storage.Query) (storage.Page[storage.User], error) {
				return s.ListNonMembers(ctx, "default", "acc_2", q)
			}),
		newListTest("audit events", "", "ID Time Action Outcome ClientID UserUID Username Factor TraceID Source Object Took Count",
			func(q storage.Query) (storage.Page[storage.AuditEvent], error) { return s.ListAuditEvents(ctx, q) }),
		newListTest("requests", "Request", "ID Type ClientID ProfileID Username Email UserUID Purpose TraceID Source CreatedAt ExpiresAt ResolvedAt",
			func(q storage.Query) (storage.Page[storage.Timeline], error) {
				return s.ListRequests(ctx, q)
			}),
		newListTest("deliveries", "Attempt", "MessageID Number State Error BeganAt EndedAt"+messageNames,
			func(q storage.Query) (storage.Page[storage.DeliveryRecord], error) {
				return s.ListDeliveries(ctx, "", q)
			}),
		newListTest("messages", "", strings.ReplaceAll(messageNames, " Message.", " "),
			func(q storage.Query) (storage.Page[storage.Message], error) { return s.ListMessages(ctx, "", q) }),
	}
}

// names returns ordinary names, and names that a query may mistake for a pattern or for
// SQL.
func names() []string {
	return []string{
		"O'Brien", "100%", "a_b", "aXb", `back\slash`, "Ünïcödé", "[x]", "a?b", `"q"`, "A--", "", "zoë", "Zed", "$1 ? ::text",
	}
}

// fill stores records for all lists that differ in every field.
func (w *fixture) fill() {
	w.t.Helper()
	for i, name := range names() {
		w.fillConfiguration(i, name)
		w.fillPeople(i, name)
	}
	w.fillRecords()
}

func (w *fixture) fillConfiguration(i int, name string) {
	w.t.Helper()
	t, s, ctx := w.t, w.store, w.ctx
	id, odd, span := fmt.Sprintf("%c-%d", 'A'+i%3, i), i%2 == 1, time.Duration(i%4)*time.Minute
	at := w.now.Add(time.Duration(i%5) * time.Hour)
	must(s.PutRealm(ctx, storage.Realm{
		ID: id, Name: name, SelfSignup: odd, AutoCreateAccount: i%3 == 0, AccountTokenTTL: span,
		DuplicateEmailPolicy: "allowed" + name, CreatedAt: at,
	}))(t)
	must(s.PutPasswordProfile(ctx, storage.PasswordProfile{
		ID: id, RealmID: "default", Name: name, OneTimeCodes: odd, UsernameFormat: name, CodeTTL: span, CreatedAt: at,
	}))(t)
	must(s.PutSecurityProfile(ctx, storage.SecurityProfile{ID: id, RealmID: "default", Name: name, CreatedAt: at}))(t)
	check(t, s.AssignSecurityProfile(ctx, id, storage.UserParty(name)))
	check(t, s.AssignSecurityProfile(ctx, id, storage.KindParty(storage.Buyer)))
	must(s.PutClient(ctx, storage.Client{
		ID: id, Name: name, Active: odd, Public: i%3 == 0, ProfileID: "default",
		Credentials:   storage.Credentials{OTP: odd, Password: i%3 == 1},
		AllowAnyBuyer: odd, AllowAnySupplier: i%3 == 0, AllowSeller: i%3 == 1, DefaultContextUser: name,
		RequiresContextUser: odd, AnonymousBuyer: i%3 == 0, AccessTokenTTL: span, RefreshTokenTTL: span * 2,
		RefreshIdleTTL: span * 3, AnonymousTokenTTL: span * 4, ReuseRefreshTokens: odd, SigningAlg: name, CreatedAt: at,
	}))(t)
	check(t, s.AddClientSecret(ctx, id, storage.ClientSecret{ID: "of " + id, CreatedAt: at}, 0))
	must(s.PutDeliveryConfig(ctx, storage.DeliveryConfig{
		ID: id, RealmID: "default", Name: name, Enabled: odd, Target: storage.DeliveryTarget(name), URL: name,
		CustomAuthHeaderName: name, CreatedAt: at,
	}))(t)
	must(s.PutSender(ctx, storage.Sender{
		ID: id, RealmID: "default", Name: name, Description: name, Active: odd, Dialect: storage.Dialect(name),
		Kind: storage.SenderKind(name), URL: name, DeliveryConfig: id, Signature: storage.SignatureScheme(name),
		AllowAllBuyers: odd, AllowSeller: i%3 == 0, CreatedAt: at,
	}))(t)
}

func (w *fixture) fillPeople(i int, name string) {
	w.t.Helper()
	t, s, ctx := w.t, w.store, w.ctx
	kind := []storage.UserKind{storage.Buyer, storage.Supplier, storage.Admin}[i%3]
	at := w.now.Add(time.Duration(i%5) * time.Hour)
	uid := fmt.Sprint("acc_", i+10)
	accountKind := storage.Buyer
	if kind == storage.Supplier {
		accountKind = kind
	}
	must(s.PutAccount(ctx, storage.Account{
		UID: uid, RealmID: "default", Kind: accountKind, ID: "id " + name, Name: name, Active: i%2 == 1, LegalName: name,
		RegistrationID: name, ExternalRef: name, ParentUID: name, CreatedAt: at,
	}))(t)
	u := storage.User{
		UID: fmt.Sprint("usr_", i+10), RealmID: "default", Kind: kind, ID: "id " + name, Name: name, FirstName: name,
		MiddleName: name, LastName: "Last", Email: name + "@Example.com", Phone: name, Active: i%2 == 1, Locale: name,
		CreatedAt: at,
	}
	if kind != storage.Admin {
		u.AccountUID = []string{uid, "acc_1"}[i%2]
	}
	if i%4 == 0 {
		u.TokensValidFrom, u.TermsAccepted = at, at.Add(time.Minute)
	}
	u = must(s.PutUser(ctx, u))(t)
	must(s.PutMembership(ctx, storage.Membership{ID: "m" + uid, AccountUID: uid, UserUID: w.user.UID, CreatedAt: at}))(t)
	if i%2 == 0 {
		must(s.PutMembership(ctx, storage.Membership{AccountUID: "acc_1", UserUID: u.UID, CreatedAt: at}))(t)
	}
	if i%4 != 0 { // some users have no login, some have several
		for j, profile := range []string{"default", "A-0", "B-1"}[:i%4] {
			if i == 3 && j == 0 {
				continue
			}
			must(s.PutLogin(ctx, storage.Login{
				ID: fmt.Sprint("l", i, j), ProfileID: profile, Username: strings.Repeat("z", j) + name, UsernameKey: fmt.Sprint("key", i), UserUID: u.UID,
			}))(t)
		}
	}
	l := storage.Login{
		ID: fmt.Sprint("own", i), ProfileID: []string{"default", "A-0"}[i%2], Username: name, UsernameKey: fmt.Sprint(name, i),
		UserUID: w.user.UID, Active: i%2 == 1, CreatedAt: at, Lockout: storage.Lockout{Failures: i % 4},
	}
	if i%3 == 0 {
		l.PasswordSetAt, l.SessionsValidFrom = at, at.Add(time.Hour)
		l.Lockout.LastFailureAt, l.Lockout.LockedUntil = at, at.Add(2*time.Hour)
	}
	must(s.PutLogin(ctx, l))(t)
}

func (w *fixture) fillRecords() {
	w.t.Helper()
	t, s, ctx := w.t, w.store, w.ctx
	var events []storage.AuditEvent
	for i, name := range names() {
		at := w.now.Add(time.Duration(i%5) * time.Second)
		events = append(events, storage.AuditEvent{
			Time: at, Action: name, Outcome: name, ClientID: name, UserUID: name, Username: name, Factor: name,
			TraceID: name, Source: name, Object: name, Took: time.Duration(i%4) * time.Millisecond, Count: int64(i % 3),
		})
		id := fmt.Sprintf("%c%d", 'a'+i%3, i)
		check(t, s.AddCodeRequest(ctx, storage.CodeRequest{
			ID: id, Type: storage.MessageType(name), ClientID: name, ProfileID: name, Username: name, Email: name,
			UserUID: name, Purpose: storage.Purpose(name), TraceID: name, Source: name, CreatedAt: at, ExpiresAt: at.Add(10 * time.Minute),
		}))
		if i%2 == 0 {
			must(s.IssueCodes(ctx, storage.Issuance{RequestID: id, Now: at, Notices: []storage.IssuedNotice{{Messages: []storage.Message{{
				ID: "m" + id, RequestID: id, SenderID: []string{"mail", "text"}[i/2%2], Type: storage.MessageType(name),
				UserUID: name, TraceID: name, Payload: storage.Sealed{KeyID: "k", Data: []byte{1}},
				State: storage.MessageQueued, RunAt: at, ExpiresAt: at.Add(time.Minute), CreatedAt: at,
			}}}}}))(t)
		}
	}
	check(t, s.AddAuditEvents(ctx, events))
	for round := range 3 {
		at := w.now.Add(time.Duration(round*10+5) * time.Second)
		for i, m := range must(s.ClaimMessages(ctx, at, at.Add(time.Second), 5))(t) {
			state := []storage.MessageState{storage.MessageQueued, storage.MessageDelivered, storage.MessageDead}[(i+round)%3]
			check(t, s.FinishAttempt(ctx, storage.Attempt{
				MessageID: m.ID, Number: m.Attempts, State: state, RunAt: at.Add(time.Second), Error: names()[i],
				BeganAt: at, Now: at.Add(time.Duration(i%3) * time.Millisecond),
			}))
		}
	}
}
