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

// maxListed is how many accounts a user is shown to choose from. Whoever is a
// member of more can still name any.
const maxListed = 100

// AccountMember is our grant of a token that is scoped to one account of which
// the user is a member (RFC 6749 §4.5). The user signs in with a one-time
// password or a permanent one, or presents a token that an earlier sign-in gave.
//
// Parameters: username with one_time_password or password and, if the login is
// not in the client's own password profile, password_profile_id of another one
// in the same realm; or member_token, a held account-member access token or
// account management token; or selection_token. Then account_id, which may be
// left out with one membership, and scope.
//
// Without account_id and with several memberships the answer is
// *SelectionRequired. The sign-in has taken effect then, so the code is used;
// choosing takes the selection token in it, or the member_token again.
//
// An account that the user is no member of is refused like wrong credentials,
// whether or not it exists, and the code stays good. A selection token is good
// for one choice, and gets a refresh token like the sign-in it continues; a
// member_token does not, and what is made from it ends with it.
type AccountMember struct {
	Authenticator *signin.Authenticator
	Profiles      ProfileStore // nil: there is no other profile than the client's
	Members       MemberStore
	SubjectTokens SubjectTokens // nil: no token is taken, and a code that meets several accounts stays unused
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

// HandleTokenEndpointRequest verifies what was presented and finds the account.
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

// authenticate puts the user into the session. An attempt has not taken effect
// afterwards.
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

// present puts the user of a token into the session. A selection token continues
// a sign-in, which is to begin a refresh family.
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
	held := *s.subject
	s.signIn, s.subject, s.selectionIssuedAt = signin.Resume(c, held.Principal, held.AMR, held.SourceID, ErrSubjectToken), nil, held.IssuedAt
	s.spend = func(ctx context.Context, do func(context.Context) error) error {
		return h.SubjectTokens.SpendSelection(ctx, held, do)
	}
	return nil
}

// profile returns the id of the profile of the login. One that does not exist,
// or belongs to another realm than the client's, has no logins for it.
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

// choose puts the account into the session: the one that was named, the one of
// the held token, or the only one.
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
	page, err := h.Members.Members(ctx, userUID, 0, maxListed)
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

// wasOffered reports whether the membership existed when the selection token of
// the session was issued. A membership that ended and was given again is another
// one. Without a selection token the answer is yes.
func (s *Session) wasOffered(m *storage.Member) bool {
	return s.selectionIssuedAt.IsZero() || !m.Membership.CreatedAt.After(s.selectionIssuedAt)
}

// noMember refuses a user who is no member there, in the words for whatever is
// wrong with what was presented.
func (h *AccountMember) refuseNonMember(ctx context.Context, c *storage.Client, s *Session) error {
	if s.signIn == nil {
		h.recordExchange(ctx, c, s, notAMember)
		return ErrSubjectToken
	}
	h.Authenticator.RecordOutcome(ctx, s.signIn, notAMember)
	return s.signIn.Refusal()
}

// several lets the sign-in take effect without a token and returns what there
// is to choose from. A held token is good for choosing itself.
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

// PopulateTokenEndpointResponse signs the token, settles the sign-in if there is
// one and answers.
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

// answerSubject makes a token from a held one.
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

// abandon records that the session's sign-in, if it has one, is not settled
// because of err, and returns err.
func (h *AccountMember) abandon(ctx context.Context, s *Session, err error) error {
	if err != nil && s.signIn != nil {
		h.Authenticator.Abandon(ctx, s.signIn)
	}
	return err
}
