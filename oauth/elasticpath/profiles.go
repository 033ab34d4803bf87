package elasticpath

import (
	"errors"
	"net/http"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

const (
	typeProfile   = "password_profile"
	formatAny     = "any"
	formatEmail   = "email"
	secondsInYear = 366 * 24 * 3600
)

// ProfileFields are the members of a password profile that can be written; from
// CodeAlphabet on, they are Latchkey's own. What is left out keeps its value, or
// gets the default.
type ProfileFields struct {
	Name           *string `json:"name"`                           // required for a new one
	UsernameFormat *string `json:"username_format"`                // any (default) or email
	OneTimeCodes   *bool   `json:"enable_one_time_password_token"` // default false

	CodeAlphabet  *string `json:"code_alphabet,omitempty"`    // crockford (default) or digits
	CodeLength    *int    `json:"code_length,omitempty"`      // characters
	CodeTTL       *int    `json:"code_ttl_seconds,omitempty"` // 30 to 600; default 600
	Threshold     *int    `json:"lockout_threshold,omitempty"`
	Duration      *int    `json:"lockout_duration_seconds,omitempty"` // 0: until an administrator unlocks
	MaxDuration   *int    `json:"lockout_max_duration_seconds,omitempty"`
	ForgetsAfter  *int    `json:"lockout_forgets_after_seconds,omitempty"`
	MinLength     *int    `json:"password_min_length,omitempty"` // less than 8 counts as 8
	UpperCase     *bool   `json:"password_upper_case,omitempty"`
	LowerCase     *bool   `json:"password_lower_case,omitempty"`
	Digit         *bool   `json:"password_digit,omitempty"`
	Special       *bool   `json:"password_special,omitempty"`
	MaxRepetition *int    `json:"password_max_repeated_characters,omitempty"` // 0: no limit
}

// ProfileBody is a password profile as it is sent.
type ProfileBody struct {
	Type *string `json:"type"`
	ProfileFields
}

// PasswordProfile is a password profile.
type PasswordProfile struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	ProfileFields
	Meta  Times  `json:"meta"`
	Links *Links `json:"links,omitempty"` // in lists
}

var profileList = byTime(map[string]filterable{"name": {record: "Name", ops: peopleOps}}, "name")

func profilePath(p storage.PasswordProfile) string {
	return realmPath(p.RealmID) + "/password-profiles/" + storage.PasswordProfileUUID(p.ID)
}

// check returns the refusal of fields out of their bounds.
func (f ProfileFields) check(isNew bool) error {
	var c check
	c.filled("name", f.Name, isNew)
	c.oneOf("username_format", f.UsernameFormat, formatAny, formatEmail)
	c.between("code_ttl_seconds", f.CodeTTL, 30, 600)
	c.between("lockout_threshold", f.Threshold, 1, 100)
	c.between("lockout_duration_seconds", f.Duration, 0, secondsInYear)
	c.between("lockout_max_duration_seconds", f.MaxDuration, 1, secondsInYear)
	c.between("lockout_forgets_after_seconds", f.ForgetsAfter, 60, secondsInYear)
	c.between("password_min_length", f.MinLength, 1, 250)
	c.between("password_max_repeated_characters", f.MaxRepetition, 0, 250)
	return c.err()
}

