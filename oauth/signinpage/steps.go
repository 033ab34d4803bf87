package signinpage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// Values of the field do: what the pressed button asks for. The first button has none.
const (
	doAgain    = "again"    // send another code
	doOther    = "other"    // use another name
	doPassword = "password" // use the password
	doDeny     = "deny"     // refuse consent
)

// withVisit returns a handler that opens the state of a form and calls serve with it.
func (p *Pages) withVisit(serve func(http.ResponseWriter, *http.Request, *visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		form, err := oauth.ReadPageForm(w, r)
		if errors.Is(err, grants.ErrFormTooLarge) {
			p.showError(w, r, http.StatusRequestEntityTooLarge, alertTooLarge, "")
			return
		}
		if err != nil {
			p.refuse(w, r, err)
			return
		}
		v, ok := p.open(form.Get("state"))
		if !ok {
			p.showError(w, r, http.StatusBadRequest, alertStart, "")
			return
		}
		if err := serve(w, r, v); err != nil {
			p.refuse(w, r, err)
		}
	}
}

// takeForm takes the form of a page. A form that is not accepted, because it is too old,
// was shown to another browser, or came from another site, gets a fresh page for the same
// request.
func (p *Pages) takeForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := p.clientOf(r, v)
	if err != nil {
		return err
	}
	if !p.forms.MayPost(r, v.Browser) || p.isOld(v) {
		v.Browser, v.Step, v.Name, v.Started = p.forms.Browser(w, r), stepName, "", p.cfg.Now().UnixMicro()
		return p.startAgain(w, r, v, &c)
	}
	if done, err := p.signedInSince(w, r, v, &c); done || err != nil {
		return err
	}
	do := r.PostForm.Get("do")
	if do == doOther {
		v.Request.LoginHint = ""
		return p.showName(w, r, v, &c, "")
	}
	switch v.Step {
	case stepName:
		return p.takeName(w, r, v, &c)
	case stepCode, stepPassword:
		return p.takeCredential(w, r, v, &c, do)
	}
	return p.takeChoice(w, r, v, &c, do)
}

// startAgain shows the first page for the request, or goes on with the session that the
// browser got meanwhile.
func (p *Pages) startAgain(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client) error {
	if v.Request.Has(oauth.PromptNone) {
		return refusal(v.Request, "login_required", "The user is not signed in.")
	}
	return p.proceed(w, r, v, c)
}

// signedInSince goes on with the session of the browser if that began after the form was
// shown: somebody posted the form twice, or signed in on another page. So the second post
// of a code does not fail.
func (p *Pages) signedInSince(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client) (bool, error) {
	switch v.Step {
	case stepName, stepCode, stepPassword:
	default:
		return false, nil
	}
	session, err := p.sessions.Read(r)
	if err != nil || session == nil {
		return false, err
	}
	if session.Session.AuthTime.UnixMicro() < v.ShownAt || !p.isUsable(c, session) || !p.suffices(v, session) {
		return false, nil
	}
	return true, p.finish(w, r, v, c, personOf(session))
}

// takeName sends a code to the user who is named, whether or not there is one.
func (p *Pages) takeName(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client) error {
	name := r.PostForm.Get("username")
	if name == "" || !otp.IsName(name) || otp.NormalizeUsername(name) == "" {
		return p.showName(w, r, v, c, alertName)
	}
	v.Name = name
	if p.prefersPassword(c, v.Request) {
		return p.showPassword(w, r, v, c, "")
	}
	return p.sendCode(w, r, v, c, "")
}

// prefersPassword reports whether the password is asked for first: the client takes no
// codes, or the request asks for a sign-in by password (acr_values).
func (p *Pages) prefersPassword(c *storage.Client, q *oauth.AuthorizationRequest) bool {
	asked := len(q.ACR) > 0 && q.ACR[0] == grants.ACRPassword
	return c.Credentials.Password && (!c.Credentials.OTP || asked)
}

// sendCode requests a one-time password that is good in this browser only, and shows the
// page for it. The page does not show whether there is such a user.
func (p *Pages) sendCode(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, notice string) error {
	profile, err := p.cfg.Profiles.PasswordProfile(r.Context(), c.ProfileID)
	if err != nil {
		return fmt.Errorf("read password profile: %w", err)
	}
	v.Digits = profile.Code.Alphabet == otp.AlphabetDigits
	now := p.cfg.Now()
	err = p.cfg.Codes.Request(r.Context(), *c, otp.Request{
		Username: v.Name, Binding: v.Browser, GrantType: grants.GrantAuthorizationCode,
		Address: p.cfg.Address(r.Context()), TraceID: p.cfg.TraceID(r.Context()),
	})
	var used *storage.LimitError
	switch {
	case errors.As(err, &used):
		surface.MarkFailure(w)
		wait := seconds(used.Until.Sub(now))
		return p.showCode(w, r, v, c, page{Alert: alertWait, Wait: max(wait, 1)})
	case errors.Is(err, otp.ErrClientWithoutCodes), errors.Is(err, otp.ErrProfileWithoutCodes):
		if c.Credentials.Password {
			return p.showPassword(w, r, v, c, "")
		}
		return refusal(v.Request, "unauthorized_client", "Users of the client cannot sign in.")
	case err != nil:
		return err
	}
	v.CodeUntil = now.Add(profile.CodeTTL).UnixMicro()
	return p.showCode(w, r, v, c, page{Notice: notice})
}

