package chaos

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

var (
	duration = flag.Duration("duration", 5*time.Second, "how long faults are caused")
	seed     = flag.Uint64("seed", 0, "of the random faults; 0: another one for each run")
)

// profiles contains a profile with the shortest allowed lifetime of codes, and a client for it.
const profiles = `
authentication_realms:
  - id: default
    password_profiles:
      - {id: hasty, enable_one_time_password_token: true, code_ttl_seconds: 30}
ApiClients:
  - &long {ID: long, AppName: Default life, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp]}
  - {<<: *long, ID: short, AppName: Short life, PasswordProfileID: hasty}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword], URL: "%s", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
Buyers:
  - ID: acme
    Name: Acme Ltd
    Active: true
    Users:
`

const usersOfEach = 8 // number of users of each client

// run is one run of the chaos test.
type run struct {
	*testing.T
	w        *kit.Fixture
	log      *faultLog
	receiver *receiver
	database *pgtest.Server
	replicas []*replica
	users    []*user
}

// TestChaos lets users sign in through three replicas while processes, the database and the
// receiver fail. Then it checks the result of each request, code and session.
func TestChaos(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64N(1<<32) + 1
	}
	t.Logf("run this again by -seed=%d -duration=%v", *seed, *duration)
	c := newRun(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seconds since %s, and the fault:\n%s", c.log.began.Format(time.StampMilli), c.log)
		}
	})
	c.cause()
	c.settle()
	rows := c.ledger()
	c.checkRequests(rows)
	c.checkArrivals(rows)
	c.checkRedemptions(rows)
	c.checkSessions()
	c.checkLogins()
	for _, r := range c.replicas {
		r.stop()
	}
	c.w.Command(t, "audit", "verify")
}

func newRun(t *testing.T) *run {
	t.Helper()
	c := &run{T: t, log: &faultLog{}, receiver: newReceiver(t)}
	c.database = pgtest.StartReplicated(t, pgtest.Config{Relaxed: true}) // the operating system does not crash, so fsync is not needed
	c.w = kit.NewFixture(t, c.database.Empty(t))
	document := fmt.Sprintf(profiles, c.receiver.url)
	for clientID, profile := range map[string]string{"long": "default", "short": "hasty"} {
		for _, name := range kit.Numbered(clientID+"-", usersOfEach) {
			document += fmt.Sprintf("      - {ID: %s, Username: %s, PasswordProfileID: %s, Email: %s@people.example, Active: true}\n", name, name, profile, name)
			c.users = append(c.users, &user{name: name, clientID: clientID, receiver: c.receiver, successes: map[string]int{}})
		}
	}
	c.w.Apply(document)
	c.replicas = startReplicas(t, c.w, 3)
	for i, u := range c.users {
		u.replicas, u.random = c.replicas, c.stream(uint64(i)+2)
	}
	return c
}

// stream returns random numbers that depend only on the seed.
func (c *run) stream(n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(*seed, n)) //nolint:gosec // not a secret
}

// cause lets users work and causes faults. It returns when the users have ended and all faults
// are repaired.
func (c *run) cause() {
	ctx, cancel := context.WithTimeout(c.Context(), *duration)
	defer cancel()
	c.log.began = time.Now()
	f := faults{
		log: c.log, replicas: c.replicas, database: c.database, receiver: c.receiver, fail: c.Errorf,
		longest: min(*duration/4, 12*time.Second), pause: min(*duration/4, 4*time.Second), random: c.stream(0),
	}
	outages := f
	outages.random = c.stream(1)
	var all sync.WaitGroup
	all.Go(func() { f.replicaFaults(ctx) })
	all.Go(func() { outages.outages(ctx) })
	for _, u := range c.users {
		all.Go(func() { u.run(ctx) })
	}
	all.Wait()
}

// settle waits until all requests and messages have ended.
func (c *run) settle() {
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if c.count(`SELECT (SELECT count(*) FROM code_requests WHERE ended_at = 0)
			+ (SELECT count(*) FROM messages WHERE state = 'queued')`) == 0 {
			return
		}
	}
	c.Error("got open requests or messages 90s after the last fault")
}

// checkRequests checks that each accepted request is stored, that each stored one was delivered
// or superseded by a newer one, and that the newest of each user was not superseded.
func (c *run) checkRequests(rows map[string]stored) {
	newest := map[string]int64{}
	for _, s := range rows {
		newest[s.username] = max(newest[s.username], s.seq)
	}
	accepted := 0
	for _, u := range c.users {
		for _, trace := range u.accepted {
			accepted++
			if _, there := rows[trace]; !there {
				c.Errorf("the accepted request %s is not in the database", trace)
			}
		}
	}
	states := map[string]int{}
	for _, s := range rows {
		replaced := s.superseded || !s.retiredAt.IsZero() && s.retiredAt.Before(s.expiresAt)
		switch {
		case replaced && s.seq == newest[s.username]:
			c.Errorf("the newest request was superseded by an older one: %v", s)
		case s.superseded && s.state != "none":
			c.Errorf("a superseded request has a message: %v", s)
		case s.state == "delivered":
			states["delivered"]++
		case replaced:
			states["superseded"]++
		case c.log.overlaps(s.expiresAt.Add(-takeover), s.expiresAt, ""):
			states["lost to a fault in the last seconds"]++
		default:
			c.Errorf("got no delivery of %v", s)
		}
	}
	c.Logf("%d requests accepted, %d stored: %v", accepted, len(rows), states)
}

