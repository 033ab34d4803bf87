package otp_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/storage"
)

func TestNewRequiresFields(t *testing.T) {
	t.Parallel()
	if s, err := otp.New(otp.Config{}); err == nil || s != nil {
		t.Errorf("New without fields: got %v, error %v; want an error", s, err)
	}
}

// TestRequestIsOnlyStored tests that Request stores the request and looks up no users.
func TestRequestIsOnlyStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		now := time.Now().UTC()
		err := w.service.Request(t.Context(), w.client, otp.Request{
			Username: " B\x00b", Email: "Bob@Example.com", Purpose: storage.PurposeResetPassword, TraceID: "t1",
		})
		if err != nil {
			t.Fatal(err)
		}
		want := storage.CodeRequest{
			ID: w.requests[0].ID, Type: storage.MessageOneTimePassword, ClientID: "shop", ProfileID: "default", Username: " B\ufffdb", Email: "Bob@Example.com",
			Purpose: storage.PurposeResetPassword, TraceID: "t1", CreatedAt: now, ExpiresAt: now.Add(5 * time.Minute),
		}
		if diff := cmp.Diff(want, w.requests[0].CodeRequest); diff != "" || len(w.requests) != 1 {
			t.Errorf("got %d requests; the first (-want +got):\n%s", len(w.requests), diff)
		}
		if w.lookups != 0 {
			t.Error("Request looked up users")
		}
		event := storage.AuditEvent{
			Time: now, Action: "code.requested", Outcome: "success", ClientID: "shop",
			Factor: "otp", TraceID: "t1",
		}
		if diff := cmp.Diff([]storage.AuditEvent{event}, w.recorded.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestRequestIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request otp.Request
		arrange func(*memoryStore)
		want    error
	}{
		{"nobody named", otp.Request{Username: "", Email: ""}, func(*memoryStore) {}, otp.ErrNobodyNamed},
		{"blank names", otp.Request{Username: " ", Email: "\t"}, func(*memoryStore) {}, otp.ErrNobodyNamed},
		{"database unavailable", otp.Request{Username: "bob"}, func(m *memoryStore) { m.unavailable = true }, storage.ErrUnavailable},
		{"profile gone", otp.Request{Username: "bob"}, func(m *memoryStore) { m.profile.ID = "other" }, storage.ErrNotFound},
		{"profile without codes", otp.Request{Username: "bob"}, func(m *memoryStore) { m.profile.OneTimeCodes = false }, otp.ErrProfileWithoutCodes},
		{"profile without codes, no client", otp.Request{Username: "bob", ProfileID: "default"}, func(m *memoryStore) { m.profile.OneTimeCodes = false }, otp.ErrProfileWithoutCodes},
		{"client without codes", otp.Request{Username: "bob"}, func(m *memoryStore) { m.client.Credentials.OTP = false }, otp.ErrClientWithoutCodes},
		{"client inactive", otp.Request{Username: "bob"}, func(m *memoryStore) { m.client.Active = false }, otp.ErrClientWithoutCodes},
		{"client without a grant", otp.Request{Username: "bob"}, func(m *memoryStore) { m.client.GrantTypes = nil }, otp.ErrClientWithoutCodes},
		{"client with other grants", otp.Request{Username: "bob"}, func(m *memoryStore) { m.client.GrantTypes = []string{"client_credentials", "refresh_token"} }, otp.ErrClientWithoutCodes},
		{"client without the grant that is meant", otp.Request{Username: "bob", GrantType: "password"}, func(m *memoryStore) {
			m.client.GrantTypes = []string{"urn:latchkey:params:oauth:grant-type:account-member"}
		}, otp.ErrClientWithoutCodes},
		{"grant that takes no codes", otp.Request{Username: "bob", GrantType: "client_credentials"}, func(m *memoryStore) {
			m.client.GrantTypes = []string{"client_credentials", "password"}
		}, otp.ErrClientWithoutCodes},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			w.change(test.arrange)
			err := w.service.Request(t.Context(), w.client, test.request)
			if !errors.Is(err, test.want) {
				t.Errorf("Request: got %v, want %v", err, test.want)
			}
			if len(w.requests) != 0 || len(w.recorded.events) != 0 {
				t.Errorf("got %d requests and the events %v, want none", len(w.requests), w.recorded.lines())
			}
		})
	}
}

