package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/storage"
)

func testSessions(t *testing.T, s suite) {
	s.run(t, cases{
		"a sign-in begins a session":                  testBeginSession,
		"a refused sign-in begins nothing":            testBeginSessionRefused,
		"a sign-in renews the session of its login":   testRenewSession,
		"a session is used until it ends":             testUseSession,
		"the end of a session ends its families":      testEndSession,
		"the end of a session is to be notified":      testLogoutRequest,
		"a session lists the clients with codes":      testSessionClients,
		"live sessions of a user are listed":          testListSessions,
		"a session has the current state of its user": testSessionUser,
		"ended sessions are swept":                    testSessionsSwept,
		"consents are replaced":                       testConsent,
		"the end of a consent ends its tokens":        testEndConsent,
		"sessions and consents end with their user":   testSessionsDeleted,
	})
	s.runRepeating(t, cases{
		"a redemption or the end of its consent": raceAuthorizationAndEndConsent,
	})
}

func (w *fixture) session(id string) storage.Session {
	return storage.Session{
		ID: id, Secret: storage.Digest{PepperID: "p1", Sum: []byte{4, 5, 6}}, ClientID: "web", UserUID: w.user.UID, LoginID: w.login.ID,
		SourceID: "src_1", AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: w.now,
		CreatedAt: w.now, LastUsedAt: w.now, IdleUntil: w.now.Add(time.Hour), ExpiresAt: w.now.Add(day),
	}
}

func (w *fixture) authorization(id, sessionID string) storage.Authorization {
	return storage.Authorization{
		ID: id, Secret: storage.Digest{PepperID: "p1", Sum: []byte{7, 8}}, ClientID: "web", SessionID: sessionID,
		UserUID: w.user.UID, LoginID: w.login.ID, SourceID: "src_1", AccountUID: "acc_1", RedirectURI: "https://app.example/cb",
		Scope: []string{"openid", "Shopper"}, Resources: []string{"https://api.example"}, Nonce: "n 1", Challenge: "challenge", JKT: "jkt",
		AMR: []string{"otp"}, Purpose: storage.PurposeResetPassword, AuthTime: w.now,
		CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute),
	}
}

// beginSession signs bob in on a browser. It issues an authorization code unless codeID is
// empty.
func (w *fixture) beginSession(x storage.Session, codeID string) {
	w.t.Helper()
	settlement := storage.Settlement{LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginSession: &x, Now: w.now}
	if codeID != "" {
		a := w.authorization(codeID, x.ID)
		settlement.Authorize = &a
	}
	check(w.t, w.store.SettleLogin(w.ctx, settlement))
}

// end ends a session.
func (w *fixture) end(id string, now time.Time) (bool, error) {
	return w.store.EndSession(w.ctx, w.logout(id, now))
}

// logout returns the request that notifies the clients of a session of its end.
func (w *fixture) logout(id string, now time.Time) storage.CodeRequest {
	return storage.CodeRequest{
		ID: "otr_end_" + id, Type: storage.MessageLogout, UserUID: w.user.UID, SessionID: id, TraceID: "t1",
		CreatedAt: now, ExpiresAt: now.Add(day),
	}
}

// isLive reports whether a session has not ended.
func (w *fixture) isLive(id string) bool {
	w.t.Helper()
	state := must(w.store.Session(w.ctx, id))(w.t)
	return state.Live(w.now)
}

func testBeginSession(t *testing.T, w *fixture) {
	want := w.session("s1")
	w.beginSession(want, "")
	got := must(w.store.Session(w.ctx, "s1"))(t)
	equal(t, got.Session, want)
	equal(t, got.Live(w.now), true)
	fails(w.store.Session(w.ctx, "s2"))(t, storage.ErrNotFound)
}

func testBeginSessionRefused(t *testing.T, w *fixture) {
	w.login.Active = false
	w.login = must(w.store.PutLogin(w.ctx, w.login))(t)
	x, a := w.session("s1"), w.authorization("a1", "s1")
	wantErr(t, w.store.SettleLogin(w.ctx, storage.Settlement{
		LoginID: w.login.ID, PasswordSetAt: w.login.PasswordSetAt, BeginSession: &x, Authorize: &a, Now: w.now,
	}), storage.ErrRefused)
	fails(w.store.Session(w.ctx, "s1"))(t, storage.ErrNotFound)
	fails(w.store.Authorization(w.ctx, "a1"))(t, storage.ErrNotFound)
}