// checkArrivals checks that no message arrived after its expiry, and that no older code arrived
// after a newer one was issued, unless its replica was frozen in between.
func (c *run) checkArrivals(rows map[string]stored) {
	byUser := map[string][]stored{}
	for _, s := range rows {
		byUser[s.username] = append(byUser[s.username], s)
	}
	copies := 0
	for _, all := range byUser {
		slices.SortFunc(all, func(a, b stored) int { return int(a.seq - b.seq) })
		for i, s := range all {
			got, arrived := c.receiver.arrived(s.trace)
			if !arrived {
				if s.state == "delivered" {
					c.Errorf("the receiver did not get %v", s)
				}
				continue
			}
			copies += got.copies - 1
			if got.at.After(s.expiresAt) {
				c.Errorf("got the expired message at %s: %v", got.at.Format("15:04:05.000"), s)
			}
			for _, newer := range all[i+1:] {
				late := !newer.issuedAt.IsZero() && got.at.After(newer.issuedAt.Add(slack))
				if late && !c.log.overlaps(newer.issuedAt, got.at, "freeze") {
					c.Errorf("got a message at %s although a newer code was issued: %v\nnewer: %v", got.at.Format("15:04:05.000"), s, newer)
					break
				}
			}
		}
	}
	c.Logf("%d further copies of messages were received", copies)
}

// checkRedemptions checks that each code was redeemed once, and that each refused code had been
// redeemed, replaced or expired.
func (c *run) checkRedemptions(rows map[string]stored) {
	redeemed := 0
	for _, u := range c.users {
		for trace, times := range u.successes {
			redeemed++
			if times > 1 {
				c.Errorf("got %d redemptions, want 1: %v", times, rows[trace])
			}
			if rows[trace].redeemedAt.IsZero() {
				c.Errorf("got a redemption that is not in the database: %v", rows[trace])
			}
		}
		for _, r := range u.refused {
			s := rows[r.trace]
			if s.redeemedAt.IsZero() && (s.retiredAt.IsZero() || s.retiredAt.After(r.at)) && r.at.Before(s.expiresAt) {
				c.Errorf("got a refusal of a live code at %s: %s: %v", r.at.Format("15:04:05.000"), r.body, s)
			}
		}
	}
	inDatabase := 0
	for _, s := range rows {
		if !s.redeemedAt.IsZero() {
			inDatabase++
		}
	}
	if families := c.count("SELECT count(*) FROM families"); families != inDatabase {
		c.Errorf("got %d sessions for %d redeemed codes", families, inDatabase)
	}
	c.Logf("%d codes redeemed, and %d whose answers were lost", redeemed, inDatabase-redeemed)
}

// checkSessions checks that no session has ended.
func (c *run) checkSessions() {
	refreshes := 0
	for _, u := range c.users {
		for _, what := range u.ended {
			c.Errorf("got an ended session: %s", what)
		}
		refreshes += u.refreshes
		if u.token == "" {
			continue
		}
		fields := append(kit.ClientFields(u.clientID), "grant_type", "refresh_token", "refresh_token", u.token)
		if got := u.everywhere([]string{u.anyReplica()}, fields)[0]; got.status != http.StatusOK {
			c.Errorf("refresh by %s at the end: got %d %s, want 200", u.name, got.status, got.body)
		}
	}
	if revoked := c.count("SELECT count(*) FROM families WHERE revoked_at > 0"); revoked != 0 {
		c.Errorf("got %d revoked sessions, want none", revoked)
	}
	c.Logf("%d refreshes", refreshes)
}

// checkLogins checks that no user is locked out.
func (c *run) checkLogins() {
	locked := query(c.T, c.w.DatabaseURL, `SELECT username FROM logins WHERE locked_until > 0 OR codes_locked_until > 0
		UNION SELECT l.username FROM logins l JOIN login_sources s ON s.login_id = l.id WHERE s.locked_until > 0`, pgx.RowTo[string])
	if len(locked) > 0 {
		c.Errorf("got the locked logins %v, want none", locked)
	}
	counts := map[string]int{}
	for _, f := range c.log.faults {
		counts[f.what]++
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		c.Logf("%d times: %s", counts[what], what)
	}
}
