package otp

import (
	"net/netip"
	"slices"
	"strings"

	"latchkey/otp/domain"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// Limits limits requests of all types together. A request is counted before users
// are looked up, so that unknown usernames get the same answers. Messages are counted
// too, for each login and each mailbox that they are sent to: several usernames may
// share one mailbox.
type Limits struct {
	// Recipient applies to requests for each username and each e-mail address in a
	// password profile, and to messages for each login and each mailbox. Both limits
	// of the pair apply.
	Recipient [2]limit.Limit
	Client    limit.Limit // of each client; requests through no client are not charged to one
	Address   limit.Limit // of each IPv4 address and each /64 of IPv6

	// SpareShared exempts addresses that many callers may share from the limit
	// Address; see limit.CountedNetwork. Proxies are the known proxies.
	SpareShared bool
	Proxies     []netip.Prefix
}

// charges returns the charges of the request, always in the same order.
func (s *Service) charges(r storage.CodeRequest, from netip.Addr) []storage.Charge {
	limits, charges := s.cfg.Limits, make([]storage.Charge, 0, 4)
	add := func(l [2]limit.Limit, budget string, parts ...string) {
		if c, ok := limit.NewCharge(s.cfg.Codes.digester, limit.Purpose, l, budget, parts...); ok {
			charges = append(charges, c)
		}
	}
	for _, key := range recipientKeys(r) {
		add(limits.Recipient, "recipient", r.ProfileID, key)
	}
	if r.ClientID != "" {
		add([2]limit.Limit{limits.Client}, "client", r.ClientID)
	}
	network, counted := limit.Network(from), from.IsValid()
	if limits.SpareShared {
		network, counted = limit.CountedNetwork(from, limits.Proxies)
	}
	if counted {
		add([2]limit.Limit{limits.Address}, "address", network.String())
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
		if c, ok := limit.NewCharge(s.cfg.Codes.digester, limit.Purpose, s.cfg.Limits.Recipient, budget.name, budget.key); ok {
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
	host := strings.TrimSuffix(key[at+1:], ".")
	if ascii, err := domain.ToASCII(host); err == nil {
		host = ascii
	}
	return key[:at+1] + host
}