func testRenewSession(t *testing.T, w *fixture) {
	first := w.session("s1")
	w.beginSession(first, "")
	again := first
	again.Secret.Sum, again.AMR, again.Purpose, again.ClientID = []byte{1}, []string{"pwd"}, "", "other"
	again.AuthTime, again.CreatedAt, again.IdleUntil = w.now.Add(time.Minute), w.now.Add(time.Minute), w.now.Add(2*time.Hour)
	w.beginSession(again, "")
	again.CreatedAt = first.CreatedAt
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Session, again)

	foreign := first
	foreign.LoginID, foreign.UserUID = "lgn_other", "usr_other"
	w.beginSession(foreign, "")
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Session, again)

	must(w.end("s1", w.now))(t)
	w.beginSession(first, "")
	equal(t, w.isLive("s1"), false)
}

func testUseSession(t *testing.T, w *fixture) {
	x := w.session("s1")
	w.beginSession(x, "")
	use := func(id, codeID, account string, now time.Time) error {
		a := w.authorization(codeID, id)
		return w.store.UseSession(w.ctx, storage.SessionUse{ID: id, AccountUID: account, IdleUntil: now.Add(time.Hour), Authorize: &a, Now: now})
	}
	later := w.now.Add(59 * time.Minute)
	check(t, use("s1", "a1", "acc_1", later))
	x.Clients, x.AccountUID, x.LastUsedAt, x.IdleUntil = []string{"web"}, "acc_1", later, later.Add(time.Hour)
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Session, x)
	equal(t, must(w.store.Authorization(w.ctx, "a1"))(t).Authorization, w.authorization("a1", "s1"))
	check(t, use("s1", "a2", "", later))
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Session, x)

	wantErr(t, use("s1", "a3", "", later.Add(time.Hour)), storage.ErrRefused)
	wantErr(t, use("none", "a3", "", later), storage.ErrRefused)
	must(w.end("s1", later))(t)
	wantErr(t, use("s1", "a3", "", later), storage.ErrRefused)
	fails(w.store.Authorization(w.ctx, "a3"))(t, storage.ErrNotFound)
}

func testEndSession(t *testing.T, w *fixture) {
	for _, id := range []string{"s1", "s2"} {
		w.beginSession(w.session(id), "a-"+id)
		f := w.family("f-" + id)
		f.SessionID = id
		check(t, w.store.RedeemAuthorization(w.ctx, storage.AuthorizationUse{ID: "a-" + id, Family: &f, Now: w.now}))
	}
	w.begin("unrelated")
	later := w.now.Add(time.Second)
	equal(t, must(w.end("s1", later))(t), true)
	equal(t, must(w.end("s1", later.Add(time.Second)))(t), false)
	equal(t, must(w.end("none", later))(t), false)
	equal(t, must(w.end("", later))(t), false)
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Session.EndedAt, later)
	equal(t, w.isLive("s2"), true)
	for id, end := range map[string]time.Time{"f-s1": later, "f-s2": {}, "unrelated": {}} {
		equal(t, must(w.store.Family(w.ctx, id))(t).Family.RevokedAt, end)
	}
}

func testLogoutRequest(t *testing.T, w *fixture) {
	w.beginSession(w.session("s1"), "")
	must(w.end("none", w.now))(t)
	must(w.end("s1", w.now))(t)
	must(w.store.EndSession(w.ctx, storage.CodeRequest{ID: "otr_again", SessionID: "s1", CreatedAt: w.now, ExpiresAt: w.now.Add(day)}))(t)
	claimed := must(w.store.ClaimCodeRequests(w.ctx, w.now, w.now.Add(time.Minute), 10))(t)
	equal(t, claimed, []storage.CodeRequest{w.logout("s1", w.now)})

	w.beginSession(w.session("s2"), "")
	taken := w.logout("s2", w.now)
	taken.ID = claimed[0].ID // an ID that exists, so that the call must fail
	fails(w.store.EndSession(w.ctx, taken))(t, storage.ErrConflict)
	equal(t, w.isLive("s2"), true)
}

func testSessionClients(t *testing.T, w *fixture) {
	use := func(session, client string) error {
		a := w.authorization("a-"+session+client+fmt.Sprint(w.now.UnixMicro()), session)
		a.ClientID = client
		return w.store.UseSession(w.ctx, storage.SessionUse{ID: session, IdleUntil: w.now.Add(time.Hour), Authorize: &a, Now: w.now})
	}
	clients := func() []string {
		return slices.Sorted(slices.Values(must(w.store.Session(w.ctx, "s1"))(t).Session.Clients))
	}
	w.beginSession(w.session("s1"), "")
	w.beginSession(w.session("s2"), "")
	equal(t, clients(), nil)
	check(t, w.store.UseSession(w.ctx, storage.SessionUse{ID: "s1", IdleUntil: w.now.Add(time.Hour), Now: w.now}))
	equal(t, clients(), nil)
	for _, client := range []string{"shop-2", "shop", "hop", "shop", "shop-2"} {
		w.now = w.now.Add(time.Microsecond)
		check(t, use("s1", client))
	}
	equal(t, clients(), []string{"hop", "shop", "shop-2"})
	w.beginSession(w.session("s1"), "a-web")
	w.beginSession(w.session("s1"), "a-web-2")
	equal(t, clients(), []string{"hop", "shop", "shop-2", "web"})
	must(w.end("s1", w.now))(t)
	wantErr(t, use("s1", "late"), storage.ErrRefused)
	equal(t, clients(), []string{"hop", "shop", "shop-2", "web"})
	equal(t, must(w.store.Session(w.ctx, "s2"))(t).Session.Clients, nil)
}

