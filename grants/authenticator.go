package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// settleTimeout is the least time that the writing of an outcome has, and what
// it has when the request has none: a caller who hangs up does not escape the
// count.
const settleTimeout = 5 * time.Second

// SignInStore is what an Authenticator asks of a store.
type SignInStore interface {
	// Principal reads a login by what was typed. A name that nobody has is not
	// an error: it has a lockout state like any other.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state unless the one in p is
	// outdated (storage.ErrStale).
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout) error
	// SettleLogin lets a success take effect, all or nothing, or answers
	// storage.ErrRefused.
	SettleLogin(ctx context.Context, s storage.Settlement) error
}

// CodeMatcher tells whether what was presented is the login's live code for
// that client and purpose. It must take the same time with and without a code.
type CodeMatcher interface {
	Match(p storage.Principal, clientID string, purpose storage.Purpose, presented string, now time.Time) bool
}

// PasswordVerifier checks permanent passwords; see Hasher.
type PasswordVerifier interface {
	Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error)
	Hash(ctx context.Context, password string) (string, error)
}

// AuthenticatorConfig configures an Authenticator. Store, Codes and Passwords
// are required.
type AuthenticatorConfig struct {
	Store     SignInStore
	Codes     CodeMatcher
	Passwords PasswordVerifier
	Recorder  storage.Recorder // default: discards
	Now       func() time.Time // default: time.Now
}

// Authenticator decides sign-ins: it verifies a credential without touching
// state and settles the attempt by its outcome.
type Authenticator struct {
	store     SignInStore
	codes     CodeMatcher
	passwords PasswordVerifier
	recorder  storage.Recorder
	now       func() time.Time
	turns     *turns
}