func TestCodesLiveTenMinutesAtMost(t *testing.T) {
	t.Parallel()
	tests := []struct{ ttl, want time.Duration }{
		{0, 10 * time.Minute},
		{-time.Second, 10 * time.Minute},
		{time.Second, time.Second},
		{10 * time.Minute, 10 * time.Minute},
		{time.Hour, 10 * time.Minute},
	}
	for _, test := range tests {
		w := newFixture(t)
		w.profile.CodeTTL = test.ttl
		w.ask(t, otp.Request{Username: "bob"})
		if got := w.requests[0].ExpiresAt.Sub(w.requests[0].CreatedAt); got != test.want {
			t.Errorf("profile with %v: got a lifetime of %v, want %v", test.ttl, got, test.want)
		}
	}
}

func TestRequestIsResolvedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		stop := w.run(t, w.service)
		defer stop()
		time.Sleep(300 * time.Millisecond) // between two claims
		began := time.Now()
		w.ask(t, otp.Request{Username: "BOB", TraceID: "t1"})
		synctest.Wait()
		if w.ended() != 1 || !time.Now().Equal(began) {
			t.Fatalf("got %d ended requests after %v, want one at once", w.ended(), time.Since(began))
		}
		r, m, bob := w.requests[0], w.messages[0], *w.logins[0]
		want := storage.Message{
			ID: m.ID, RequestID: r.ID, SenderID: "mail", Type: storage.MessageOneTimePassword, UserUID: "usr_bob",
			TraceID: "t1", Payload: m.Payload, State: storage.MessageQueued,
			RunAt: began.UTC(), ExpiresAt: r.ExpiresAt, CreatedAt: began.UTC(),
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		p := w.opened(t, m)
		payload := otp.Payload{
			Username: "bob", Code: p.Code, ClientID: "shop", UserUID: "usr_bob", ExpiresAt: r.ExpiresAt,
			RequestedAt: r.CreatedAt, Purpose: storage.PurposeSignIn, ProfileID: "default", LoginID: "lgn_bob",
		}
		if diff := cmp.Diff(payload, p); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		code := bob.Login.Code
		if code.RequestID != r.ID || code.ClientID != "shop" || code.Purpose != storage.PurposeSignIn || !code.ExpiresAt.Equal(r.ExpiresAt) {
			t.Errorf("got the code %+v", code)
		}
		if !w.codes.Match(bob, "shop", []storage.Purpose{storage.PurposeSignIn}, p.Code, time.Now()) {
			t.Error("the code that was sent does not match")
		}
		if w.wakes.Load() != 1 {
			t.Errorf("got %d wakes of the delivery, want 1", w.wakes.Load())
		}
	})
}