func testListSessions(t *testing.T, w *fixture) {
	list := func(limit int) (ids []string) {
		for _, x := range must(w.store.Sessions(w.ctx, w.user.UID, w.now, limit))(t) {
			equal(t, x.Principal.User.UID, w.user.UID)
			ids = append(ids, x.Session.ID)
		}
		return ids
	}
	equal(t, list(10), nil)
	for i, id := range []string{"s1", "s2", "s3", "idle", "old"} {
		x := w.session(id)
		x.CreatedAt = x.CreatedAt.Add(time.Duration(i) * time.Second)
		switch id {
		case "idle":
			x.IdleUntil = w.now
		case "old":
			x.ExpiresAt = w.now
		}
		w.beginSession(x, "")
	}
	equal(t, list(10), []string{"s3", "s2", "s1"})
	equal(t, list(2), []string{"s3", "s2"})
	must(w.end("s2", w.now))(t)
	equal(t, list(10), []string{"s3", "s1"})
	equal(t, must(w.store.Sessions(w.ctx, "usr_other", w.now, 10))(t), []storage.SessionState{})
}

func testSessionUser(t *testing.T, w *fixture) {
	live := func() bool { return w.isLive("s1") }
	w.beginSession(w.session("s1"), "")
	check(t, w.store.SetPassword(w.ctx, w.login.ID, "hash-2", w.now.Add(time.Microsecond), true))
	equal(t, live(), false)
	w.now = w.now.Add(time.Second)
	w.login = must(w.store.LoginByID(w.ctx, w.login.ID))(t)
	w.beginSession(w.session("s1"), "")
	equal(t, live(), true)
	check(t, w.store.RevokeUserTokens(w.ctx, w.user.UID, w.now))
	equal(t, live(), false)
	check(t, w.store.DeleteLogin(w.ctx, w.login.ID, 0))
	equal(t, must(w.store.Session(w.ctx, "s1"))(t).Principal.Known, false)
}

func testSessionsSwept(t *testing.T, w *fixture) {
	w.beginSession(w.session("idle"), "a1")
	long := w.session("ended")
	long.IdleUntil = w.now.Add(400 * day)
	w.beginSession(long, "")
	long.ID = "live"
	w.beginSession(long, "")
	must(w.end("ended", w.now))(t)
	check(t, w.store.PutConsent(w.ctx, storage.Consent{UserUID: w.user.UID, ClientID: "web", GrantedAt: w.now}))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(23*time.Hour), 100))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(26*time.Hour), 100))(t), 3)
	fails(w.store.Session(w.ctx, "idle"))(t, storage.ErrNotFound)
	fails(w.store.Session(w.ctx, "ended"))(t, storage.ErrNotFound)
	fails(w.store.Authorization(w.ctx, "a1"))(t, storage.ErrNotFound)
	must(w.store.Session(w.ctx, "live"))(t)
	must(w.store.Sweep(w.ctx, w.now.Add(364*day), 100))(t)
	must(w.store.Consent(w.ctx, w.user.UID, "web"))(t)
	must(w.store.Sweep(w.ctx, w.now.Add(366*day), 100))(t)
	fails(w.store.Consent(w.ctx, w.user.UID, "web"))(t, storage.ErrNotFound)
}

func testConsent(t *testing.T, w *fixture) {
	fails(w.store.Consent(w.ctx, w.user.UID, "web"))(t, storage.ErrNotFound)
	c := storage.Consent{UserUID: w.user.UID, ClientID: "web", Scope: []string{"openid", "email"}, GrantedAt: w.now}
	check(t, w.store.PutConsent(w.ctx, c))
	equal(t, must(w.store.Consent(w.ctx, w.user.UID, "web"))(t), c)
	c.Scope, c.GrantedAt = []string{"openid"}, w.now.Add(time.Second)
	check(t, w.store.PutConsent(w.ctx, c))
	equal(t, must(w.store.Consent(w.ctx, w.user.UID, "web"))(t), c)
	fails(w.store.Consent(w.ctx, w.user.UID, "other"))(t, storage.ErrNotFound)
}