// NewAuthenticator returns an Authenticator, or an error that names what is
// missing.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if cfg.Store == nil || cfg.Codes == nil || cfg.Passwords == nil {
		return nil, errors.New("grants: an Authenticator needs Store, Codes and Passwords")
	}
	if cfg.Recorder == nil {
		cfg.Recorder = storage.DiscardEvents{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authenticator{
		store: cfg.Store, codes: cfg.Codes, passwords: cfg.Passwords,
		recorder: cfg.Recorder, now: cfg.Now, turns: newTurns(),
	}, nil
}

// SignIn is a verified attempt that has not taken effect yet; see Settle.
type SignIn struct {
	Principal storage.Principal
	AMR       string // RFC 8176: "otp" or "pwd"
	clientID  string
	newHash   string
}

// Verify checks the secret, a one-time password first and then the permanent
// password, as far as the client allows each. A wrong attempt is counted
// before Verify returns ErrCredentials; a right one changes nothing until
// Settle. Every refusal costs the same: the same reads, one hash if the client
// allows passwords, one write.
//
// Other errors, among them ErrBusy and storage.ErrUnavailable, mean that nothing
// was decided. They count as a failure only for a login that has a live code:
// see undecided.
func (a *Authenticator) Verify(ctx context.Context, c *storage.Client, username, secret string) (*SignIn, error) {
	key := storage.LoginKey{ProfileID: c.ProfileID, UsernameKey: otp.NormalizeUsername(username)}
	turn, p, err := a.takeTurn(ctx, key)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	s, err := a.check(ctx, c, p, secret)
	if err != nil {
		return nil, a.undecided(ctx, c, p, err)
	}
	if s != nil {
		return s, nil
	}
	return nil, a.refuse(ctx, c, p)
}

// undecided settles an attempt whose password could not be checked for that
// cause, and returns the cause. As a guess at a one-time password it has been
// answered, for the right one would have been taken by then. So with a live code
// it counts, or whoever keeps the hasher busy, or hangs up while it is, could
// guess without end. Without one nothing was learned and nothing counts, but it
// costs the same write.
func (a *Authenticator) undecided(ctx context.Context, c *storage.Client, p storage.Principal, cause error) error {
	if !c.Credentials.OTP {
		return cause
	}
	next := func(p storage.Principal) storage.Lockout { return p.Lockout }
	if p.Login.Code.Live(a.now()) {
		next = a.failure
	}
	if err := a.write(ctx, c, p, "undecided", next); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// takeTurn waits for a turn and reads the login once it has one.
func (a *Authenticator) takeTurn(ctx context.Context, key storage.LoginKey) (*turn, storage.Principal, error) {
	for {
		turn, err := a.turns.enter(ctx, key)
		if err != nil {
			return nil, storage.Principal{}, err
		}
		p, err := a.store.Principal(ctx, key)
		if err != nil {
			turn.leave()
			return nil, storage.Principal{}, fmt.Errorf("read login: %w", err)
		}
		if turn.within(a.budget(&p)) || p.Lockout.Locked(a.now()) {
			return turn, p, nil
		}
		turn.leave()
	}
}

// budget is how many attempts of a login may run at a time. While it is locked
// none can win, and as many may run as after an unlock.
func (a *Authenticator) budget(p *storage.Principal) int {
	if now := a.now(); !p.Lockout.Locked(now) {
		return lockout.Remaining(p.Policy, p.Lockout, now)
	}
	return p.Policy.Threshold
}

// check verifies the secret and asks the gate; nil means refused. A right code
// at a closed gate goes on to the password hash like any wrong one, so that
// time does not tell that it was right.
func (a *Authenticator) check(ctx context.Context, c *storage.Client, p storage.Principal, secret string) (*SignIn, error) {
	open := c.Refusal(&p, a.now()) == ""
	isCode := a.codes.Match(p, c.ID, storage.PurposeSignIn, secret, a.now())
	if isCode && open && c.Credentials.OTP {
		return &SignIn{Principal: p, AMR: "otp", clientID: c.ID}, nil
	}
	if !c.Credentials.Password {
		return nil, nil
	}
	ok, upgrade, err := a.passwords.Verify(ctx, p.Login.PasswordHash, secret)
	if err != nil && !errors.Is(err, ErrHashRefused) { // a hash that is refused matches nothing
		return nil, fmt.Errorf("verify password: %w", err)
	}
	if !ok || !open {
		return nil, nil
	}
	s := &SignIn{Principal: p, AMR: "pwd", clientID: c.ID}
	if upgrade {
		// A better hash that finds no turn now can wait for the next sign-in.
		if s.newHash, err = a.passwords.Hash(ctx, secret); err != nil && !errors.Is(err, ErrBusy) {
			return nil, fmt.Errorf("upgrade password hash: %w", err)
		}
	}
	return s, nil
}

// refuse counts a failure and returns ErrCredentials.
func (a *Authenticator) refuse(ctx context.Context, c *storage.Client, p storage.Principal) error {
	outcome := "wrong_credentials"
	if reason := c.Refusal(&p, a.now()); reason != "" {
		outcome = reason
	}
	if err := a.write(ctx, c, p, outcome, a.failure); err != nil {
		return err
	}
	return ErrCredentials
}

// failure is the lockout state after one more failure now.
func (a *Authenticator) failure(p storage.Principal) storage.Lockout {
	return lockout.Fail(p.Policy, p.Lockout, a.now())
}

// write settles an attempt that did not succeed: it stores the state that next
// makes of the latest one and records the outcome.
func (a *Authenticator) write(ctx context.Context, c *storage.Client, p storage.Principal, outcome string, next func(storage.Principal) storage.Lockout) error {
	limit := settleTimeout
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	factor := ""
	if p.Login.Code.Live(a.now()) {
		factor = "otp" // with a code on its way, it is the likelier thing to have been mistyped or guessed
	}
	for {
		state := next(p)
		err := a.store.RecordFailure(ctx, p, state)
		// While the login is locked nothing is counted, so there is nothing to
		// write again when somebody else's attempt has just been noted.
		if err == nil || errors.Is(err, storage.ErrStale) && p.Lockout.Locked(a.now()) {
			a.record(ctx, "sign_in", outcome, c.ID, &p, factor)
			if state.LockedUntil.After(p.Lockout.LockedUntil) {
				a.record(ctx, "login.locked", "success", c.ID, &p, "")
			}
			return nil
		}
		if !errors.Is(err, storage.ErrStale) {
			return fmt.Errorf("count failure: %w", err)
		}
		if p, err = a.store.Principal(ctx, p.Key); err != nil {
			return fmt.Errorf("read login again: %w", err)
		}
	}
}

// Settle lets a verified sign-in take effect and begins the refresh family, if
// any. If the login was locked or disabled or the code used meanwhile, nothing
// takes effect and Settle returns ErrCredentials.
func (a *Authenticator) Settle(ctx context.Context, s *SignIn, family *storage.TokenFamily) error {
	settlement := storage.Settlement{
		LoginID: s.Principal.Login.ID, NewHash: s.newHash, OldHash: s.Principal.Login.PasswordHash,
		PasswordSetAt: s.Principal.Login.PasswordSetAt, BeginFamily: family, Now: a.now(),
	}
	if s.AMR == "otp" {
		settlement.CodeID = s.Principal.Login.Code.ID
	}
	outcome, err := "success", a.store.SettleLogin(ctx, settlement)
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", ErrCredentials
	} else if err != nil {
		return fmt.Errorf("settle sign-in: %w", err)
	}
	a.record(ctx, "sign_in", outcome, s.clientID, &s.Principal, s.AMR)
	return err
}

// recordUnused records a verified sign-in that the roles asked for or demanded
// did not allow; the code, if it was one, stays unused.
func (a *Authenticator) recordUnused(ctx context.Context, s *SignIn) {
	a.record(ctx, "sign_in", "insufficient_roles", s.clientID, &s.Principal, s.AMR)
}

// record records an event of a login. A name that nobody has is left out:
// people type passwords into the wrong field.
func (a *Authenticator) record(ctx context.Context, action, outcome, clientID string, p *storage.Principal, factor string) {
	a.recorder.Record(ctx, storage.AuditEvent{
		Time: a.now().UTC(), Action: action, Outcome: outcome, ClientID: clientID,
		UserUID: p.User.UID, Username: p.Login.Username, Factor: factor,
	})
}
