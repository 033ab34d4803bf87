package storetest

import (
	"errors"
	"testing"
	"time"

	"latchkey/storage"
)

func testVerifications(t *testing.T, s suite) {
	s.run(t, cases{
		"a verification code is issued":           testVerification,
		"a newer code replaces it":                testVerificationReplaced,
		"one-time and verification codes coexist": testBothCodes,
		"an unknown login gets none":              testVerificationOfNobody,
		"notices are queued":                      testBareMessages,
		"a verification code does not sign in":    testVerificationSignIn,
		"a mailed code verifies the address":      testVerifiedEmail,
		"a mailed verification code does as well": testVerifiedEmailByRenewal,
	})
}

// is calls errors.Is.
func is(err, want error) bool { return errors.Is(err, want) }

func (w *fixture) verificationIssuance(requestID string) storage.Issuance {
	return storage.Issuance{RequestID: requestID, Now: w.now, Verifications: []storage.IssuedVerification{{
		Code: storage.VerificationCode{
			ID: "code-" + requestID, LoginID: w.login.ID, RequestID: requestID, ClientID: "web",
			Digest:    storage.Digest{PepperID: "p1", Sum: []byte{4, 5, 6}},
			ExpiresAt: w.now.Add(2 * time.Hour),
		},
		Messages: []storage.Message{w.message("msg-"+requestID, requestID)},
	}}}
}

// verification issues a verification code for bob, with a message. id is the ID of the
// request.
func (w *fixture) verification(id string) storage.VerificationCode {
	w.t.Helper()
	w.request(id)
	x := w.verificationIssuance(id)
	must(w.store.IssueCodes(w.ctx, x))(w.t)
	return x.Verifications[0].Code
}

func testVerification(t *testing.T, w *fixture) {
	fails(w.store.VerificationCode(w.ctx, w.login.ID))(t, storage.ErrNotFound)
	w.request("v1")
	x := w.verificationIssuance("v1")
	message := x.Verifications[0].Messages[0]
	x.Verifications[0].Messages[0].CodeID = ""
	must(w.store.IssueCodes(w.ctx, x))(t)
	code := x.Verifications[0].Code
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), code)
	equal(t, must(w.store.Message(w.ctx, "msg-v1"))(t), message)
	equal(t, w.history("v1"), storage.CodeHistory{
		ID: code.ID, RequestID: "v1", LoginID: w.login.ID, Username: w.login.Username, UserUID: w.user.UID, IssuedAt: w.now, ExpiresAt: code.ExpiresAt,
	})
	fails(w.store.IssueCodes(w.ctx, x))(t, storage.ErrStale)
}

// mailed returns the issuance of a one-time password that was mailed to the address.
func (w *fixture) mailed(id, address string) storage.Issuance {
	w.t.Helper()
	w.request(id)
	x := w.issuance(id)
	x.Codes[0].Code.MailedTo = address
	return x
}

// verified returns the address of bob that is verified.
func (w *fixture) verified() string {
	w.t.Helper()
	u := must(w.store.UserByUID(w.ctx, w.user.UID))(w.t)
	equal(w.t, u.EmailVerified(), u.VerifiedEmail != "")
	equal(w.t, w.principal().User.VerifiedEmail, u.VerifiedEmail)
	return u.VerifiedEmail
}

func testVerifiedEmail(t *testing.T, w *fixture) {
	present := w.user.EmailKey
	signIn := func(codeID, address string) error {
		return w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: codeID, VerifyEmail: address, Now: w.now})
	}
	move := func(address string) {
		u := must(w.store.UserByUID(w.ctx, w.user.UID))(t)
		u.Email, u.EmailKey = address, address
		must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	}
	must(w.store.IssueCodes(w.ctx, w.mailed("r1", present)))(t)
	equal(t, w.principal().Login.Code.MailedTo, present)
	wantErr(t, signIn("code-other", present), storage.ErrRefused)
	equal(t, w.verified(), "")
	check(t, signIn("code-r1", "former@example.com"))
	equal(t, w.verified(), "")
	must(w.store.IssueCodes(w.ctx, w.mailed("r2", present)))(t)
	check(t, signIn("code-r2", present))
	equal(t, w.verified(), present)

	u := must(w.store.UserByUID(w.ctx, w.user.UID))(t)
	u.LastName = "Other"
	must(w.store.ChangeUser(w.ctx, u, nil, nil))(t)
	equal(t, w.verified(), present)
	move("second@example.com")
	equal(t, w.verified(), "")
	move(present) // another person may have this address now
	equal(t, w.verified(), "")

	u = must(w.store.UserByUID(w.ctx, w.user.UID))(t)
	u.VerifiedEmail = present
	u = must(w.store.PutUser(w.ctx, u))(t)
	equal(t, w.verified(), present)
	u.Email, u.EmailKey = "third@example.com", "third@example.com"
	equal(t, must(w.store.PutUser(w.ctx, u))(t).VerifiedEmail, "")
	equal(t, w.verified(), "")
}