// takeCredential verifies the code or the password.
func (p *Pages) takeCredential(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, do string) error {
	switch {
	case do == doAgain:
		return p.sendCode(w, r, v, c, noticeNewCode)
	case do == doPassword && c.Credentials.Password:
		return p.showPassword(w, r, v, c, "")
	}
	signIn, err := p.verify(r, v, c)
	if alert := alertOf(v, err); alert != "" {
		surface.MarkFailure(w)
		if v.Step == stepPassword {
			return p.showPassword(w, r, v, c, alert)
		}
		return p.showCode(w, r, v, c, page{Alert: alert})
	}
	if err != nil {
		return err
	}
	former, err := p.sessions.Read(r)
	if err != nil {
		p.cfg.Endpoints.Authenticator().Abandon(r.Context(), signIn)
	} else {
		var who person
		if who, err = p.newPerson(c, v, signIn, former); err == nil {
			err = p.finish(w, r, v, c, who)
		}
	}
	if errors.Is(err, signIn.Refusal()) { // another attempt overtook this one
		surface.MarkFailure(w)
		return p.showCode(w, r, v, c, page{Alert: alertOf(v, signin.ErrCredentials)})
	}
	return err
}

// newPerson returns the person of a verified sign-in, whose session has not begun.
// Its AuthTime is not before the request, even if the clocks of two servers differ.
func (p *Pages) newPerson(c *storage.Client, v *visit, s *signin.SignIn, former *storage.SessionState) (person, error) {
	session, cookie, err := p.sessions.Begin(c, s, former)
	if began := time.UnixMicro(v.Started).UTC(); session.AuthTime.Before(began) {
		session.AuthTime = began
	}
	return person{SignedIn: oauth.SignedIn{Session: session, SignIn: s}, user: &s.Principal, cookie: cookie}, err
}

func (p *Pages) verify(r *http.Request, v *visit, c *storage.Client) (*signin.SignIn, error) {
	at := signin.Attempt{ProfileID: c.ProfileID, Username: v.Name, Source: p.cfg.Address(r.Context())}
	if v.Step == stepPassword {
		at.Password, at.Secret = true, r.PostForm.Get("password")
	} else {
		at.OTP, at.Purposes = true, []storage.Purpose{storage.PurposeSignIn}
		at.Secret = otp.Bind(r.PostForm.Get("code"), v.Browser)
	}
	return p.cfg.Endpoints.Authenticator().Verify(r.Context(), c, at)
}

// alertOf returns the name of the text about a refused credential. It returns "" for other
// errors.
func alertOf(v *visit, err error) string {
	var weak *signin.RuleError
	switch {
	case errors.Is(err, signin.ErrPasswordExpired), errors.As(err, &weak):
		return alertPasswordOld
	case errors.Is(err, signin.ErrCredentials) && v.Step == stepPassword:
		return alertPassword
	case errors.Is(err, signin.ErrCredentials):
		return alertCode
	}
	return ""
}

// takeChoice takes the steps after the sign-in. They belong to the session that the
// browser had when the page was shown.
func (p *Pages) takeChoice(w http.ResponseWriter, r *http.Request, v *visit, c *storage.Client, do string) error {
	session, err := p.sessions.Read(r)
	if err != nil {
		return err
	}
	if session == nil || session.Session.ID != v.Session || !p.isUsable(c, session) || !p.suffices(v, session) {
		v.Step, v.Name = stepName, ""
		return p.startAgain(w, r, v, c)
	}
	who := personOf(session)
	switch v.Step {
	case stepAccount:
		if err := p.takeAccount(r.Context(), &who, r.PostForm.Get("account")); err != nil {
			return err
		}
	case stepConsent:
		if do == doDeny {
			return refusal(v.Request, "access_denied", "The user denied the request.")
		}
		who.Account = v.Account
		if err := p.cfg.Endpoints.GiveConsent(r.Context(), v.Request, session.Session.UserUID); err != nil {
			return err
		}
	}
	return p.finish(w, r, v, c, who)
}

// takeAccount puts the chosen account into the person. Without a choice, or with an
// account of which the user is not a member, the page is shown again.
func (p *Pages) takeAccount(ctx context.Context, who *person, id string) error {
	if id == "" {
		return nil
	}
	member, err := p.cfg.Members.Member(ctx, who.user.User.UID, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	who.Account = member.Account.UID
	return err
}
