package storage

import "time"

// Keys of Client.PermittedSince: what a client may do for its users. The users of
// one buyer or supplier have the UID of that account as their key.
const (
	permitAnyBuyer    = "any_buyer"
	permitAnySupplier = "any_supplier"
	permitSeller      = "seller"
	permitCodes       = "codes"
	permitPasswords   = "passwords"
	permitRefresh     = "refresh"
)

// grantRefreshToken is the grant type of refresh tokens (RFC 6749 §6).
const grantRefreshToken = "refresh_token"

// permissions returns the keys of what the client may do.
func (c *Client) permissions() []string {
	keys := append([]string(nil), c.AccountUIDs...)
	for key, permitted := range map[string]bool{
		permitAnyBuyer: c.AllowAnyBuyer, permitAnySupplier: c.AllowAnySupplier, permitSeller: c.AllowSeller,
		permitCodes: c.Credentials.OTP, permitPasswords: c.Credentials.Password, permitRefresh: c.HasGrant(grantRefreshToken),
	} {
		if permitted {
			keys = append(keys, key)
		}
	}
	return keys
}

// PermittedSinceAfter returns PermittedSince of the client after, which replaces
// the client before at the time now: a permission that both have keeps its time,
// one that is new is given now.
func PermittedSinceAfter(before, after *Client, now time.Time) map[string]time.Time {
	had := make(map[string]bool)
	for _, key := range before.permissions() {
		had[key] = true
	}
	since := make(map[string]time.Time)
	for _, key := range after.permissions() {
		switch from := before.PermittedSince[key]; {
		case !had[key]:
			since[key] = now
		case !from.IsZero():
			since[key] = from
		}
	}
	return since
}

// admitsSince returns the time since when the client has admitted the user
// without a break; zero: since it was created, or it does not admit the user. A
// user whom it admits for two reasons has been admitted since the earlier one.
func (c *Client) admitsSince(u User) time.Time {
	kind, ofKind := permitSeller, c.AllowSeller
	switch u.Kind {
	case Buyer:
		kind, ofKind = permitAnyBuyer, c.AllowAnyBuyer
	case Supplier:
		kind, ofKind = permitAnySupplier, c.AllowAnySupplier
	case Admin:
	}
	assigned := u.Kind != Admin && c.assignedTo(u.AccountUID)
	since := c.PermittedSince[kind]
	if of := c.PermittedSince[u.AccountUID]; assigned && (!ofKind || of.Before(since)) {
		since = of
	}
	return since
}

// acceptsSince returns the time since when the client has accepted sign-ins by all the methods
// (RFC 8176 §2) without a break; zero: since it was created.
func (c *Client) acceptsSince(amr []string) time.Time {
	var since time.Time
	for _, method := range amr {
		since = later(since, c.PermittedSince[map[string]string{"otp": permitCodes, "pwd": permitPasswords}[method]])
	}
	return since
}

// RefreshTokensValidFrom returns the time since which the client has had the grant
// refresh_token without a break. Refresh tokens issued before that time have ended. Zero:
// the client has had the grant since it was created.
func (c *Client) RefreshTokensValidFrom() time.Time { return c.PermittedSince[permitRefresh] }
