package otp

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"latchkey/storage"
)

// Limit is how often something may be asked: Burst times at once, and no more
// than Burst times in each Per in the long run. The zero value is no limit.
type Limit struct {
	Burst int
	Per   time.Duration
}

// Limits bounds the requests, of all types together. They count what is asked, before
// anybody looks whom it concerns, so that they are the same for names that
// nobody has.
type Limits struct {
	Recipient Limit // each username and each e-mail address of a password profile, and each user who is invited
	Client    Limit // what is asked through none is not charged to one
	Address   Limit // each IPv4 address, each /64 of IPv6
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
	add := func(l Limit, budget string, parts ...string) {
		if c, ok := s.cfg.Codes.charge(l, budget, parts...); ok {
			charges = append(charges, c)
		}
	}
	for _, key := range recipientKeys(r) {
		add(limits.Recipient, "recipient", r.ProfileID, key)
	}
	if r.ClientID != "" {
		add(limits.Client, "client", r.ClientID)
	}
	if from.IsValid() {
		add(limits.Address, "address", Network(from).String())
	}
	return charges
}

// charge is what one request takes from the budget of the parts. It is not ok
// where there is no limit.
func (c *Codes) charge(l Limit, budget string, parts ...string) (_ storage.Charge, ok bool) {
	if l.Burst <= 0 || l.Per <= 0 {
		return storage.Charge{}, false
	}
	sum := c.digester.Digest(limitPurpose, append([]string{budget}, parts...)...).Sum
	return storage.Charge{
		Budget: budget, Key: hex.EncodeToString(sum[:min(limitKeyLength, len(sum))]),
		Gap: max(l.Per/time.Duration(l.Burst), leastGap), Burst: l.Burst,
	}, true
}

// recipientKeys are the names that the request goes by, sorted. A username and
// an e-mail address of one spelling are one name: for many users they are the
// same thing.
func recipientKeys(r storage.CodeRequest) []string {
	keys := []string{NormalizeUsername(r.Username), NormalizeUsername(r.Email), r.UserUID}
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "" })
	slices.Sort(keys)
	return slices.Compact(keys)
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
