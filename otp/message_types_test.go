package otp_test

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/storage"
)

// resolved runs the service until all waiting requests are resolved.
func (w *fixture) resolved(t *testing.T) {
	t.Helper()
	stop := w.run(t, w.service)
	synctest.Wait()
	stop()
}

// issued is what a request led to: the usernames of logins with a one-time password, of logins
// with a verification code, and of the recipients of messages.
type issued struct{ Codes, Verifications, Messages []string }

func (w *fixture) issued() issued {
	var y issued
	for _, p := range w.logins {
		if p.Login.Code.ID != "" {
			y.Codes = append(y.Codes, p.Login.Username)
		}
		if w.verified[p.Login.ID].ID != "" {
			y.Verifications = append(y.Verifications, p.Login.Username)
		}
	}
	for _, m := range w.messages {
		y.Messages = append(y.Messages, strings.TrimPrefix(m.UserUID, "usr_"))
	}
	return y
}

// TestRecipientsByType resolves each type of request for users in different states. If no
// message is sent, the audit event must contain the reason.
func TestRecipientsByType(t *testing.T) {
	t.Parallel()
	const otpType, renewal, reminder, invitation = storage.MessageOneTimePassword, storage.MessageForgottenPassword,
		storage.MessageForgottenUsername, storage.MessageNewUserInvitation
	ann := func(w *memoryStore) *storage.Principal { return w.logins[2] }
	gets := map[storage.MessageType]issued{
		otpType:    {Codes: []string{"ann"}, Messages: []string{"ann"}},
		renewal:    {Verifications: []string{"ann"}, Messages: []string{"ann"}},
		reminder:   {Messages: []string{"ann"}},
		invitation: {Verifications: []string{"ann"}, Messages: []string{"ann"}},
	}
	subjects := map[storage.MessageType]string{otpType: "code", renewal: "renewal", reminder: "reminder", invitation: "invitation"}
	tests := []struct {
		name    string
		arrange func(*memoryStore)
		reason  string // empty if a message is sent
		except  []storage.MessageType
	}{
		{"known", func(*memoryStore) {}, "", nil},
		{"unknown", func(m *memoryStore) { m.logins = m.logins[:2] }, storage.RefusedUnknown, nil},
		{"codes locked", func(m *memoryStore) { ann(m).Lockout.Codes.LockedUntil = time.Now().Add(time.Hour) }, storage.RefusedLocked, nil},
		{"passwords locked", func(m *memoryStore) { ann(m).Lockout.LockedUntil = time.Now().Add(time.Hour) }, "", nil},
		{"locked, but where it is known", func(m *memoryStore) {
			ann(m).Lockout.Codes.LockedUntil, ann(m).Source.ID = time.Now().Add(time.Hour), "src_1"
		}, "", nil},
		{"inactive user", func(m *memoryStore) { ann(m).User.Active = false }, storage.RefusedUserInactive, nil},
		{"inactive login", func(m *memoryStore) { ann(m).Login.Active = false }, storage.RefusedLoginInactive, nil},
		{"inactive account", func(m *memoryStore) { ann(m).Account.Active = false }, storage.RefusedAccountInactive, nil},
		{"not admitted", func(m *memoryStore) { m.client.AllowAnyBuyer = false }, storage.RefusedNotAdmitted, []storage.MessageType{invitation}},
		{"client inactive", func(m *memoryStore) { m.client.Active = false }, "client_unusable", []storage.MessageType{invitation}},
		{"client gone", func(m *memoryStore) { m.client.ID = "other" }, "client_unusable", []storage.MessageType{invitation}},
		{
			"client without one-time passwords", func(m *memoryStore) { m.client.Credentials.OTP = false }, "client_unusable",
			[]storage.MessageType{renewal, reminder, invitation},
		},
		{
			"profile without one-time passwords", func(m *memoryStore) { m.profile.OneTimeCodes = false }, "codes_off",
			[]storage.MessageType{renewal, reminder, invitation},
		},
		{"no sender", func(m *memoryStore) { m.senders[0].AllowAllBuyers = false }, "no_sender", nil},
		{"sender inactive", func(m *memoryStore) { m.senders[0].Active = false }, "no_sender", nil},
		{"sender of other types", func(m *memoryStore) { m.senders[0].Types = []storage.MessageType{"OrderSubmitted"} }, "no_sender", nil},
		{"delivery config gone", func(m *memoryStore) { m.senders[0].DeliveryConfig = "c" }, "no_sender", nil},
		{"delivery config disabled", func(m *memoryStore) {
			m.senders[0].DeliveryConfig, m.configs = "c", []storage.DeliveryConfig{{ID: "c"}}
		}, "no_sender", nil},
		{"delivery config enabled", func(m *memoryStore) {
			m.senders[0].DeliveryConfig, m.configs = "c", []storage.DeliveryConfig{{ID: "c", Enabled: true}}
		}, "", nil},
		{"one of two senders silent", func(m *memoryStore) {
			silent := m.senders[0]
			silent.Active = false
			m.senders = append(m.senders, silent)
		}, "", nil},
		{"client with the account-member grant only", func(m *memoryStore) {
			m.client.GrantTypes = []string{"urn:latchkey:params:oauth:grant-type:account-member"}
		}, "", nil},
	}
	for _, test := range tests {
		for kind, want := range gets {
			t.Run(test.name+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newFixture(t)
					w.ask(t, otp.Request{Type: kind, Email: "ANN@example.com", UserUID: "usr_ann"})
					w.recorded.events = nil
					w.change(test.arrange)
					w.resolved(t)
					event := subjects[kind] + ".issued success ann"
					if test.reason != "" && !slices.Contains(test.except, kind) {
						want, event = issued{}, subjects[kind]+".not_sent "+test.reason
					}
					if diff := cmp.Diff(want, w.issued()); diff != "" {
						t.Errorf("issued (-want +got):\n%s", diff)
					}
					if lines := w.recorded.lines(); !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, event) }) {
						t.Errorf("got the events %q, want %q", lines, event)
					}
					if w.ended() != 1 {
						t.Error("the request has not ended")
					}
				})
			})
		}
	}
}