func TestRecipientsOfCodes(t *testing.T) {
	t.Parallel()
	bob := otp.Request{Username: "bob"}
	tests := []struct {
		name    string
		request otp.Request
		arrange func(*memoryStore)
		want    []string // events, without code.requested
		sent    int
	}{
		{"by username", otp.Request{Username: "Bob "}, func(*memoryStore) {}, []string{"code.issued success bob"}, 1},
		{"by e-mail, each login its own", otp.Request{Email: "BOB@example.com"}, func(*memoryStore) {}, []string{"code.issued success bob", "code.issued success bobby"}, 2},
		{"by both", otp.Request{Username: "bobby", Email: "bob@example.com"}, func(*memoryStore) {}, []string{"code.issued success bobby"}, 1},
		{"both do not belong together", otp.Request{Username: "ann", Email: "bob@example.com"}, func(*memoryStore) {}, []string{"code.not_sent no_such_login"}, 0},
		{"unknown", otp.Request{Username: "eve"}, func(*memoryStore) {}, []string{"code.not_sent no_such_login"}, 0},
		{"unknown e-mail", otp.Request{Email: "eve@example.com"}, func(*memoryStore) {}, []string{"code.not_sent no_such_login"}, 0},
		{"no e-mail on file", bob, func(m *memoryStore) { m.logins[0].User.Email, m.logins[0].User.EmailKey = "", "" }, []string{"code.issued success bob"}, 1},
		{"several senders", bob, func(m *memoryStore) { m.senders = append(m.senders, m.senders[0]) }, []string{"code.issued success bob"}, 2},
		{"one of two inactive", otp.Request{Email: "bob@example.com"}, func(m *memoryStore) { m.logins[0].Login.Active = false }, []string{"code.issued success bobby", "code.not_sent login_inactive bob"}, 1},
		{"inactive user", bob, func(m *memoryStore) { m.logins[0].User.Active = false }, []string{"code.not_sent user_inactive bob"}, 0},
		{"inactive account", bob, func(m *memoryStore) { m.logins[0].Account.Active = false }, []string{"code.not_sent account_inactive bob"}, 0},
		{"codes locked", bob, func(m *memoryStore) { m.logins[0].Lockout.Codes.LockedUntil = time.Now().Add(time.Hour) }, []string{"code.not_sent locked bob"}, 0},
		{"codes locked once", bob, func(m *memoryStore) { m.logins[0].Lockout.Codes.LockedUntil = time.Now() }, []string{"code.issued success bob"}, 1},
		{"passwords locked", bob, func(m *memoryStore) { m.logins[0].Lockout.LockedUntil = time.Now().Add(time.Hour) }, []string{"code.issued success bob"}, 1},
		{"not admitted", bob, func(m *memoryStore) { m.client.AllowAnyBuyer = false }, []string{"code.not_sent client_does_not_admit bob"}, 0},
		{"admin user without account", bob, func(m *memoryStore) {
			m.client.AllowSeller, m.senders[0].AllowSeller = true, true
			m.logins[0].User.Kind, m.logins[0].User.AccountUID, m.logins[0].Account = storage.Admin, "", storage.Account{}
		}, []string{"code.issued success bob"}, 1},
		{"no sender", bob, func(m *memoryStore) { m.senders[0].AllowAllBuyers = false }, []string{"code.not_sent no_sender bob"}, 0},
		{"sender of another type", bob, func(m *memoryStore) { m.senders[0].Types = []storage.MessageType{"OrderSubmitted"} }, []string{"code.not_sent no_sender bob"}, 0},
		{"sender of another realm", bob, func(m *memoryStore) { m.senders[0].RealmID = "elsewhere" }, []string{"code.not_sent no_sender bob"}, 0},
		{"client gone", bob, func(m *memoryStore) { m.client.ID = "other" }, []string{"code.not_sent client_unusable"}, 0},
		{"client inactive", bob, func(m *memoryStore) { m.client.Active = false }, []string{"code.not_sent client_unusable"}, 0},
		{"client without codes", bob, func(m *memoryStore) { m.client.Credentials.OTP = false }, []string{"code.not_sent client_unusable"}, 0},
		{"client without the grant", bob, func(m *memoryStore) { m.client.GrantTypes = []string{"client_credentials"} }, []string{"code.not_sent client_unusable"}, 0},
		{"profile without codes", bob, func(m *memoryStore) { m.profile.OneTimeCodes = false }, []string{"code.not_sent codes_off"}, 0},
		{"profile gone", bob, func(m *memoryStore) { m.profile.ID = "other" }, []string{"code.not_sent codes_off"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newFixture(t)
				w.ask(t, test.request)
				w.recorded.events = nil
				w.change(test.arrange)
				stop := w.run(t, w.service)
				synctest.Wait()
				stop()
				queued := func(line string) bool { return strings.HasPrefix(line, "message.queued mail ") }
				lines := w.recorded.lines()
				total := len(lines)
				lines = slices.DeleteFunc(lines, queued)
				if total -= len(lines); total != test.sent {
					t.Errorf("got %d events of queued messages, want %d", total, test.sent)
				}
				if diff := cmp.Diff(test.want, lines); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if w.ended() != 1 {
					t.Error("the request has not ended")
				}
				if len(w.messages) != test.sent || (w.wakes.Load() == 1) != (test.sent > 0) {
					t.Errorf("got %d messages and %d wakes of the delivery; want %d messages", len(w.messages), w.wakes.Load(), test.sent)
				}
			})
		})
	}
}

