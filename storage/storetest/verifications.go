package storetest

import (
	"errors"
	"testing"
	"time"

	"latchkey/storage"
)

func testVerifications(t *testing.T, fresh func(*testing.T) Database) {
	cases{
		"a verification code is issued":           testVerification,
		"a newer code replaces it":                testVerificationReplaced,
		"one-time and verification codes coexist": testBothCodes,
		"an unknown login gets none":              testVerificationOfNobody,
		"notices are queued":                      testBareMessages,
		"a verification code does not sign in":    testVerificationSignIn,
	}.run(t, fresh)
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
		ID: code.ID, RequestID: "v1", LoginID: w.login.ID, Username: w.login.Username, IssuedAt: w.now, ExpiresAt: code.ExpiresAt,
	})
	fails(w.store.IssueCodes(w.ctx, x))(t, storage.ErrStale)
}

func testVerificationReplaced(t *testing.T, w *fixture) {
	w.verification("v1")
	second := w.verification("v2")
	equal(t, must(w.store.VerificationCode(w.ctx, w.login.ID))(t), second)
	equal(t, w.history("v1").RetiredAt, w.now)
	if history := w.history("v2"); !history.Live(w.now) {
		t.Errorf("the newer one: %+v", history)
	}
	w.request("v3") // the second has expired by then, so it is not retired
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
