package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// Store is the part of a store that an Authenticator needs.
type Store interface {
	// Principal reads a login by its key, and whether the source of the key is
	// known for it. An unknown name is not an error: it has a lockout state like
	// any other.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state, and the request for a message
	// about a lock if notice is not nil. It returns storage.ErrStale and writes
	// nothing if the state in p is outdated.
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
	// SettleLogin lets a success take effect, all or nothing. It returns storage.ErrRefused
	// if the login was locked or disabled, or the code used, since it was read.
	SettleLogin(ctx context.Context, s storage.Settlement) error
}

// CodeMatcher checks one-time passwords; *otp.Codes implements it.
type CodeMatcher interface {
	// Match reports whether presented is the live code of the login, for that
	// client and one of the purposes. It must take the same time if the login has
	// no code.
	Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool
}

// PasswordVerifier makes and checks hashes of permanent passwords; *Hasher implements it.
type PasswordVerifier interface {
	Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error)
	Hash(ctx context.Context, password string) (string, error)
	// DecoyVerify takes as long as Verify and fails as Verify does, but computes
	// nothing.
	DecoyVerify(ctx context.Context, password string) error
}

// AuthenticatorConfig configures an Authenticator. Store and Codes are required.
type AuthenticatorConfig struct {
	Store     Store
	Codes     CodeMatcher
	Passwords PasswordVerifier // default: a Hasher for the formats of CheckEncoded; for others, bring your own
	Recorder  storage.Recorder // default: discards events
	Now       func() time.Time // default: time.Now
	Rand      io.Reader        // default: crypto/rand.Reader
}

// Authenticator decides sign-ins. Verify checks a credential without changing
// anything, and counts it if it is wrong. Settle lets a right one take effect.
type Authenticator struct {
	attempts
	settle    func(ctx context.Context, s storage.Settlement) error
	redeemer  CodeRedeemer // nil: codes are not redeemed directly, and likewise without byName
	byName    NameDigester
	learnt    learntGrants
	codes     CodeMatcher
	passwords PasswordVerifier
}

// NewAuthenticator returns an Authenticator, or an error if a required field is
// missing.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("signin: AuthenticatorConfig.Store is required")
	case cfg.Codes == nil:
		return nil, errors.New("signin: AuthenticatorConfig.Codes is required")
	case cfg.Passwords == nil:
		hasher, err := NewHasher(HasherConfig{})
		if err != nil {
			return nil, err
		}
		cfg.Passwords = hasher
	}
	a := &Authenticator{
		attempts: newAttempts(cfg.Store, cfg.Recorder, cfg.Now, cfg.Rand),
		settle:   cfg.Store.SettleLogin, codes: cfg.Codes, passwords: cfg.Passwords,
	}
	a.redeemer, _ = cfg.Store.(CodeRedeemer)
	a.byName, _ = cfg.Codes.(NameDigester)
	return a, nil
}

// Attempt is one try to sign in.
type Attempt struct {
	ProfileID string // the password profile of the login
	Username  string // as typed
	Secret    string
	Source    netip.Addr        // the user's address; invalid: unknown
	OTP       bool              // the secret may be a one-time password
	Password  bool              // the secret may be the permanent password
	Grant     string            // grant type, for audit events
	Purposes  []storage.Purpose // accepted purposes of a one-time password; none: no code is accepted

	// Direct lets a right one-time password take effect in Verify if the store can do
	// that, no other attempt of the login is in flight, and the case is an ordinary
	// one; see SignIn.TookEffect. The caller must still call Settle, which only records the success, or TakeBack and Abandon. nil: Verify
	// changes nothing.
	Direct *Direct
}

