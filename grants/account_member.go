package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// maxListedAccounts is how many accounts SelectionRequired lists. A request can still
// name any other account of the user.
const maxListedAccounts = 100

// AccountMember is our own grant (RFC 6749 §4.5) of a token that is scoped to one
// account of which the user is a member. The user signs in with a one-time password or
// a permanent one, or presents a token from an earlier sign-in.
//
// Parameters:
//
//   - username, with one_time_password or password. If the login is not in the client's
//     own password profile: password_profile_id of another one in the same realm.
//   - or member_token: an access token of this grant, or an account management token.
//   - or selection_token.
//   - account_id: optional if the user has one membership.
//   - scope: optional.
//
// Without account_id and with several memberships the error is *SelectionRequired. The
// sign-in has taken effect then, so the code is used. The next request presents the
// selection token in the error, or the member_token again.
//
// An account of which the user is not a member is refused like wrong credentials,
// whether or not it exists, and the code stays good. A selection token is good for one
// choice. It gives a refresh token, as the sign-in would have. A member_token does not
// give one, and the new token expires no later than the member_token.
type AccountMember struct {
	Authenticator *signin.Authenticator
	Profiles      ProfileStore // nil: only the client's own profile
	Members       MemberStore
	SubjectTokens SubjectTokens // nil: no tokens are accepted, and with several accounts the code stays unused
	AccessTokens  AccessTokens
	RefreshTokens *RefreshTokens
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*AccountMember)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *AccountMember) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *AccountMember) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantAccountMember)
}

// HandleTokenEndpointRequest verifies the credential or token and finds the account.
func (h *AccountMember) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantAccountMember)
	if err != nil {
		return err
	}
	form, err := readMemberForm(r.GetRequestForm())
	if err != nil {
		return err
	}
	if err := checkCeiling(client, r.GetRequestedScopes()); err != nil {
		return err
	}
	if err := h.authenticate(ctx, client, session, form); err != nil {
		return asGrantError(err)
	}
	return asGrantError(h.chooseAccount(ctx, client, session, form.accountID))
}

// authenticate verifies the credential or token and puts the user into the session. A
// sign-in does not take effect yet.
func (h *AccountMember) authenticate(ctx context.Context, c *storage.Client, s *Session, f memberForm) error {
	if f.credential == paramMemberToken || f.credential == paramSelectionToken {
		return h.presentToken(ctx, c, s, f)
	}
	profileID, err := h.profileID(ctx, c, f.profileID)
	if err != nil {
		return err
	}
	signIn, err := h.Authenticator.Verify(ctx, c, f.attempt(profileID, s.Source))
	if err != nil {
		return err
	}
	s.begin(signIn, h.Now().UTC())
	return nil
}

// presentToken puts the user of a member_token or selection_token into the session. A
// selection token resumes its sign-in, which begins a refresh token family.
func (h *AccountMember) presentToken(ctx context.Context, c *storage.Client, s *Session, f memberForm) error {
	now := h.Now().UTC()
	switch {
	case h.SubjectTokens == nil:
		return ErrSubjectToken
	case f.credential == paramMemberToken:
		if err := presentSubject(ctx, c, s, f.secret, now, h.SubjectTokens.VerifySubject); err != nil {
			return err
		}
		return s.narrowAudience(s.subject.Resources)
	}
	if err := presentSubject(ctx, c, s, f.secret, now, h.SubjectTokens.VerifySelection); err != nil {
		return err
	}
	selection := *s.subject
	s.signIn = signin.Resume(c, selection.Principal, selection.AMR, selection.SourceID, ErrSubjectToken)
	s.subject, s.selectionIssuedAt = nil, selection.IssuedAt
	s.spend = func(ctx context.Context, do func(context.Context) error) error {
		return h.SubjectTokens.SpendSelection(ctx, selection, do)
	}
	return nil
}

// profileID returns the id of the password profile to look the login up in: the one
// with the id, or the client's own if id is empty. A profile that does not exist or
// belongs to another realm is refused like wrong credentials.
func (h *AccountMember) profileID(ctx context.Context, c *storage.Client, id string) (string, error) {
	if id == "" || id == c.ProfileID {
		return c.ProfileID, nil
	}
	if h.Profiles == nil {
		return "", signin.ErrCredentials
	}
	own, err := h.Profiles.PasswordProfile(ctx, c.ProfileID)
	if err != nil {
		return "", fmt.Errorf("read the client's password profile: %w", err)
	}
	asked, err := h.Profiles.PasswordProfile(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", fmt.Errorf("read password profile: %w", err)
	}
	if err != nil || asked.RealmID != own.RealmID {
		return "", signin.ErrCredentials
	}
	return id, nil
}

