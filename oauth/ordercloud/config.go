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

// Config is what the resources below /v1 need. All fields but AdmitUsername, AdmitTest, RenewalOrigins, GuessCeiling,
// ClientSigningAlg, Wake, Recorder and Logger are required.
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

	// AdmitUsername is asked before a user takes another username, and answers a
	// *storage.LimitError to one who has tried too many; default: everybody may.
	AdmitUsername func(ctx context.Context, userUID string) error

	// AdmitTest is asked before a test message is sent through a sender, and answers a
	// *storage.LimitError after too many; default: any number.
	AdmitTest func(ctx context.Context, senderID string) error

	// RenewalOrigins are the allowed origins ("https://shop.example.com") of the URL in
	// a request to renew a password. Empty: all are allowed. Then the receiver of the
	// message must not trust the URL.
	RenewalOrigins []string

	// ClientSigningAlg is the JWS algorithm that a new API client gets unless it
	// names one; default: it names none, and the server's counts.
	ClientSigningAlg string

	// GuessCeiling is the highest probability of a right guess at one-time passwords that a
	// password profile may have; see otp.CheckRisk. 0: its default.
	GuessCeiling float64

	Sealer  surface.Sealer  // of what senders and delivery configs must not show
	Peppers grants.Digester // of client secrets
	Wake    func()          // called when a message is to be sent again; default: nobody

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

// checkOrigins finds fault with what is no origin of a site (RFC 6454 §4).
func checkOrigins(origins []string) error {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o != u.Scheme+"://"+u.Host {
			return fmt.Errorf("%q is not like https://shop.example.com", o)
		}
	}
	return nil
}
