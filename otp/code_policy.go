package otp

import (
	"errors"
	"fmt"
	"slices"

	"latchkey/storage"
)

var (
	// ErrClientWithoutCodes says that no one-time password can be redeemed through
	// the client.
	ErrClientWithoutCodes = errors.New("the client takes no one-time passwords")
	// ErrProfileWithoutCodes says that the logins of the password profile get no
	// one-time passwords.
	ErrProfileWithoutCodes = errors.New("the password profile allows no one-time passwords")
)

// codeGrants are the grant types that take one-time passwords. The handlers of
// package grants use the same names.
var codeGrants = []string{"authorization_code", "password", "urn:latchkey:params:oauth:grant-type:account-member"}

// checkCodesAllowed returns ErrClientWithoutCodes or ErrProfileWithoutCodes
// unless a one-time password may be issued. It is checked when a code is
// requested and again when the request is resolved, because the configuration
// may change in between. Whether a user gets the code is decided by
// requestConfig.refusal.
//
// Parameters: client is nil for a request through no client in particular.
// profile is nil if the password profile does not exist. grantType is the grant
// type that the code is meant for, empty for any that takes codes.
func checkCodesAllowed(client *storage.Client, profile *storage.PasswordProfile, grantType string) error {
	if client != nil {
		if err := checkClient(client, grantType); err != nil {
			return err
		}
	}
	if profile == nil || !profile.OneTimeCodes {
		return ErrProfileWithoutCodes
	}
	return nil
}

// CheckClient returns an error if no user can ever redeem a one-time password through the
// client. It wraps ErrClientWithoutCodes and names the field that is the reason.
func CheckClient(c storage.Client) error {
	if err := checkClient(&c, ""); err != nil {
		return err
	}
	if !c.AllowAnyBuyer && !c.AllowAnySupplier && !c.AllowSeller && len(c.AccountUIDs) == 0 {
		return refuseClient(&c, "it admits no user: AllowAnyBuyer, AllowAnySupplier and AllowSeller are false, and AccountUIDs is empty")
	}
	return nil
}

// checkClient returns an error that wraps ErrClientWithoutCodes unless a one-time
// password can be redeemed through the client with the grant type, or with any if
// grantType is empty.
func checkClient(c *storage.Client, grantType string) error {
	switch {
	case !c.Active:
		return refuseClient(c, "Active is false")
	case !c.Credentials.OTP:
		return refuseClient(c, "Credentials.OTP is false")
	case !slices.ContainsFunc(codeGrants, func(g string) bool { return c.HasGrant(g) && (grantType == "" || grantType == g) }):
		return refuseClient(c, fmt.Sprintf("GrantTypes has none of %q", codeGrants))
	}
	return nil
}

func refuseClient(c *storage.Client, reason string) error {
	return fmt.Errorf("%w: client %q: %s", ErrClientWithoutCodes, c.ID, reason)
}
