package otp

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"latchkey/storage"
)

// Limit is how often something may be asked: Burst times at once, and no more
// than Burst times in each Per in the long run. The zero value is no limit.
type Limit struct {
	Burst int
	Per   time.Duration
}

// Limits bounds the requests, of all types together. A request is counted before
// anybody looks whom it concerns, so that the answers are the same for names that
// nobody has. The messages are counted as well, for each login and each mailbox
// that they go to: several names may lead to one mailbox.
type Limits struct {
	// Recipient is for each username and each e-mail address of a password
	// profile that is asked for; then, for each login and each mailbox that
	// messages are sent to. Both limits apply.
	Recipient [2]Limit
	Client    Limit // what is asked through none is not charged to one
	Address   Limit // each IPv4 address, each /64 of IPv6

	// SpareShared leaves out addresses that may stand for many callers: see
	// Shared. Proxies are those that are known.
	SpareShared bool
	Proxies     []netip.Prefix
}

const (
	limitPurpose   = "otp/limit"
	limitKeyLength = 16 // bytes of the digest
	networkIPv6    = 64 // bits that one subscriber has at least, RFC 6177 §2
	leastGap       = time.Microsecond
)

// charges lists what the request is charged to, always in one order.
func (s *Service) charges(r storage.CodeRequest, from netip.Addr) []storage.Charge {
	limits, charges := s.cfg.Limits, make([]storage.Charge, 0, 4)
	add := func(l [2]Limit, budget string, parts ...string) {
		if c, ok := s.cfg.Codes.charge(l, budget, parts...); ok {
			charges = append(charges, c)
		}
	}
	for _, key := range recipientKeys(r) {
		add(limits.Recipient, "recipient", r.ProfileID, key)
	}
	if r.ClientID != "" {
		add([2]Limit{limits.Client}, "client", r.ClientID)
	}
	if from.IsValid() && !(limits.SpareShared && Shared(from, limits.Proxies)) {
		add([2]Limit{limits.Address}, "address", Network(from).String())
	}
	return charges
}

// chargeRecipient adds to the issuance what the messages to the principal are
// charged to: its mailbox first, because logins that share one meet there, and
// its login. A message to the former address of a user is charged to that mailbox
// alone: codes that are asked for at the new one must not hold it up.
func (s *Service) chargeRecipient(x *storage.Issuance, r *storage.CodeRequest, p *storage.Principal) {
	mailbox, login := Mailbox(p.User.Email), p.Login.ID
	if r.Type == storage.MessageContactChanged {
		mailbox, login = Mailbox(r.Email), ""
	}
	var charges []storage.Charge
	for _, budget := range [...]struct{ name, key string }{{"mailbox", mailbox}, {"login", login}} {
		if budget.key == "" {
			continue
		}
		if c, ok := s.cfg.Codes.charge(s.cfg.Limits.Recipient, budget.name, budget.key); ok {
			c.Slack = c.Gap / 2 // less than a place, so that no further message is sent
			charges = append(charges, c)
		}
	}
	if len(charges) == 0 {
		return
	}
	if x.Charges == nil {
		x.Charges = map[string][]storage.Charge{}
	}
	x.Charges[p.Login.ID] = charges
}

// waitsForBudget reports whether messages of the type are sent later if a budget
// is used up. Nobody waits for them in front of a screen, and somebody who uses
// the budget up must not be able to suppress the news of a lock.
func waitsForBudget(t storage.MessageType) bool {
	return t == storage.MessageAccountLocked || t == storage.MessageNewUserInvitation || t == storage.MessageContactChanged
}

// charge is what one request takes from the budget of the parts. It is not ok
// where there is no limit.
func (c *Codes) charge(limits [2]Limit, budget string, parts ...string) (_ storage.Charge, ok bool) {
	first, second := limits[0], limits[1]
	if first.none() {
		first, second = second, Limit{}
	}
	if first.none() {
		return storage.Charge{}, false
	}
	sum := c.digester.Digest(limitPurpose, append([]string{budget}, parts...)...).Sum
	charge := storage.Charge{
		Budget: budget, Key: hex.EncodeToString(sum[:min(limitKeyLength, len(sum))]),
		Gap: first.gap(), Burst: first.Burst,
	}
	if !second.none() {
		charge.LongGap, charge.LongBurst = second.gap(), second.Burst
	}
	return charge, true
}

// none reports whether there is no limit.
func (l Limit) none() bool { return l.Burst <= 0 || l.Per <= 0 }

// gap is the time until a used place is free again.
func (l Limit) gap() time.Duration { return max(l.Per/time.Duration(l.Burst), leastGap) }

// recipientKeys are the names that the request goes by, sorted. A username and
// an e-mail address of one spelling are one name: for many users they are the
// same thing.
func recipientKeys(r storage.CodeRequest) []string {
	keys := []string{NormalizeUsername(r.Username), NormalizeUsername(r.Email), r.UserUID}
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "" })
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Mailbox returns the form under which the messages to an e-mail address are
// counted: that of NormalizeUsername, with the domain in A-labels (RFC 5890
// §2.3.2.1) and without the dot that may end it.
func Mailbox(email string) string {
	key := NormalizeUsername(email)
	at := strings.LastIndexByte(key, '@')
	if at < 0 {
		return key
	}
	domain := strings.TrimSuffix(key[at+1:], ".")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return key[:at+1] + domain
}

// carrierGrade is the address space that networks share behind their own
// translation (RFC 6598 §7).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// Shared reports whether an address may stand for any number of callers, so that
// no limit of one address applies to it: an unknown, loopback, private or
// link-local address, or one of the proxies. Such an address is that of a proxy
// which nobody named, or of a neighbour.
func Shared(a netip.Addr, proxies []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierGrade.Contains(a) {
		return true
	}
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Source returns the text of what an address counts as: an IPv4 address as
// itself, an IPv6 address as its /64, an invalid one as "".
func Source(a netip.Addr) string {
	n := Network(a)
	switch {
	case !n.IsValid():
		return ""
	case n.Addr().Is6():
		return n.String()
	}
	return n.Addr().String()
}

// Network is what an address counts as wherever attempts or requests are
// counted: IPv4 as itself, IPv6 as its /64. An invalid address gives an invalid
// prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = networkIPv6
	}
	p, _ := a.Prefix(bits) // fails for bits that the address has not
	return p
}