// Verify checks the secret, first as a one-time password and then as the permanent
// password, as far as both the attempt and the client allow each. A wrong attempt is
// counted before Verify returns ErrCredentials. A right one changes nothing until
// Settle. Every refusal costs the same: the same reads, one password hash if
// passwords are allowed (or the time of one if a lock makes it pointless), and one
// write.
//
// A source from which the login has signed in before has a lock of its own. Other
// sources share two locks: guesses at passwords do not lock out a code.
//
// A right permanent password may be too old, or too weak for the rules of today. Then
// nothing is counted, nothing can be settled, and the error is ErrPasswordExpired or
// a *RuleError. Only a caller with the right password gets those errors.
//
// A refusal wraps ErrHashRefused as well if the user's hash is in a format that is not
// supported. The client must not learn that, but the server should log it.
//
// Other errors, such as ErrBusy and storage.ErrUnavailable, mean that nothing was
// decided. They count as a failure only for a login with a live code, see
// recordUndecided.
func (a *Authenticator) Verify(ctx context.Context, c *storage.Client, at Attempt) (*SignIn, error) {
	began := time.Now()
	s, err := a.verify(ctx, c, at)
	if errors.Is(err, ErrCredentials) {
		delayRefusal(ctx, began)
	}
	return s, err
}

// verify is Verify without the delay of refusals.
func (a *Authenticator) verify(ctx context.Context, c *storage.Client, at Attempt) (*SignIn, error) {
	at.OTP = at.OTP && c.Credentials.OTP
	at.Password = at.Password && c.Credentials.Password
	key := LoginKey(at.ProfileID, at.Username, at.Source)
	ticket := a.queues.newTicket(key)
	defer ticket.leave()
	if s, err := a.redeem(ctx, c, &at, key, ticket); s != nil || err != nil {
		return s, err
	}
	p, err := a.await(ctx, ticket, key)
	if err != nil {
		return nil, err
	}
	s, err := a.check(ctx, c, p, at, ticket.readAt)
	if errors.Is(err, ErrHashRefused) { // such a hash matches no password
		refusal := a.refuse(ctx, c, p, at, ticket.readAt)
		return nil, fmt.Errorf("%w: password hash of user %s: %w", refusal, p.User.UID, err)
	}
	if err != nil {
		return nil, a.recordUndecided(ctx, c, p, at, ticket.readAt, err)
	}
	if s == nil {
		return nil, a.refuse(ctx, c, p, at, ticket.readAt)
	}
	if err := a.checkOutdated(ctx, s, at.Secret); err != nil {
		return nil, err
	}
	a.learn(c, &at, s)
	return s, nil
}

