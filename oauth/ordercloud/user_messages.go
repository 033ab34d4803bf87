package ordercloud

import (
	"errors"
	"net/http"

	"latchkey/grants"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// messageRoutes returns the operations by which administrators send a user something to
// sign in with. Unlike the requests of users, they say why a user would get nothing.
func (u users) messageRoutes() []route {
	refuses := []int{400, 404, 409, 429}
	code := u.action(http.MethodPost, "/onetimepassword", "SendOneTimePassword", "Send a user a one-time password")
	code.Body, code.Refuses = wire.UserCodeRequest{}, refuses
	invitation := u.action(http.MethodPost, "/invitation", "SendInvitation", "Send a user an invitation to choose a password")
	invitation.Refuses = refuses[1:]
	return []route{
		{Operation: code, who: u.who, serve: u.sendCode},
		{Operation: invitation, who: u.who, serve: u.act("invited", u.sendInvitation)},
	}
}

func (u users) sendCode(c *call) (surface.Answer, error) {
	var w wire.UserCodeRequest
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	return u.act("code_requested", func(c *call, p person) error { return u.requestCode(c, p, w.ClientID) })(c)
}

// requestCode requests a one-time password that the user can sign in with through the
// client.
func (u users) requestCode(c *call, p person, clientID string) error {
	client, err := u.clientOf(c, clientID)
	if err != nil {
		return err
	}
	login, err := u.loginIn(c, p, client.ProfileID)
	if err != nil {
		return err
	}
	if login.ID == "" {
		return noMessage("the user has no username in the password profile of the client")
	}
	if err := u.mayReceive(c, storage.MessageOneTimePassword, login.ID, &client); err != nil {
		return err
	}
	grant := grants.GrantPassword
	if !client.HasGrant(grant) {
		grant = "" // any grant of the client that takes codes
	}
	err = u.cfg.Codes.Request(c.Context(), client, otp.Request{
		Type: storage.MessageOneTimePassword, Username: login.Username, Purpose: storage.PurposeSignIn, GrantType: grant,
		Address: u.cfg.Address(c.Context()), TraceID: u.cfg.TraceID(c.Context()),
	})
	if errors.Is(err, otp.ErrClientWithoutCodes) || errors.Is(err, otp.ErrProfileWithoutCodes) {
		err = errNoCodes
	}
	return err
}

// sendInvitation invites the user again.
func (u users) sendInvitation(c *call, p person) error {
	if p.Login.ID == "" {
		return noMessage("the user has no username")
	}
	if err := u.mayReceive(c, storage.MessageNewUserInvitation, p.Login.ID, nil); err != nil {
		return err
	}
	return u.cfg.Codes.Request(c.Context(), storage.Client{}, otp.Request{
		Type: storage.MessageNewUserInvitation, UserUID: p.User.UID, ProfileID: p.Login.ProfileID,
		Address: u.cfg.Address(c.Context()), TraceID: u.cfg.TraceID(c.Context()),
	})
}

// loginIn returns the login of the user in a password profile, or a zero one.
func (u users) loginIn(c *call, p person, profileID string) (storage.Login, error) {
	logins, err := u.cfg.Stores.Logins.LoginsOfUser(c.Context(), p.User.UID)
	for _, l := range logins {
		if l.ProfileID == profileID {
			return l, err
		}
	}
	return storage.Login{}, err
}

// mayReceive returns a refusal if a message of type t would not reach the user of the login.
// client is the client that the user is to sign in through; nil: any.
func (u users) mayReceive(c *call, t storage.MessageType, loginID string, client *storage.Client) error {
	p, err := u.cfg.Stores.Logins.PrincipalOf(c.Context(), loginID)
	if err != nil {
		return err
	}
	reason := p.CodeRefusal(u.cfg.Now())
	if client != nil {
		reason = client.CodeRefusal(&p, u.cfg.Now())
	}
	if reason != "" {
		return noMessage(refusalText(reason))
	}
	served, err := u.cfg.Rules.IsServed(c.Context(), t, p.User)
	if err == nil && !served {
		err = noMessage("no message sender serves the user with " + string(t))
	}
	return err
}

// noMessage refuses to send a message that would not reach the user.
func noMessage(reason string) error {
	return refuse(http.StatusConflict, "User.NoMessage", "No message would reach the user: "+reason+".")
}

// refusalText returns the text for a reason of storage.Client.CodeRefusal.
func refusalText(reason string) string {
	switch reason {
	case storage.RefusedClientInactive:
		return "the client is not active"
	case storage.RefusedUserInactive:
		return "the user is not active"
	case storage.RefusedLoginInactive:
		return "the username is not active"
	case storage.RefusedLocked:
		return "the user is locked out"
	case storage.RefusedAccountInactive:
		return "the company is not active"
	case storage.RefusedNotAdmitted:
		return "the client does not admit the user"
	}
	return "the user is not known any more"
}
