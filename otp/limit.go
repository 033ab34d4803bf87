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

// Limit limits requests: Burst at once, and Burst in each Per in the long run. The
// zero value is no limit.
type Limit struct {
	Burst int
	Per   time.Duration
}

// Limits limits requests of all types together. A request is counted before users
// are looked up, so that unknown usernames get the same answers. Messages are counted
// too, for each login and each mailbox that they are sent to: several usernames may
// share one mailbox.
type Limits struct {
	// Recipient applies to requests for each username and each e-mail address in a
	// password profile, and to messages for each login and each mailbox. Both limits
	// of the pair apply.
	Recipient [2]Limit
	Client    Limit // of each client; requests through no client are not charged to one
	Address   Limit // of each IPv4 address and each /64 of IPv6

	// SpareShared exempts addresses that many callers may share from the limit
	// Address; see Shared. Proxies are the known proxies.
	SpareShared bool
	Proxies     []netip.Prefix
}

const (
	limitPurpose   = "otp/limit"
	limitKeyLength = 16 // bytes of the digest
	networkIPv6    = 64 // prefix length; a subscriber has at least a /64 (RFC 6177 §2)
	leastGap       = time.Microsecond
)

// charges returns the charges of the request, always in the same order.
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

// chargeRecipient adds the charges for the messages to the principal to the issuance:
// first the mailbox, which several logins may share, and then the login. A message
// to the former address of a user is charged to that mailbox only, so that requests
// for codes to the new address cannot delay it.
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
			c.Slack = c.Gap / 2 // less than Gap, so that it allows no additional message
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

// waitsForBudget reports whether messages of the type are sent later if a budget is
// used up. Users do not wait for these messages, and an attacker who uses up the
// budget must not be able to suppress them.
func waitsForBudget(t storage.MessageType) bool {
	return t == storage.MessageAccountLocked || t == storage.MessageNewUserInvitation || t == storage.MessageContactChanged
}

// charge returns the charge of one request to the budget that is identified by its
// name and the parts. ok is false if there is no limit.
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

// gap returns the time until one more request is allowed.
func (l Limit) gap() time.Duration { return max(l.Per/time.Duration(l.Burst), leastGap) }

// recipientKeys returns the names in the request, normalized and sorted. An equal
// username and e-mail address count once: many users have their address as username.
func recipientKeys(r storage.CodeRequest) []string {
	keys := []string{NormalizeUsername(r.Username), NormalizeUsername(r.Email), r.UserUID}
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "" })
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Mailbox returns the form of an e-mail address under which its messages are counted:
// the result of NormalizeUsername, with the domain in A-labels (RFC 5890 §2.3.2.1)
// and without a final dot.
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

// carrierGrade is the shared address space for carrier-grade NAT (RFC 6598 §7).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// Shared reports whether many callers may share the address, so that limits for one
// address must not apply to it. That is so for unknown, loopback, private,
// link-local and carrier-grade NAT addresses, and for the proxies.
func Shared(a netip.Addr, proxies []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierGrade.Contains(a) {
		return true
	}
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Source returns the text under which attempts and requests from an address are
// counted: an IPv4 address itself, the /64 of an IPv6 address, "" for an invalid
// address.
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

// Network returns the prefix under which attempts and requests from an address are
// counted: the /32 of an IPv4 address, the /64 of an IPv6 address. The prefix of an
// invalid address is invalid.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = networkIPv6
	}
	p, _ := a.Prefix(bits) // fails for an invalid address only, and then returns the zero prefix
	return p
}