// TestRequestThatNamesNobodyFindsNobody tests that two empty keys do not match all logins.
func TestRequestThatNamesNobodyFindsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		r := storage.CodeRequest{ID: "otr_1", Type: storage.MessageOneTimePassword, ClientID: "shop", ProfileID: "default", Username: " ", ExpiresAt: time.Now().Add(time.Minute)}
		if err := w.AddCodeRequest(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		stop := w.run(t, w.service)
		synctest.Wait()
		stop()
		if w.ended() != 1 || len(w.messages) != 0 {
			t.Errorf("got %d ended requests, %d messages; want 1 and none", w.ended(), len(w.messages))
		}
	})
}

func TestEachLoginOfAnAddressHasItsOwnCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Email: "bob@example.com"})
		synctest.Wait()
		stop()
		bob, bobby := w.opened(t, w.messages[0]), w.opened(t, w.messages[1])
		for _, test := range []struct {
			who  *storage.Principal
			code string
			want bool
		}{
			{w.logins[0], bob.Code, true},
			{w.logins[1], bobby.Code, true},
			{w.logins[0], bobby.Code, false},
			{w.logins[1], bob.Code, false},
		} {
			if got := w.codes.Match(*test.who, "shop", []storage.Purpose{storage.PurposeSignIn}, test.code, time.Now()); got != test.want {
				t.Errorf("match of a code at %s: got %v, want %v", test.who.Login.Username, got, test.want)
			}
		}
	})
}

func TestANewCodeReplacesTheOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		stop := w.run(t, w.service)
		for range 2 {
			w.ask(t, otp.Request{Username: "bob"})
			synctest.Wait()
		}
		stop()
		for i, want := range []bool{false, true} {
			code := w.opened(t, w.messages[i]).Code
			if got := w.codes.Match(*w.logins[0], "shop", []storage.Purpose{storage.PurposeSignIn}, code, time.Now()); got != want {
				t.Errorf("code %d matches: got %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestOutageLosesNoRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.ask(t, otp.Request{Username: "bob"})
		w.change(func(m *memoryStore) { m.unavailable = true })
		stop := w.run(t, w.service)
		time.Sleep(time.Minute)
		w.change(func(m *memoryStore) { m.unavailable = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		if w.ended() != 1 || len(w.messages) != 1 {
			t.Errorf("got %d ended requests, %d messages; want 1 and 1", w.ended(), len(w.messages))
		}
		if n := strings.Count(w.log.String(), "claiming fails"); n != 1 {
			t.Errorf("got %d log lines about the outage, want 1:\n%s", n, w.log)
		}
	})
}

func TestOutageWithinTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.slowLookups = true
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Username: "bob"})
		time.Sleep(5 * time.Second)
		w.change(func(m *memoryStore) { m.slowLookups = false })
		time.Sleep(3 * time.Second) // the lease has not ended
		synctest.Wait()
		stop()
		if len(w.messages) != 1 {
			t.Errorf("got %d messages, want one before the lease is over", len(w.messages))
		}
	})
}

func TestNoCodeAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.profile.CodeTTL = 2 * time.Second
		w.slowLookups = true
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Username: "bob"})
		time.Sleep(3 * time.Second)
		w.change(func(m *memoryStore) { m.slowLookups = false })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		stop()
		want := []string{"code.not_sent expired", "code.requested success"}
		if diff := cmp.Diff(want, w.recorded.lines()); diff != "" || len(w.messages) != 0 {
			t.Errorf("got %d messages, want none; events (-want +got):\n%s", len(w.messages), diff)
		}
	})
}