func testSessionsDeleted(t *testing.T, w *fixture) {
	must(w.store.PutClient(w.ctx, storage.Client{ID: "Web", ProfileID: storage.DefaultProfileID}))(t)
	w.beginSession(w.session("s1"), "")
	for _, client := range []string{"Web", "other"} {
		check(t, w.store.PutConsent(w.ctx, storage.Consent{UserUID: w.user.UID, ClientID: client, GrantedAt: w.now}))
	}
	check(t, w.store.DeleteClient(w.ctx, "web", 0))
	fails(w.store.Consent(w.ctx, w.user.UID, "Web"))(t, storage.ErrNotFound)
	must(w.store.Consent(w.ctx, w.user.UID, "other"))(t)
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, 0))
	fails(w.store.Consent(w.ctx, w.user.UID, "other"))(t, storage.ErrNotFound)
	fails(w.store.Session(w.ctx, "s1"))(t, storage.ErrNotFound)
}

func testEndConsent(t *testing.T, w *fixture) {
	eve, _ := w.addUser("eve", "")
	allowed := storage.Consent{UserUID: w.user.UID, ClientID: "web", Scope: []string{"openid"}, GrantedAt: w.now}
	other := storage.Consent{UserUID: w.user.UID, ClientID: "app", GrantedAt: w.now}
	foreign := storage.Consent{UserUID: eve.UID, ClientID: "web", GrantedAt: w.now}
	for _, c := range []storage.Consent{allowed, other, foreign} {
		check(t, w.store.PutConsent(w.ctx, c))
	}
	equal(t, must(w.store.Consents(w.ctx, w.user.UID, 10))(t), []storage.Consent{other, allowed})
	equal(t, must(w.store.Consents(w.ctx, w.user.UID, 1))(t), []storage.Consent{other})

	w.beginSession(w.session("s1"), "redeemed")
	w.beginSession(w.session("s2"), "outstanding")
	check(t, w.redeemAuthorization(w.store, "redeemed", "s1", "browser", w.now))
	w.begin("without a session")
	check(t, w.store.EndConsent(w.ctx, w.user.UID, "web", w.now.Add(time.Second)))

	later := w.now.Add(time.Second)
	equal(t, must(w.store.Family(w.ctx, "browser"))(t).Family.RevokedAt, later)
	equal(t, must(w.store.Family(w.ctx, "without a session"))(t).Family.RevokedAt, time.Time{})
	wantErr(t, w.redeemAuthorization(w.store, "outstanding", "s2", "late", later), storage.ErrRefused)
	equal(t, w.isLive("s1"), true)
	equal(t, must(w.store.Consents(w.ctx, w.user.UID, 10))(t), []storage.Consent{other})
	equal(t, must(w.store.Consents(w.ctx, eve.UID, 10))(t), []storage.Consent{foreign})
	wantErr(t, w.store.EndConsent(w.ctx, w.user.UID, "web", later), storage.ErrNotFound)

	// Tokens of another client, and those of a later consent, stay valid.
	check(t, w.store.PutConsent(w.ctx, allowed))
	w.beginSession(w.session("s3"), "again")
	check(t, w.redeemAuthorization(w.store, "again", "s3", "again", w.now))
	check(t, w.store.EndConsent(w.ctx, w.user.UID, "app", later))
	equal(t, must(w.store.Family(w.ctx, "again"))(t).Family.RevokedAt, time.Time{})
}

func raceAuthorizationAndEndConsent(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 60 {
		session, code, family := fmt.Sprint("s", round), fmt.Sprint("a", round), fmt.Sprint("f", round)
		w.beginSession(w.session(session), code)
		check(t, w.store.PutConsent(w.ctx, storage.Consent{UserUID: w.user.UID, ClientID: "web", GrantedAt: w.now}))
		errs := concurrently(2, func(i int) error {
			if i == 0 {
				return replica(i+round).EndConsent(w.ctx, w.user.UID, "web", w.now)
			}
			return w.redeemAuthorization(replica(i+round), code, session, family, w.now)
		})
		check(t, errs[0])
		state, err := w.store.Family(w.ctx, family)
		switch {
		case errs[1] == nil && (err != nil || state.Family.RevokedAt.IsZero()):
			t.Fatalf("round %d: a family goes on without its consent (%v)", round, err)
		case errs[1] != nil && !(errors.Is(errs[1], storage.ErrRefused) && errors.Is(err, storage.ErrNotFound)):
			t.Fatalf("round %d: %v, its family: %v", round, errs[1], err)
		}
	}
}
