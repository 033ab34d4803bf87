package ordercloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"latchkey/grants"
	"latchkey/oauth/admin"
	"latchkey/oauth/surface"
)

// Config is what the resources below /v1 need. All fields but AdmitUsername, AdmitTest,
// RenewalOrigins, ClientSigningAlg, GuessCeiling, Wake and the optional ones of Runtime are
// required.
type Config struct {
	Bearer    surface.Bearer
	Stores    Stores
	Rules     *admin.Rules // who may change what
	Tx        Transactor
	Passwords Passwords
	Codes     Codes
	Sessions  *admin.Sessions // of browsers
	Lockouts  *admin.Lockouts
	Tasks     *admin.Tasks // long work
	Status    *admin.Status
	Tests     SenderTests

	// AdmitUsername is called before a user changes its own username. It returns a
	// *storage.LimitError if the user has tried too many. Default: there is no limit.
	AdmitUsername func(ctx context.Context, userUID string) error

	// AdmitTest is called before a test message is sent through a sender. It returns a
	// *storage.LimitError after too many. Default: there is no limit.
	AdmitTest func(ctx context.Context, senderID string) error

	// RenewalOrigins are the allowed origins ("https://shop.example.com") of the URL in
	// a request to renew a password. Empty: all are allowed. Then the receiver of the
	// message must not trust the URL.
	RenewalOrigins []string

	// ClientSigningAlg is the JWS algorithm of a new API client whose request names none.
	// Empty: the client has no algorithm of its own and uses that of the server.
	ClientSigningAlg string

	// GuessCeiling is the highest probability of a right guess at one-time passwords that a
	// password profile may have; see otp.CheckRisk. 0: its default.
	GuessCeiling float64

	Sealer  surface.Sealer  // for the secrets of senders and delivery configs
	Peppers grants.Digester // for the digests of client secrets
	Wake    func()          // called when a message is to be sent again; default: does nothing

	surface.Runtime
}

// complete sets the defaults, and returns an error if a required field is missing.
func (c *Config) complete() error {
	if c.Bearer == nil || c.Rules == nil || c.Tx == nil || c.Sealer == nil || c.Peppers == nil || c.Passwords == nil || c.Codes == nil || c.Sessions == nil ||
		c.Lockouts == nil || c.Tasks == nil || c.Status == nil || c.Tests == nil {
		return errors.New("one of Bearer, Rules, Tx, Sealer, Peppers, Passwords, Codes, Sessions, Lockouts, Tasks, Status and Tests is missing")
	}
	if err := c.Complete(); err != nil {
		return err
	}
	if err := checkOrigins(c.RenewalOrigins); err != nil {
		return fmt.Errorf("RenewalOrigins: %w", err)
	}
	if err := c.Stores.complete(); err != nil {
		return err
	}
	if c.AdmitUsername == nil {
		c.AdmitUsername = func(context.Context, string) error { return nil }
	}
	if c.AdmitTest == nil {
		c.AdmitTest = func(context.Context, string) error { return nil }
	}
	if c.Wake == nil {
		c.Wake = func() {}
	}
	return nil
}

// checkOrigins returns an error for the first text that is not an http or https origin
// (RFC 6454 §4).
func checkOrigins(origins []string) error {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o != u.Scheme+"://"+u.Host {
			return fmt.Errorf("%q is not like https://shop.example.com", o)
		}
	}
	return nil
}