// TestLostLeaseIsTakenOver tests that another process resolves the requests of a process that
// died, after the lease.
func TestLostLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.ask(t, otp.Request{Username: "bob"})
		now := time.Now()
		if dead, err := w.ClaimCodeRequests(t.Context(), now, now.Add(30*time.Second), 8); err != nil || len(dead) != 1 {
			t.Fatal(dead, err)
		}
		stop := w.run(t, w.service)
		defer stop()
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := w.ended(); n != 0 {
			t.Error("the request was resolved while another process held the lease")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := w.ended(); n != 1 {
			t.Error("the request was not resolved after the lease")
		}
	})
}

func TestStaleResolutionIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.beforeIssue = func() { w.change(func(m *memoryStore) { m.requests[0].ended = true }) }
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Username: "bob"})
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"code.requested success"}, w.recorded.lines()); diff != "" || w.wakes.Load() != 0 || w.log.Len() != 0 {
			t.Errorf("got %d wakes, log %q, want neither; events (-want +got):\n%s", w.wakes.Load(), w.log, diff)
		}
	})
}

func TestTwoReplicasResolveEachRequestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		for range 100 {
			w.ask(t, otp.Request{Username: "bob"})
		}
		stop1, stop2 := w.run(t, w.service), w.run(t, w.newService(t))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop1()
		stop2()
		outcomes := map[string]int{}
		for _, line := range w.recorded.lines() {
			outcomes[line]++
		}
		issued, superseded := outcomes["code.issued success bob"], outcomes["code.not_sent superseded bob"]
		if w.ended() != 100 || issued+superseded != 100 || len(w.messages) != issued {
			t.Errorf("got %d ended requests, %d messages, events %v", w.ended(), len(w.messages), outcomes)
		}
		if last := w.requests[99].ID; w.logins[0].Login.Code.RequestID != last {
			t.Errorf("the code does not belong to the last request")
		}
	})
}

// TestOlderRequestIsSuperseded resolves a request after a newer one has issued its code. Its
// own code is not sent, and the event says why.
func TestOlderRequestIsSuperseded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		newer := storage.Code{ID: "otc_newer", RequestID: "newer", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute)}
		w.beforeIssue = func() {
			w.change(func(m *memoryStore) {
				m.requests = append(m.requests, &queuedRequest{CodeRequest: storage.CodeRequest{ID: "newer"}, ended: true})
				m.logins[0].Login.Code = newer
			})
		}
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Username: "bob"})
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"code.not_sent superseded bob", "code.requested success"}, w.recorded.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(newer, w.logins[0].Login.Code); diff != "" || len(w.messages) != 0 || w.wakes.Load() != 0 {
			t.Errorf("got %d messages, %d wakes, want neither; code (-want +got):\n%s", len(w.messages), w.wakes.Load(), diff)
		}
	})
}

// TestFaultyFormatIsLoggedAndPassed tests that a profile with an invalid code format does not
// delay other requests.
func TestFaultyFormatIsLoggedAndPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.profile.Code.Length = 1
		w.ask(t, otp.Request{Username: "bob"})
		stop := w.run(t, w.service)
		synctest.Wait()
		w.change(func(m *memoryStore) { m.profile.Code.Length = 8 })
		w.ask(t, otp.Request{Username: "ann"})
		synctest.Wait()
		if got := w.ended(); got != 1 {
			t.Errorf("got %d ended requests, want that of ann", got)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		stop()
		if w.ended() != 2 || strings.Count(w.log.String(), "unusable code format") != 1 {
			t.Errorf("got %d ended requests, want 2; log:\n%s", w.ended(), w.log)
		}
	})
}

// TestCodeAppearsNowhere tests that the log, the events and the stored records do not contain
// the code.
func TestCodeAppearsNowhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		w.logins[1].User.Active = false // so that something is logged
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Email: "bob@example.com"})
		synctest.Wait()
		stop()
		code := w.opened(t, w.messages[0]).Code
		if w.log.Len() == 0 {
			t.Error("got an empty log")
		}
		for what, text := range map[string]string{
			"log":     w.log.String(),
			"events":  strings.Join(w.recorded.lines(), "\n"),
			"payload": string(w.messages[0].Payload.Data),
			"digest":  string(w.logins[0].Login.Code.Digest.Sum),
		} {
			if strings.Contains(text, code) {
				t.Errorf("%s contains the code", what)
			}
		}
	})
}
