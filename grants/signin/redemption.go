package signin

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"latchkey/storage"
)

// CodeRedeemer is implemented by stores that can redeem a one-time password before the
// login is read.
type CodeRedeemer interface {
	// RedeemCode lets a one-time password take effect if the case is an ordinary one,
	// see storage.Redemption. Otherwise it changes nothing and returns false. After
	// true with an error, the caller calls RestoreCode.
	RedeemCode(ctx context.Context, r storage.Redemption) (storage.Redeemed, bool, error)
	// RestoreCode undoes RedeemCode. A code that was replaced meanwhile stays replaced.
	RestoreCode(ctx context.Context, r storage.Redemption, done storage.Redeemed) error
}

// NameDigester computes the digest of a one-time password by the name of its login;
// *otp.Codes implements it.
type NameDigester interface {
	DigestByName(key storage.LoginKey, code string) storage.Digest
	// CodeLength returns the number of characters of a code as it was generated.
	CodeLength(presented string) int
}

// Direct says how the one-time password of an attempt may take effect at once; see
// Attempt.
type Direct struct {
	RequestedRoles []string // by the request, which Scope depends on
	// Scope returns the roles of the token for a user with those roles, or an error
	// if there is none.
	Scope  func(roles []string) ([]string, error)
	Family *storage.TokenFamily // see storage.Redemption
	Now    time.Time
}

// redeemed is a redemption that took effect.
type redeemed struct {
	storage.Redemption
	storage.Redeemed
}

// CanRedeem reports whether one-time passwords can be redeemed directly; see
// Attempt.Direct.
func (a *Authenticator) CanRedeem() bool { return a.redeemer != nil && a.byName != nil }

// redeem lets the one-time password of the attempt take effect if the attempt and the
// login are ordinary and no other attempt of the login is in flight on this replica.
// Otherwise it returns nil, and the attempt takes the two steps Verify and Settle.
func (a *Authenticator) redeem(ctx context.Context, c *storage.Client, at *Attempt, key storage.LoginKey, t *ticket) (*SignIn, error) {
	if at.Direct == nil || !at.OTP || len(at.Purposes) != 1 || !a.CanRedeem() || !t.isAlone() {
		return nil, nil
	}
	r, err := a.redemption(c, at, key)
	if r == nil || err != nil {
		return nil, err
	}
	result, ok, err := a.redeemer.RedeemCode(ctx, *r)
	if !ok {
		return nil, wrap("redeem code", err)
	}
	done := &redeemed{*r, result}
	s := &SignIn{
		Principal: result.Principal, AMR: AMROTP, action: actionSignIn, refusal: ErrCredentials, clientID: c.ID, grant: at.Grant,
		address: addressText(at.Source), source: storage.Source{ID: result.SourceID}, redeemed: done,
	}
	if r.Purpose != storage.PurposeSignIn {
		s.Purpose = r.Purpose
	}
	if err == nil {
		var scope []string
		if scope, err = at.Direct.Scope(result.Principal.Roles); err == nil && slices.Equal(scope, result.Scope) {
			return s, nil
		}
		// The roles have changed since they were learnt. The two steps decide, and
		// learn anew.
		err = nil
	}
	return nil, errors.Join(err, a.TakeBack(ctx, s))
}

// maxAdmitted is the highest number of accounts of a client whose codes are redeemed
// directly. They are an argument of the statement.
const maxAdmitted = 100

// redemption returns the redemption for the attempt, or nil if it cannot take effect.
func (a *Authenticator) redemption(c *storage.Client, at *Attempt, key storage.LoginKey) (*storage.Redemption, error) {
	now, from := at.Direct.Now, c.UnchangedSince()
	if !c.Active || len(c.AccountUIDs) > maxAdmitted || now.Before(from) {
		return nil, nil
	}
	grants := a.learnt.of(c, at.Direct.RequestedRoles, a.byName.CodeLength(at.Secret))
	if len(grants) == 0 {
		return nil, nil
	}
	r := &storage.Redemption{
		Key: key, NameDigest: a.byName.DigestByName(key, at.Secret), ClientID: c.ID, Purpose: at.Purposes[0],
		Admission: c.Admission(), IssuedFrom: from, Grants: grants,
		SeenBefore: now.Add(-sourceUpdateInterval), Family: at.Direct.Family, Now: now,
	}
	if key.Source == "" {
		return r, nil
	}
	var err error
	r.NewSourceID, err = storage.NewID(a.rand, sourcePrefix)
	return r, err
}

// learn remembers the roles of a login whose code was right.
func (a *Authenticator) learn(c *storage.Client, at *Attempt, s *SignIn) {
	if at.Direct == nil || s.AMR != AMROTP || !a.CanRedeem() {
		return
	}
	if scope, err := at.Direct.Scope(s.Principal.Roles); err == nil {
		a.learnt.add(c, at.Direct.RequestedRoles, a.byName.CodeLength(at.Secret), storage.RoleGrant{RoleSource: s.Principal.RoleSource, Scope: scope})
	}
}

// TakeBack undoes a sign-in that took effect in Verify, so that its code can be used again.
// The caller also calls Abandon. It does nothing for other sign-ins.
func (a *Authenticator) TakeBack(ctx context.Context, s *SignIn) error {
	if s.redeemed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return wrap("restore code", a.redeemer.RestoreCode(ctx, s.redeemed.Redemption, s.redeemed.Redeemed))
}

const (
	maxLearnt = 1000 // kinds of requests whose grants are remembered
	maxGrants = 8    // grants of one kind
)

// learntGrants caches scopes of the users of a client, by the source of their roles. A
// statement that begins a token family needs the scope, but reads the roles only while it
// runs. Most users have the same roles as others, so a cached scope usually fits. The cache
// is not trusted: the statement compares the RoleSource of the user, and the caller
// compares the scope.
type learntGrants struct {
	mu     sync.Mutex
	byKind map[requestKind]*grantsOfKind
}

// requestKind holds the values that the scope depends on, besides the user.
type requestKind struct {
	clientID, requested string
	clientVersion       int64
}

type grantsOfKind struct {
	codeLength int                 // of the codes; the statement is not tried for texts of another length
	grants     []storage.RoleGrant // the latest first; never changed in place
}

func kindOf(c *storage.Client, requested []string) requestKind {
	return requestKind{c.ID, strconv.Itoa(len(requested)) + " " + strings.Join(requested, " "), c.Version}
}

// of returns the grants for a request with a code of that length.
func (l *learntGrants) of(c *storage.Client, requested []string, codeLength int) []storage.RoleGrant {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.byKind[kindOf(c, requested)]
	if known == nil || known.codeLength != codeLength {
		return nil
	}
	return known.grants
}

// add remembers a grant.
func (l *learntGrants) add(c *storage.Client, requested []string, codeLength int, g storage.RoleGrant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := kindOf(c, requested)
	known := l.byKind[kind]
	if known == nil {
		if l.byKind == nil || len(l.byKind) >= maxLearnt {
			l.byKind = map[requestKind]*grantsOfKind{} // all are learnt again soon
		}
		known = new(grantsOfKind)
		l.byKind[kind] = known
	}
	known.codeLength = codeLength
	grants := []storage.RoleGrant{g}
	for _, other := range known.grants {
		if other.RoleSource != g.RoleSource && len(grants) < maxGrants {
			grants = append(grants, other)
		}
	}
	known.grants = grants
}

// isAlone reports whether the attempt holds the only slot of its login and no other
// attempt refers to its queues.
func (t *ticket) isAlone() bool {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	return t.slot == &t.login && t.login.queue.users == 1 && (t.source.queue == nil || t.source.queue.users == 1)
}