func testVerifiedEmailByRenewal(t *testing.T, w *fixture) {
	renew := func(id, mailedTo string) {
		w.request(id)
		x := w.verificationIssuance(id)
		x.Verifications[0].Code.MailedTo = mailedTo
		must(w.store.IssueCodes(w.ctx, x))(t)
		check(t, w.store.ChangePassword(w.ctx, storage.PasswordChange{LoginID: w.login.ID, Hash: "hash-" + id, CodeID: "code-" + id, Now: w.now}))
	}
	renew("v1", "")
	equal(t, w.verified(), "")
	renew("v2", "former@example.com")
	equal(t, w.verified(), "")
	renew("v3", w.user.EmailKey)
	equal(t, w.verified(), w.user.EmailKey)
}

func testVerificationReplaced(t *testing.T, w *fixture) {
	w.verification("v1")
	second := w.verification("v2")
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), second)
	equal(t, w.history("v1").RetiredAt, w.now)
	if history := w.history("v2"); !history.Live(w.now) {
		t.Errorf("the newer code: got %+v, want it live", history)
	}
	w.request("v3") // the second code has expired, so it is not retired
	x := w.verificationIssuance("v3")
	x.Now = second.ExpiresAt
	must(w.store.IssueCodes(w.ctx, x))(t)
	equal(t, w.history("v2").RetiredAt, time.Time{})
}

func testBothCodes(t *testing.T, w *fixture) {
	verification, code := w.verification("v1"), w.code("r1")
	equal(t, w.principal().Login.Code, code)
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), verification)
	w.redeem(code.ID, w.now)
	for _, request := range []string{"v1", "r1"} {
		equal(t, w.history(request).RetiredAt, time.Time{})
	}
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), verification)
}

func testVerificationOfNobody(t *testing.T, w *fixture) {
	old := w.verification("v1")
	w.request("v2")
	x := w.verificationIssuance("v2")
	nobody := w.verificationIssuance("v2").Verifications[0]
	nobody.Code.ID, nobody.Code.LoginID, nobody.Messages = "code-nobody", "nobody", nil
	x.Verifications = append(x.Verifications, nobody)
	fails(w.store.IssueCodes(w.ctx, x))(t, storage.ErrNotFound)
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), old)
	fails(w.store.Message(w.ctx, "msg-v2"))(t, storage.ErrNotFound)
	must(w.store.IssueCodes(w.ctx, w.verificationIssuance("v2")))(t) // the request has not ended
}

func testBareMessages(t *testing.T, w *fixture) {
	w.request("u1")
	want := []storage.Message{w.message("m1", "u1"), w.message("m2", "u1")}
	want[0].CodeID, want[1].CodeID = "", ""
	must(w.store.IssueCodes(w.ctx, storage.Issuance{RequestID: "u1", Now: w.now, Notices: []storage.IssuedNotice{{Messages: want}}}))(t)
	for _, m := range want {
		equal(t, must(w.store.Message(w.ctx, m.ID))(t), m)
	}
	got := w.timeline("u1")
	equal(t, len(got.Codes), 0)
	equal(t, len(got.Messages), 2)
}

func testVerificationSignIn(t *testing.T, w *fixture) {
	c := w.verification("v1")
	err := w.store.SettleLogin(w.ctx, storage.Settlement{LoginID: w.login.ID, CodeID: c.ID, Now: w.now})
	wantErr(t, err, storage.ErrRefused)
	equal(t, w.principal().Login.Code, storage.Code{})
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), c)
}