// apply writes what was given into the record, or says why the two do not fit.
func (f ProfileFields) apply(r storage.PasswordProfile) (storage.PasswordProfile, error) {
	take(&r.Name, f.Name)
	take(&r.UsernameFormat, f.UsernameFormat)
	take(&r.OneTimeCodes, f.OneTimeCodes)
	take(&r.Code.Alphabet, f.CodeAlphabet)
	take(&r.Code.Length, f.CodeLength)
	takeSeconds(&r.CodeTTL, f.CodeTTL)
	take(&r.Lockout.Threshold, f.Threshold)
	takeSeconds(&r.Lockout.Duration, f.Duration)
	takeSeconds(&r.Lockout.MaxDuration, f.MaxDuration)
	takeSeconds(&r.Lockout.ForgetsAfter, f.ForgetsAfter)
	take(&r.Rules.MinLength, f.MinLength)
	take(&r.Rules.UpperCase, f.UpperCase)
	take(&r.Rules.LowerCase, f.LowerCase)
	take(&r.Rules.Digit, f.Digit)
	take(&r.Rules.Special, f.Special)
	take(&r.Rules.MaxRepeatedChars, f.MaxRepetition)
	if err := otp.CheckFormat(r.Code); err != nil {
		return r, refuse(http.StatusBadRequest, validation("code_length", "format"))
	}
	return r, nil
}

// change returns what makes a profile what a body says, unless its codes or its
// passwords would be too easily guessed.
func (a *API) change(body ProfileBody) func(storage.PasswordProfile) (storage.PasswordProfile, error) {
	return func(r storage.PasswordProfile) (storage.PasswordProfile, error) {
		r, err := body.apply(r)
		if err != nil {
			return r, err
		}
		err = otp.CheckRisk(r, a.cfg.GuessCeiling)
		if errors.Is(err, lockout.ErrTooManyGuesses) {
			return r, refuse(http.StatusBadRequest, validation("lockout_threshold", "guess_ceiling")+" "+err.Error())
		}
		if err != nil {
			return r, refuse(http.StatusBadRequest, validation("code_length", "guess_ceiling")+" "+err.Error())
		}
		return r, nil
	}
}

func takeSeconds(into *time.Duration, given *int) {
	if given != nil {
		*into = time.Duration(*given) * time.Second
	}
}

func seconds(d time.Duration) *int { return new(int(d / time.Second)) }

// profile shows a password profile. How many guesses it allows is nothing for
// storefronts, whose tokens anybody can have.
func (c *call) profile(r storage.PasswordProfile) PasswordProfile {
	shown := PasswordProfile{
		ID: storage.PasswordProfileUUID(r.ID), Type: typeProfile, Meta: times(r.CreatedAt, r.UpdatedAt),
		ProfileFields: ProfileFields{Name: &r.Name, UsernameFormat: &r.UsernameFormat, OneTimeCodes: &r.OneTimeCodes},
	}
	if !c.caller.SellerSide() || !c.caller.Has(readProfiles...) {
		return shown
	}
	f := &shown.ProfileFields
	f.CodeAlphabet, f.CodeLength, f.CodeTTL = &r.Code.Alphabet, &r.Code.Length, seconds(r.CodeTTL)
	f.Threshold, f.Duration = &r.Lockout.Threshold, seconds(r.Lockout.Duration)
	f.MaxDuration, f.ForgetsAfter = seconds(r.Lockout.MaxDuration), seconds(r.Lockout.ForgetsAfter)
	f.MinLength, f.UpperCase, f.LowerCase = &r.Rules.MinLength, &r.Rules.UpperCase, &r.Rules.LowerCase
	f.Digit, f.Special, f.MaxRepetition = &r.Rules.Digit, &r.Rules.Special, &r.Rules.MaxRepeatedChars
	return shown
}

func (c *call) profileReply(status int, p storage.PasswordProfile) reply {
	return c.api.document(status, c.profile(p), profilePath(p), p.Version)
}

func (a *API) listProfiles(c *call) (reply, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := profileList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	// The preset profile is not in the way of a client that looks for the one
	// profile that it has created.
	q.Where = append(q.Where, equals("Used", "true"))
	found, err := a.cfg.Profiles.ListPasswordProfiles(c.Context(), realm.ID, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, func(p storage.PasswordProfile) PasswordProfile {
		shown := c.profile(p)
		shown.Links = &Links{Self: a.base + profilePath(p)}
		return shown
	}), nil
}