// recordUndecided settles an attempt whose password could not be checked because of
// cause, and returns cause. The secret was checked as a one-time password by then: a
// right code would have been accepted. So it counts as a guess at a live code.
// Otherwise an attacker could guess codes without limit by keeping the hasher busy,
// or by closing connections early. Without a live code the attacker learns nothing,
// so nothing is counted, but the attempt costs the same write.
func (a *Authenticator) recordUndecided(
	ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, readAt time.Time, cause error,
) error {
	if !at.OTP {
		return cause
	}
	next := countNothing
	if c.CodeLive(&p, a.now()) {
		next = a.countGuess(&p, readAt, func(p *storage.Principal) lockout.Guess {
			return lockout.Guess{Code: true, CodeLive: c.CodeLive(p, a.now())}
		})
	}
	e := a.failureEvent(c, &p, at, "undecided")
	if err := a.recordFailure(ctx, p, e, next); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// Actions and outcomes of audit events about sign-ins.
const (
	actionSignIn     = "sign_in"
	notSettled       = "not_settled"
	success          = "success"
	insecurePassword = "insecure_password"
)

// likelyFactor guesses whether a wrong secret was meant as a code: while a code is
// live, that is likely. It is used for audit events only.
func (a *Authenticator) likelyFactor(c *storage.Client, p *storage.Principal) string {
	if c.CodeLive(p, a.now()) {
		return AMROTP
	}
	return ""
}

// Authentication methods (RFC 8176 §2).
const (
	AMROTP      = "otp"
	amrPassword = "pwd"
)

// check checks the secret, and whether the client, the user and the locks admitted a
// sign-in at readAt. It returns nil for a refusal. A right code that may not be used
// goes on to the password hash like a wrong one, so that the time does not show that
// it was right. If the login is locked for passwords, no password can be accepted,
// and DecoyVerify takes the place of the hash.
func (a *Authenticator) check(
	ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, readAt time.Time,
) (*SignIn, error) {
	code := &p.Login.Code
	isCode := a.codes.Match(p, c.ID, at.Purposes, at.Secret, a.now()) && !c.CodeEnded(&p, code.ClientID, code.IssuedAt)
	if isCode && at.OTP && c.CodeRefusal(&p, readAt) == "" {
		s, err := a.newSignIn(c, p, at, AMROTP)
		s.codeID = p.Login.Code.ID
		if p.Login.Code.Purpose != storage.PurposeSignIn {
			s.Purpose = p.Login.Code.Purpose
		}
		return s, err
	}
	if !at.Password {
		return nil, nil
	}
	if p.Locked(readAt) {
		return nil, wrap("verify password", a.passwords.DecoyVerify(ctx, at.Secret))
	}
	ok, upgrade, err := a.passwords.Verify(ctx, p.Login.PasswordHash, at.Secret)
	if err != nil {
		return nil, fmt.Errorf("verify password: %w", err)
	}
	if !ok || c.Refusal(&p, readAt) != "" {
		return nil, nil
	}
	s, err := a.newSignIn(c, p, at, amrPassword)
	if upgrade && err == nil {
		// The upgrade is optional: if the hasher is busy, the next sign-in does it.
		if s.newHash, err = a.passwords.Hash(ctx, at.Secret); errors.Is(err, ErrBusy) {
			err = nil
		}
		err = wrap("upgrade password hash", err)
	}
	return s, err
}

// newSignIn returns a verified attempt. A new source gets its id here, before it is
// stored, because tokens name it.
func (a *Authenticator) newSignIn(c *storage.Client, p storage.Principal, at Attempt, amr string) (*SignIn, error) {
	s := &SignIn{
		Principal: p, AMR: amr, action: actionSignIn, refusal: ErrCredentials, clientID: c.ID, grant: at.Grant,
		address: addressText(at.Source), source: p.Source,
	}
	if p.Source.ID != "" || p.Key.Source == "" {
		return s, nil
	}
	id, err := storage.NewID(a.rand, sourcePrefix)
	s.source = storage.Source{ID: id, Address: p.Key.Source}
	return s, err
}

// refuse counts a failure and returns ErrCredentials.
func (a *Authenticator) refuse(ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, readAt time.Time) error {
	e := a.failureEvent(c, &p, at, "wrong_credentials")
	reason := c.Refusal(&p, readAt)
	if at.OTP && !at.Password {
		reason = c.CodeRefusal(&p, readAt)
	}
	next := a.countGuess(&p, readAt, func(p *storage.Principal) lockout.Guess {
		return lockout.Guess{Password: at.Password, Code: at.OTP, CodeLive: c.CodeLive(p, a.now())}
	})
	if a.isRepeated(c, p, at) {
		next, e.outcome = countNothing, "repeated"
	}
	e.outcome = cmp.Or(reason, e.outcome)
	if err := a.recordFailure(ctx, p, e, next); err != nil {
		return err
	}
	return ErrCredentials
}

// repeatWindow is how long after a redemption the same code is not counted as a failure.
const repeatWindow = time.Minute

// isRepeated reports whether the attempt presents the code with which the login signed in
// less than repeatWindow ago. A client does that if its connection broke before it got the
// answer. The attempt is refused, but it is not counted as a guess, because its sender had
// the right code. The difference reveals nothing useful, because the code is already used.
// One digest is computed for every attempt.
func (a *Authenticator) isRepeated(c *storage.Client, p storage.Principal, at Attempt) bool {
	usedAt := p.Login.Code.UsedAt
	p.Login.Code.UsedAt = time.Time{} // so that the digests are compared
	same := a.codes.Match(p, c.ID, at.Purposes, at.Secret, a.now())
	return same && at.OTP && !usedAt.IsZero() && a.now().Before(usedAt.Add(repeatWindow))
}

// failureEvent returns the audit event of an attempt that did not succeed.
func (a *Authenticator) failureEvent(c *storage.Client, p *storage.Principal, at Attempt, outcome string) event {
	return event{
		action: actionSignIn, outcome: outcome, clientID: c.ID,
		factor: a.likelyFactor(c, p), grant: at.Grant, source: addressText(at.Source),
	}
}

// checkOutdated returns ErrPasswordExpired or a *RuleError if the sign-in used a
// right permanent password that the rules of today do not accept.
func (a *Authenticator) checkOutdated(ctx context.Context, s *SignIn, password string) error {
	if s.AMR != amrPassword {
		return nil
	}
	rules := s.Principal.Rules
	if rules.MaxAge > 0 && !a.now().Before(s.Principal.Login.PasswordSetAt.Add(rules.MaxAge)) {
		a.RecordOutcome(ctx, s, "password_expired")
		return ErrPasswordExpired
	}
	if err := CheckPassword(rules, password); err != nil {
		a.RecordOutcome(ctx, s, insecurePassword)
		return err
	}
	return nil
}

// Settle lets a verified sign-in take effect: the code is used, the failures are
// cleared, the source becomes known, and the refresh token family begins unless
// family is nil. If the login was locked or disabled, or the code used, since Verify
// read it, nothing takes effect and Settle returns s.Refusal().
//
// For a sign-in that took effect in Verify, Settle only records the success.
func (a *Authenticator) Settle(ctx context.Context, s *SignIn, family *storage.TokenFamily) error {
	if s.redeemed != nil {
		a.RecordOutcome(ctx, s, success)
		return nil
	}
	return a.settleNow(ctx, s, a.settlement(s, family))
}

// SettleSession is Settle for a sign-in at a hosted page: the session of the browser
// begins and, unless code is nil, the authorization code is issued.
func (a *Authenticator) SettleSession(ctx context.Context, s *SignIn, session *storage.Session, code *storage.Authorization) error {
	x := a.settlement(s, nil)
	x.BeginSession, x.Authorize = session, code
	return a.settleNow(ctx, s, x)
}

func (a *Authenticator) settleNow(ctx context.Context, s *SignIn, x storage.Settlement) error {
	outcome, err := success, a.settle(ctx, x)
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", s.refusal
	} else if err != nil {
		outcome, err = notSettled, fmt.Errorf("settle sign-in: %w", err)
	}
	a.RecordOutcome(ctx, s, outcome)
	return err
}