// TestNaming tests that an address of several logins gets one message for each login, and that
// requests without the names that their type requires are refused.
func TestNaming(t *testing.T) {
	t.Parallel()
	const renewal, reminder = storage.MessageForgottenPassword, storage.MessageForgottenUsername
	both := []string{"bob", "bobby"}
	tests := []struct {
		name    string
		request otp.Request
		want    issued
		err     error
	}{
		{"renewal by username", otp.Request{Type: renewal, Username: "bob"}, issued{nil, both[:1], both[:1]}, nil},
		{"renewal by address", otp.Request{Type: renewal, Email: "bob@example.com"}, issued{nil, both, both}, nil},
		{"renewal by both", otp.Request{Type: renewal, Email: "bob@example.com", Username: "bobby"}, issued{nil, both[1:], both[1:]}, nil},
		{"renewal, mismatch", otp.Request{Type: renewal, Email: "bob@example.com", Username: "ann"}, issued{}, nil},
		{"renewal of nobody", otp.Request{Type: renewal, UserUID: "usr_bob"}, issued{}, otp.ErrNobodyNamed},
		{"reminder by address", otp.Request{Type: reminder, Email: "bob@example.com"}, issued{nil, nil, both}, nil},
		{"reminder ignores the username", otp.Request{Type: reminder, Email: "bob@example.com", Username: "ann"}, issued{nil, nil, both}, nil},
		{"reminder by username", otp.Request{Type: reminder, Username: "bob"}, issued{}, otp.ErrNobodyNamed},
		{"invitation by username", otp.Request{Type: storage.MessageNewUserInvitation, Username: "bob"}, issued{}, otp.ErrNobodyNamed},
		{"invitation ignores names", otp.Request{Type: storage.MessageNewUserInvitation, Email: "bob@example.com", UserUID: "usr_bob"}, issued{nil, both[:1], both[:1]}, nil},
		{"no such type", otp.Request{Type: "OrderSubmitted", Username: "bob"}, issued{}, otp.ErrType},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newFixture(t)
				err := w.service.Request(t.Context(), w.client, test.request)
				if !errors.Is(err, test.err) || test.err != nil && len(w.requests) != 0 {
					t.Fatalf("Request: got %v, want %v; %d requests", err, test.err, len(w.requests))
				}
				w.resolved(t)
				if diff := cmp.Diff(test.want, w.issued()); diff != "" {
					t.Errorf("issued (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLivesOfTypes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[storage.MessageType]time.Duration{
		storage.MessageOneTimePassword:   5 * time.Minute, // the lifetime of the profile
		storage.MessageForgottenPassword: 2 * time.Hour,
		storage.MessageForgottenUsername: 2 * time.Hour,
		storage.MessageNewUserInvitation: 7 * 24 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			w.ask(t, otp.Request{Type: kind, Email: "ann@example.com", UserUID: "usr_ann"})
			w.resolved(t)
			at := time.Now().Add(want)
			if m := w.messages[0]; !m.ExpiresAt.Equal(at) || m.Type != kind {
				t.Errorf("%s: got a message of type %s that expires %v, want %v", kind, m.Type, m.ExpiresAt, at)
			}
			if p := w.opened(t, w.messages[0]); !p.ExpiresAt.Equal(at) {
				t.Errorf("%s: got the payload %+v, want expiry %v", kind, p, at)
			}
			for _, code := range w.verified {
				if !code.ExpiresAt.Equal(at) {
					t.Errorf("%s: got the code %+v, want expiry %v", kind, code, at)
				}
			}
		})
	}
}

func TestRenewalMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.ask(t, otp.Request{Type: storage.MessageForgottenPassword, Username: "bob", URL: "https://shop.example/renew", TraceID: "t1"})
		w.resolved(t)
		r, m := w.requests[0], w.messages[0]
		p := w.opened(t, m)
		want := otp.Payload{
			Username: "bob", Code: p.Code, ClientID: "shop", UserUID: "usr_bob", ExpiresAt: r.ExpiresAt, RequestedAt: r.CreatedAt,
			URL: "https://shop.example/renew", ProfileID: "default", LoginID: "lgn_bob",
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{24}$`).MatchString(p.Code) {
			t.Errorf("got the verification code %q", p.Code)
		}
		code := w.verified["lgn_bob"]
		if code.RequestID != r.ID || code.ClientID != "shop" || code.ID == "" {
			t.Errorf("got the code %+v", code)
		}
		if !w.codes.MatchVerification(code, "shop", p.Code, time.Now()) || w.codes.MatchVerification(code, "other", p.Code, time.Now()) {
			t.Error("the sent code must match for its client and for no other")
		}
		if strings.Contains(string(m.Payload.Data)+w.log.String()+strings.Join(w.recorded.lines(), ""), p.Code) {
			t.Error("the payload, the log or an event contains the code")
		}
		for _, e := range w.recorded.events {
			if e.Factor != "" {
				t.Errorf("got the event %+v, want one without a factor", e)
			}
		}
	})
}

// TestCodesOfOneKindAreNotOfAnother tests that a code for signing in cannot be used as a
// verification code and the other way round, even if both have the same text.
func TestCodesOfOneKindAreNotOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.ask(t, otp.Request{Username: "bob"})
		w.ask(t, otp.Request{Type: storage.MessageForgottenPassword, Username: "bob"})
		w.resolved(t)
		texts := map[storage.MessageType]string{}
		for _, m := range w.messages {
			texts[m.Type] = w.opened(t, m).Code
		}
		oneTime, renewal := texts[storage.MessageOneTimePassword], texts[storage.MessageForgottenPassword]
		bob, verification := *w.logins[0], w.verified["lgn_bob"]
		purposes := []storage.Purpose{storage.PurposeSignIn, storage.PurposeResetPassword}
		now := time.Now()
		signsIn := func(p storage.Principal, text string) bool { return w.codes.Match(p, "shop", purposes, text, now) }
		renews := func(c storage.VerificationCode, text string) bool {
			return w.codes.MatchVerification(c, "shop", text, now)
		}
		if !signsIn(bob, oneTime) || !renews(verification, renewal) {
			t.Fatal("a code was refused for its own purpose")
		}
		if signsIn(bob, renewal) || renews(verification, oneTime) {
			t.Error("a code of one kind was accepted as the other")
		}
		// A digest that is stored as the other kind must not match either.
		swapped := bob
		swapped.Login.Code.Digest = verification.Digest
		verification.Digest = bob.Login.Code.Digest
		if signsIn(swapped, renewal) || renews(verification, oneTime) {
			t.Error("the digest of one kind was accepted as the other")
		}
	})
}

// TestRequestThroughNoClient tests that a request for a password profile is not restricted by a
// client, and that all clients may redeem its code.
func TestRequestThroughNoClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.limits = limits()
		w.service = w.newService(t)
		w.client.Active = false
		err := w.service.Request(t.Context(), storage.Client{}, otp.Request{ProfileID: "default", Username: "bob", Purpose: storage.PurposeResetPassword})
		if err != nil {
			t.Fatal(err)
		}
		w.resolved(t)
		code := w.logins[0].Login.Code
		if code.ID == "" || code.ClientID != "" || code.Purpose != storage.PurposeResetPassword {
			t.Errorf("got the code %+v", code)
		}
		text := w.opened(t, w.messages[0]).Code
		if !w.codes.Match(*w.logins[0], "whichever", []storage.Purpose{storage.PurposeResetPassword}, text, time.Now()) {
			t.Error("the code is bound to a client")
		}
		var budgets []string
		for _, c := range w.charges[0] {
			budgets = append(budgets, c.Budget)
		}
		if diff := cmp.Diff([]string{"recipient"}, budgets); diff != "" {
			t.Errorf("budgets (-want +got):\n%s", diff)
		}
		err = w.service.Request(t.Context(), storage.Client{}, otp.Request{ProfileID: "gone", Username: "bob"})
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("unknown profile: got %v, want storage.ErrNotFound", err)
		}
	})
}

// TestRequestWithoutType tests that a stored request without a type leads to a one-time
// password.
func TestRequestWithoutType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		r := storage.CodeRequest{ID: "otr_1", ClientID: "shop", ProfileID: "default", Username: "bob", ExpiresAt: time.Now().Add(time.Minute)}
		if err := w.AddCodeRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.resolved(t)
		if got := w.issued().Codes; !slices.Equal(got, []string{"bob"}) || w.messages[0].Type != storage.MessageOneTimePassword {
			t.Errorf("got codes of %q and the messages %+v", got, w.messages)
		}
	})
}

// TestInvitation tests that an invitation is for the first login of the user, or for the first
// one in the profile.
func TestInvitation(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string][]string{"": {"bob"}, "second": {"bobby"}, "third": nil} {
		synctest.Test(t, func(t *testing.T) {
			w := newFixture(t)
			w.logins[1].User.UID, w.logins[1].Login.ProfileID = "usr_bob", "second"
			r, err := w.service.Invitation(t.Context(), otp.Request{
				UserUID: "usr_bob", ProfileID: profile, URL: "https://shop.example/welcome", TraceID: "t1",
				Address: netip.MustParseAddr("192.0.2.1"),
			})
			if err != nil {
				t.Fatal(err)
			}
			wanted := storage.CodeRequest{
				ID: r.ID, Type: storage.MessageNewUserInvitation, ProfileID: profile, UserUID: "usr_bob",
				URL: "https://shop.example/welcome", TraceID: "t1", Source: "192.0.2.1",
				CreatedAt: time.Now().UTC(), ExpiresAt: time.Now().UTC().Add(7 * 24 * time.Hour),
			}
			if diff := cmp.Diff(wanted, r); diff != "" || r.ID == "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if err := w.AddCodeRequest(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			w.resolved(t)
			if diff := cmp.Diff(want, w.issued().Verifications); diff != "" {
				t.Errorf("profile %q: issued (-want +got):\n%s", profile, diff)
			}
		})
	}
}

// TestTypesShareTheLimits tests that all types are charged to the same budgets.
func TestTypesShareTheLimits(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.limits = limits()
	w.service = w.newService(t)
	want := w.charged(t, otp.Request{Email: "bob@example.com"})
	for _, kind := range []storage.MessageType{storage.MessageForgottenPassword, storage.MessageForgottenUsername} {
		if diff := cmp.Diff(want, w.charged(t, otp.Request{Type: kind, Email: "bob@example.com"})); diff != "" {
			t.Errorf("%s (-one-time password +got):\n%s", kind, diff)
		}
	}
	got := w.charged(t, otp.Request{Type: storage.MessageNewUserInvitation, UserUID: "usr_bob"})
	if len(got["recipient"]) != 1 || len(got["client"]) != 0 {
		t.Errorf("an invitation: got the charges %v", got)
	}
}