func (a *API) postProfile(c *call) (reply, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return reply{}, err
	}
	var body ProfileBody
	if _, err := c.read(&body, typeProfile); err != nil {
		return reply{}, err
	}
	if err := body.check(true); err != nil {
		return reply{}, err
	}
	id, err := a.newID()
	if err != nil {
		return reply{}, err
	}
	p, err := a.change(body)(newProfile(id, realm.ID))
	if err != nil {
		return reply{}, err
	}
	p.Version = storage.MustBeNew
	if p, err = a.cfg.Profiles.PutPasswordProfile(c.Context(), p); err != nil {
		return reply{}, err
	}
	done := c.profileReply(http.StatusCreated, p).changedFrom(nil)
	a.record(c, typeProfile, "created", p.ID, done.changed...)
	return done, nil
}

// newProfile is what a password profile that says nothing is like.
func newProfile(id, realmID string) storage.PasswordProfile {
	return storage.PasswordProfile{
		ID: id, RealmID: realmID, UsernameFormat: formatAny,
		Code: otp.DefaultFormat(), CodeTTL: 10 * time.Minute,
		Lockout: lockout.DefaultPolicy(), Rules: storage.PasswordRules{MinLength: minPasswordLength},
	}
}

func (a *API) getProfile(c *call) (reply, error) {
	p, err := a.profileOf(c)
	return c.profileReply(http.StatusOK, p), err
}

func (a *API) putProfile(c *call) (reply, error) {
	var body ProfileBody
	if _, err := c.read(&body, typeProfile); err != nil {
		return reply{}, err
	}
	if err := body.check(false); err != nil {
		return reply{}, err
	}
	var before storage.PasswordProfile
	p, err := rewrite(c,
		func() (storage.PasswordProfile, error) { return a.profileOf(c) },
		func(p storage.PasswordProfile) int64 { return p.Version },
		func(p storage.PasswordProfile) (storage.PasswordProfile, error) {
			before = p
			if err := a.cfg.Rules.ChangePasswordProfile(c.Context(), c.caller.Authority(), p.ID); err != nil {
				return p, err
			}
			return a.change(body)(p)
		},
		func(p storage.PasswordProfile) (storage.PasswordProfile, error) {
			return a.cfg.Profiles.PutPasswordProfile(c.Context(), p)
		})
	if err != nil {
		return reply{}, err
	}
	done := c.profileReply(http.StatusOK, p).changedFrom(c.profile(before))
	a.record(c, typeProfile, "updated", p.ID, done.changed...)
	return done, nil
}

func (a *API) deleteProfile(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	p, err := a.profileOf(c)
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Rules.ChangePasswordProfile(c.Context(), c.caller.Authority(), p.ID); err != nil {
		return reply{}, err
	}
	if err := a.cfg.Profiles.DeletePasswordProfile(c.Context(), p.ID, wanted); err != nil {
		return reply{}, orNotFound(err, "password profile")
	}
	a.record(c, typeProfile, "deleted", p.ID)
	return reply{status: http.StatusNoContent}, nil
}

// profileOf returns the password profile that the path names, as it is stored
// now, whatever is remembered of it.
func (a *API) profileOf(c *call) (storage.PasswordProfile, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return storage.PasswordProfile{}, err
	}
	id, ok := c.id("profile")
	if !ok {
		return storage.PasswordProfile{}, notFound("password profile")
	}
	found, err := a.cfg.Profiles.ListPasswordProfiles(c.Context(), realm.ID, only("ID", id))
	if err == nil && len(found.Items) == 0 {
		err = notFound("password profile")
	}
	if err != nil {
		return storage.PasswordProfile{}, err
	}
	return found.Items[0], nil
}

// only selects the records whose field has that value.
func only(field, value string) storage.Query {
	return storage.Query{Limit: 1, Where: []storage.Condition{equals(field, value)}}
}

func equals(field, value string) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: []storage.Test{{Op: storage.OpEqual, Value: value}}}
}