// settlement returns the statement that lets s take effect.
func (a *Authenticator) settlement(s *SignIn, family *storage.TokenFamily) storage.Settlement {
	p, now := &s.Principal, a.now()
	x := storage.Settlement{
		LoginID: p.Login.ID, SourceID: p.Source.ID, CodeID: s.codeID,
		NewHash: s.newHash, OldHash: p.Login.PasswordHash,
		PasswordSetAt: p.Login.PasswordSetAt, Resumed: s.resumed, BeginFamily: family, Now: now,
	}
	if mailed := p.Login.Code.MailedTo; s.codeID != "" && mailed == p.User.EmailKey && !p.User.EmailVerified() {
		x.VerifyEmail = mailed
	}
	if s.source.Address != "" && !s.resumed && shouldRememberSource(p, now) {
		x.Remember = &storage.Source{ID: s.source.ID, Address: s.source.Address, SeenAt: now}
	}
	return x
}

// Abandon records that a verified sign-in is not settled because no token could be
// issued. The caller of Verify must call Settle, Abandon or RecordOutcome. Otherwise
// credentials could be tried without an audit event.
func (a *Authenticator) Abandon(ctx context.Context, s *SignIn) { a.RecordOutcome(ctx, s, notSettled) }

// RecordOutcome records how a verified sign-in ended.
func (a *Authenticator) RecordOutcome(ctx context.Context, s *SignIn, outcome string) {
	a.record(ctx, &s.Principal, event{action: s.action, outcome: outcome, clientID: s.clientID, factor: s.AMR, grant: s.grant, source: s.address})
}

// RecordEvent records an audit event of a user that is not about an attempt.
func (a *Authenticator) RecordEvent(ctx context.Context, p *storage.Principal, clientID, action, outcome string) {
	a.record(ctx, p, event{action: action, outcome: outcome, clientID: clientID})
}