// chooseAccount puts the account into the session: the one with accountID, or if that is
// empty the one of the subject token, or the user's only one.
func (h *AccountMember) chooseAccount(ctx context.Context, c *storage.Client, s *Session, accountID string) error {
	userUID := s.Principal.User.UID
	if accountID != "" {
		member, err := h.Members.Member(ctx, userUID, accountID)
		if errors.Is(err, storage.ErrNotFound) || err == nil && !s.wasOffered(&member) {
			return h.refuseNonMember(ctx, c, s)
		}
		if err != nil {
			return h.abandon(ctx, s, fmt.Errorf("read membership: %w", err))
		}
		s.Member = &member
		if s.subject != nil && s.subject.confined(h.Now()) && !sameAccount(s.subject.Member, s.Member) {
			h.recordExchange(ctx, c, s, "sign_in_too_old")
			return ErrSubjectToken
		}
		return nil
	}
	if s.subject != nil && s.subject.Member != nil {
		s.Member = s.subject.Member
		return nil
	}
	page, err := h.Members.Members(ctx, userUID, 0, maxListedAccounts)
	switch {
	case err != nil:
		return h.abandon(ctx, s, fmt.Errorf("read memberships: %w", err))
	case len(page.Items) == 0:
		return h.refuseNonMember(ctx, c, s)
	case len(page.Items) > 1:
		return h.askForAccount(ctx, c, s, page)
	case !s.wasOffered(&page.Items[0]):
		return h.refuseNonMember(ctx, c, s)
	}
	s.Member = &page.Items[0]
	return nil
}

// wasOffered reports whether the membership existed when the selection token of the
// session was issued. A membership that was removed and added again counts as new.
// Without a selection token the result is true.
func (s *Session) wasOffered(m *storage.Member) bool {
	return s.selectionIssuedAt.IsZero() || !m.Membership.CreatedAt.After(s.selectionIssuedAt)
}

// refuseNonMember refuses a user who is not a member of the account, with the error for
// a wrong credential or token.
func (h *AccountMember) refuseNonMember(ctx context.Context, c *storage.Client, s *Session) error {
	if s.signIn == nil {
		h.recordExchange(ctx, c, s, notAMember)
		return ErrSubjectToken
	}
	h.Authenticator.RecordOutcome(ctx, s.signIn, notAMember)
	return s.signIn.Refusal()
}

// askForAccount returns *SelectionRequired. If there is a sign-in, it mints a selection
// token and lets the sign-in take effect. With a subject token, the client presents the
// same token again.
func (h *AccountMember) askForAccount(ctx context.Context, c *storage.Client, s *Session, page storage.Page[storage.Member]) error {
	required := &SelectionRequired{Accounts: page.Items, Total: page.Total}
	if s.signIn == nil || h.SubjectTokens == nil {
		return h.abandon(ctx, s, required)
	}
	var err error
	required.Token, required.ExpiresIn, err = h.SubjectTokens.MintSelection(ctx, SelectionToken{
		Client: c, Principal: &s.Principal, AMR: s.AMR, Purpose: s.Purpose, AuthTime: s.AuthTime, SourceID: s.signIn.SourceID(),
		JKT: s.JKT, IssuedAt: s.AuthTime,
	})
	if err != nil {
		return h.abandon(ctx, s, fmt.Errorf("mint selection token: %w", err))
	}
	if err := s.confirm(ctx); err != nil {
		return h.abandon(ctx, s, err)
	}
	if err := h.Authenticator.Settle(ctx, s.signIn, nil); err != nil {
		return err
	}
	return required
}

// PopulateTokenEndpointResponse mints the token, settles the sign-in if there is one,
// and answers.
func (h *AccountMember) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantAccountMember)
	if err != nil {
		return err
	}
	if session.signIn == nil {
		return h.answerSubject(ctx, r, w, client, session)
	}
	scope, err := accountRoles(client, session, r.GetRequestedScopes())
	if err != nil {
		h.Authenticator.RecordOutcome(ctx, session.signIn, insufficientRoles)
		return err
	}
	issue := issuer{h.Authenticator, h.AccessTokens, h.RefreshTokens}
	return issue.signIn(ctx, r, w, session, tokenFor(client, session, scope, h.Now().UTC()))
}

// answerSubject mints a token from the subject token and answers.
func (h *AccountMember) answerSubject(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder, c *storage.Client, s *Session) error {
	scope, err := subjectRoles(c, s, r.GetRequestedScopes())
	if err != nil {
		h.recordExchange(ctx, c, s, insufficientRoles)
		return err
	}
	if err := answer(ctx, h.AccessTokens, r, w, s, tokenFor(c, s, scope, h.Now().UTC())); err != nil {
		return err
	}
	h.recordExchange(ctx, c, s, "success")
	return nil
}

func (h *AccountMember) recordExchange(ctx context.Context, c *storage.Client, s *Session, outcome string) {
	h.Authenticator.RecordEvent(ctx, &s.Principal, c.ID, actionExchange, outcome)
}

// abandon records that the sign-in of the session, if there is one, is not settled, and
// returns err.
func (h *AccountMember) abandon(ctx context.Context, s *Session, err error) error {
	if err != nil && s.signIn != nil {
		h.Authenticator.Abandon(ctx, s.signIn)
	}
	return err
}
