package signinpage

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"latchkey/grants"
	"latchkey/oauth"
	"latchkey/storage"
)

// maxAccounts is how many accounts a user can choose among.
const maxAccounts = 100

// person is a user who signed in, in this request or earlier.
type person struct {
	oauth.SignedIn
	user   *storage.Principal
	cookie string // of a session that begins; empty: the session goes on
}

// proceed takes the next step of the request: it asks for the username, or continues with
// the session of the browser.
func (p *Pages) proceed(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client) error {
	q := v.Request
	session, err := p.sessions.Read(r)
	if err != nil {
		return err
	}
	usable := session != nil && p.isUsable(c, session)
	switch {
	case usable && p.suffices(v, session):
		if q.Has(oauth.PromptSelectAccount) && session.Session.AuthTime.UnixMicro() < v.Started {
			return p.showResume(w, r, v, c, session)
		}
		return p.finish(w, r, v, c, personOf(session))
	case q.Has(oauth.PromptNone):
		return refusal(q, "login_required", "The user is not signed in.")
	}
	return p.showName(w, r, v, c, "")
}

// refusal is an error that goes to the client.
func refusal(q *oauth.AuthorizationRequest, code, description string) error {
	return &oauth.AuthorizationError{Code: code, Description: description, Request: q}
}

func personOf(s *storage.SessionState) person {
	return person{SignedIn: oauth.SignedIn{Session: s.Session}, user: &s.Principal}
}

// isUsable reports whether the client admits the user of the session, and lets its users
// sign in from the same password profile and by the credential of the session.
func (p *Pages) isUsable(c *storage.Client, s *storage.SessionState) bool {
	return s.Principal.Login.ProfileID == c.ProfileID && c.SessionRefusal(&s.Principal, s.Session.AMR, p.cfg.Now()) == ""
}

// suffices reports whether the session is what the request demands (OpenID Connect Core
// 1.0 §3.1.2.1). A sign-in that is later than the request always suffices: otherwise a user
// would be asked again and again with max_age 0.
func (p *Pages) suffices(v *visit, s *storage.SessionState) bool {
	q, x := v.Request, &s.Session
	if q.Subject != "" && q.Subject != x.UserUID {
		return false
	}
	if x.AuthTime.UnixMicro() >= v.Started {
		return true
	}
	switch {
	case q.Has(oauth.PromptLogin):
		return false
	case q.MaxAge != nil && p.cfg.Now().Sub(x.AuthTime) >= time.Duration(*q.MaxAge)*time.Second:
		return false
	case len(q.ACR) > 0 && !slices.Contains(q.ACR, grants.ACR(x.AMR)):
		return false
	}
	return true
}

// finish sends a person who signed in back to the client, unless the account is to be
// chosen or consent to be given first.
func (p *Pages) finish(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person) error {
	q, ctx := v.Request, r.Context()
	if q.Subject != "" && q.Subject != who.user.User.UID {
		p.giveUp(r, who, "another_user")
		return refusal(q, "login_required", "Another user signed in.")
	}
	accounts, err := p.chooseAccount(r, v, &who)
	if err != nil {
		p.abandon(r, who)
		return err
	}
	if len(accounts) == 0 && who.Account == who.user.User.AccountUID {
		if err := oauth.CheckRoles(c, q, who.user.Roles); err != nil {
			p.giveUp(r, who, "insufficient_roles")
			return refusal(q, "access_denied", "The user lacks a role.")
		}
	}
	consent, err := p.cfg.Endpoints.NeedsConsent(ctx, c, q, who.user.User.UID)
	if err != nil {
		p.abandon(r, who)
		return err
	}
	consent = consent && v.Step != stepConsent // that was just given
	if len(accounts) == 0 && !consent {
		return p.authorize(w, r, v, c, who)
	}
	if q.Has(oauth.PromptNone) {
		if consent {
			return refusal(q, "consent_required", "The user has not consented.")
		}
		return refusal(q, "account_selection_required", "The user has several accounts.")
	}
	if err := p.begin(w, r, who); err != nil {
		return err
	}
	if len(accounts) > 0 {
		return p.showAccounts(w, r, v, c, who, accounts)
	}
	return p.showConsent(w, r, v, c, who)
}

// giveUp records that a verified sign-in does not take effect.
func (p *Pages) giveUp(r *http.Request, who person, outcome string) {
	if who.SignIn != nil {
		p.cfg.Endpoints.Authenticator().RecordOutcome(r.Context(), who.SignIn, outcome)
	}
}

// abandon records that a verified sign-in is not settled.
func (p *Pages) abandon(r *http.Request, who person) {
	if who.SignIn != nil {
		p.cfg.Endpoints.Authenticator().Abandon(r.Context(), who.SignIn)
	}
}

// begin lets a sign-in take effect before the last step: the session begins.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request, who person) error {
	if who.SignIn == nil {
		return nil
	}
	if err := p.cfg.Endpoints.Settle(r.Context(), who.SignIn, who.Session); err != nil {
		return err
	}
	http.SetCookie(w, p.sessions.Cookie(who.cookie))
	return nil
}

// chooseAccount decides for which account the person gets tokens. It returns the accounts
// if the person must choose. A person with one account needs no choice. A person who chose
// in this session keeps the choice, unless the request asks anew or the person is no member
// any more.
func (p *Pages) chooseAccount(r *http.Request, v *visit, who *person) ([]storage.Member, error) {
	kept := who.Session.AccountUID
	if who.SignIn != nil || v.Request.Has(oauth.PromptSelectAccount) {
		kept = ""
	}
	switch {
	case who.Account != "", who.user.User.Kind == storage.Admin:
		return nil, nil
	case kept != "" && kept == who.user.User.AccountUID: // the user's own company
		who.Account = kept
		return nil, nil
	}
	page, err := p.cfg.Members.Members(r.Context(), who.user.User.UID, 0, maxAccounts)
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 1 {
		kept = page.Items[0].Account.UID
	}
	for i := range page.Items {
		if page.Items[i].Account.UID == kept {
			who.Account = kept
			return nil, nil
		}
	}
	return page.Items, nil
}

// authorize issues the code and sends the browser to the client.
func (p *Pages) authorize(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, who person) error {
	response, err := p.cfg.Endpoints.Authorize(r.Context(), v.Request, who.SignedIn)
	switch {
	case errors.Is(err, oauth.ErrRequestUsed):
		return refusal(v.Request, "invalid_request_uri", "The pushed request was used before.")
	case errors.Is(err, storage.ErrRefused): // the session ended meanwhile
		return p.startAgain(w, r, v, c)
	case err != nil:
		return err
	}
	if who.cookie != "" {
		http.SetCookie(w, p.sessions.Cookie(who.cookie))
	}
	p.respond(w, r, response)
	return nil
}
