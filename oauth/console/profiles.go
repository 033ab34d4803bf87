package console

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// profileScreens returns the screens of the password profiles.
func (c *Console) profileScreens() []screen {
	return []screen{
		{path: "/profiles", operation: "passwordprofiles.List", nav: "profiles.title", serve: (*call).showProfiles},
		{path: "/profiles/{id}", operation: "passwordprofiles.Get", serve: (*call).showProfile},
		{path: "/profiles/{id}/edit", operation: "passwordprofiles.Patch", posts: true, serve: (*call).editProfile},
		{path: "/profiles/{id}/replays", operation: "passwordprofiles.replays.Create", posts: true, serve: (*call).replayProfile},
		{path: "/profiles/{id}/replays/{replay}", operation: "passwordprofiles.replays.Get", serve: (*call).showReplay},
	}
}

// showProfiles lists the password profiles.
func (x *call) showProfiles() error {
	found, err := readList[wire.PasswordProfile](x, pathOf("passwordprofiles"))
	if err != nil {
		return err
	}
	return x.show("profiles", "profiles.title", found)
}

// profileView is the data of the template "profile".
type profileView struct {
	wire.PasswordProfile
	Explanation *explanationView
}

// showProfile shows a password profile and what it allows.
func (x *call) showProfile() error {
	var v profileView
	id := x.PathValue("id")
	if _, err := x.get(pathOf("passwordprofiles", id), nil, &v.PasswordProfile); err != nil {
		return err
	}
	stored, err := x.explanation(id, resource{})
	if err != nil {
		return err
	}
	v.Explanation = x.explain(stored, nil)
	return x.show("profile", "profiles.one", v)
}

// profileForm returns the form of a password profile.
func profileForm() *form {
	return &form{Name: "profile", Fields: []field{
		{Name: "Name", Kind: textField, Required: true},
		{Name: "UsernameFormat", Kind: choiceField, Options: []option{{Value: "any"}, {Value: "email"}}},
		{Name: "OneTimePasswords", Kind: checkField, Group: "profiles.codes"},
		{Name: "CodeAlphabet", Kind: choiceField, Options: []option{{Value: "crockford"}, {Value: "digits"}}},
		{Name: "CodeLength", Kind: numberField, Min: 4, Max: 64},
		{Name: "CodeDurationSeconds", Kind: numberField, Min: 30, Max: 600},
		{Name: "AllowedFailedAttempts", Kind: numberField, Min: 1, Max: 100, Group: "profiles.lockout"},
		{Name: "LockoutDurationSeconds", Kind: numberField, Min: 0, Max: secondsInYear},
		{Name: "MaximumLockoutDurationSeconds", Kind: numberField, Min: 1, Max: secondsInYear},
		{Name: "ForgetFailuresAfterSeconds", Kind: numberField, Min: 60, Max: secondsInYear},
		{Name: "MinimumCharacterCount", Kind: numberField, Min: 1, Max: 250, Group: "profiles.rules"},
		{Name: "UpperCaseRequired", Kind: checkField},
		{Name: "LowerCaseRequired", Kind: checkField},
		{Name: "NumericRequired", Kind: checkField},
		{Name: "SpecialCharacterRequired", Kind: checkField},
		{Name: "MaxConsecutiveDupeChars", Kind: numberField, Min: 0, Max: 250},
	}}
}

const secondsInYear = 366 * 24 * 3600

// lockoutMembers are the members of a password profile that a replay tries.
var lockoutMembers = []string{"AllowedFailedAttempts", "LockoutDurationSeconds", "MaximumLockoutDurationSeconds", "ForgetFailuresAfterSeconds"}

// editProfile changes a password profile. Before, it shows what the proposal would allow.
func (x *call) editProfile() error {
	id := x.PathValue("id")
	c := change{
		Title: "profiles.edit", Button: "profiles.save", Method: http.MethodPatch, Path: pathOf("passwordprofiles", id), Read: pathOf("passwordprofiles", id),
		Object: "PasswordProfile/" + id, Back: "/profiles/" + url.PathEscape(id), Form: profileForm(),
		Explain: func(sent resource) (*explanationView, error) {
			stored, err := x.explanation(id, resource{})
			if err != nil {
				return nil, err
			}
			proposed, err := x.explanation(id, sent)
			if err != nil {
				return nil, err
			}
			return x.explain(stored, &proposed), nil
		},
	}
	if x.caller.Permits("passwordprofiles.replays.Create") {
		c.Tries = []tryOut{{Text: "profiles.replayFirst", Path: "/profiles/" + url.PathEscape(id) + "/replays"}}
	}
	return x.change(c)
}

// explanation asks /v1 to explain a profile with the members of a proposal.
func (x *call) explanation(id string, proposal resource) (e wire.PasswordProfileExplanation, err error) {
	request, err := x.request(http.MethodPost, pathOf("passwordprofiles", id, "explain"), proposal)
	if err == nil {
		_, err = x.send(request, &e)
	}
	return e, err
}

// replaysView is the data of the template "replays".
type replaysView struct {
	ID      string
	Form    *form
	Action  string
	Days    []int
	Chosen  int
	Replays []wire.PolicyReplay
}

// replayDays are the times that a replay can read, in days.
var replayDays = []int{30, 7, 1, 90}

// replayProfile lists the replays of a profile. By POST it starts one of the lockout policy
// in the form, which changes nothing, and shows it.
func (x *call) replayProfile() error {
	id := x.PathValue("id")
	var stored resource
	if _, err := x.get(pathOf("passwordprofiles", id), nil, &stored); err != nil {
		return err
	}
	v := replaysView{ID: id, Action: x.console.base + x.URL.Path, Days: replayDays, Chosen: replayDays[0], Form: &form{Name: "profile", zone: x.zone}}
	for _, f := range profileForm().Fields {
		if slices.Contains(lockoutMembers, f.Name) {
			f.Group = ""
			v.Form.Fields = append(v.Form.Fields, f)
		}
	}
	status := http.StatusOK
	if x.Method == http.MethodPost {
		answered, refused, err := x.startReplay(id, &v)
		if answered || err != nil {
			return err
		}
		status = refused
	} else {
		v.Form.load(stored)
	}
	var all wire.List[wire.PolicyReplay]
	if _, err := x.get(pathOf("passwordprofiles", id, "replays"), url.Values{"pageSize": {"20"}}, &all); err != nil {
		return err
	}
	v.Replays = all.Items
	return x.showStatus(status, "replays", "profiles.replays", v)
}

// startReplay starts a replay of the posted form. If /v1 refuses it, the form has the faults.
func (x *call) startReplay(id string, v *replaysView) (answered bool, status int, err error) {
	v.Form.read(x.PostForm)
	body := resource{}
	for i := range v.Form.Fields {
		f := &v.Form.Fields[i]
		value, fault := f.member(x.zone)
		if f.Fault = fault; fault != "" {
			return false, http.StatusUnprocessableEntity, nil
		}
		if value != nil {
			body[f.Name] = value
		}
	}
	if days, err := strconv.Atoi(x.PostForm.Get("days")); err == nil && slices.Contains(replayDays, days) {
		v.Chosen = days
	}
	body["Since"] = x.console.cfg.Now().UTC().AddDate(0, 0, -v.Chosen).Format(time.RFC3339)
	request, err := x.request(http.MethodPost, pathOf("passwordprofiles", id, "replays"), body)
	if err != nil {
		return false, 0, err
	}
	var started wire.PolicyReplay
	if _, err := x.send(request, &started); err != nil {
		refused, ok := err.(*refusal) //nolint:errorlint // send returns it as it is
		if !ok || refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusForbidden {
			return false, 0, err
		}
		v.Form.blame(refused)
		return false, refused.Status, nil
	}
	redirect(x.w, x.console.url("/profiles/"+url.PathEscape(id)+"/replays/"+url.PathEscape(started.ID)))
	return true, 0, nil
}

// replayView is the data of the template "replay".
type replayView struct {
	wire.PolicyReplay
	ProfileID string
	Running   bool
	Form      *form  // of the profile with the policy of the replay; nil: nothing differs
	ETag      string // of the profile
}

// showReplay shows a replay with its progress or its result.
func (x *call) showReplay() error {
	id := x.PathValue("id")
	v := replayView{ProfileID: id}
	if _, err := x.get(pathOf("passwordprofiles", id, "replays", x.PathValue("replay")), nil, &v.PolicyReplay); err != nil {
		return err
	}
	v.Running = v.EndedAt == nil
	var stored resource
	var err error
	if v.ETag, err = x.get(pathOf("passwordprofiles", id), nil, &stored); err != nil {
		return err
	}
	v.Form = profileForm()
	v.Form.zone = x.zone
	v.Form.load(stored)
	for i := range v.Form.Fields {
		f := &v.Form.Fields[i]
		if at := slices.Index(lockoutMembers, f.Name); at >= 0 {
			f.Value = strconv.Itoa([]int{v.AllowedFailedAttempts, v.LockoutDurationSeconds, v.MaximumLockoutDurationSeconds, v.ForgetFailuresAfterSeconds}[at])
		}
	}
	if len(v.Form.differences()) == 0 {
		v.Form = nil
	}
	return x.show("replay", "profiles.replay", v)
}

// Lasting returns a number of seconds, or a pointer to one, in words. 0 is what otherwise
// says, the name of a text.
func (v view) Lasting(seconds any, otherwise string) (string, error) {
	n := 0
	switch s := seconds.(type) {
	case int:
		n = s
	case *int:
		if s != nil {
			n = *s
		}
	}
	if n == 0 {
		return v.T(otherwise)
	}
	if n%60 == 0 {
		return v.Duration(n / 60)
	}
	return v.T("profiles.seconds", "n", strconv.Itoa(n))
}

// Days returns a number of days in words.
func (v view) Days(n int) (string, error) { return v.Duration(n * 24 * 60) }

// explanationView is the data of the template "explanation": a chart, and the same in a
// table.
type explanationView struct {
	Stored   wire.PasswordProfileExplanation
	Proposed *wire.PasswordProfileExplanation // nil: there is none
	Rows     []explanationRow
	guessChart
}

// Shown returns the explanation that the sentences are about: the proposal, if there is one.
func (e *explanationView) Shown() *wire.PasswordProfileExplanation {
	return cmp.Or(e.Proposed, &e.Stored)
}

// explanationRow is a moment of an attack.
type explanationRow struct {
	At               int // seconds
	Stored, Proposed int // guesses of one counter
	All              int // guesses of all counters
	Odds             float64
}

// explainedMoments are the moments in the table, in seconds.
var explainedMoments = []int{1, 60, 600, 3600, 6 * 3600, 24 * 3600}

func (x *call) explain(stored wire.PasswordProfileExplanation, proposed *wire.PasswordProfileExplanation) *explanationView {
	v := &explanationView{Stored: stored, Proposed: proposed}
	shown := v.Shown()
	for i, p := range shown.Curve {
		if !slices.Contains(explainedMoments, p.Seconds) || i >= len(stored.Curve) {
			continue
		}
		row := explanationRow{At: p.Seconds, Stored: stored.Curve[i].PerCounter, Proposed: p.PerCounter, All: p.Guesses, Odds: p.Odds}
		v.Rows = append(v.Rows, row)
	}
	v.guessChart = chartOf(stored, proposed)
	return v
}

// OneIn returns a probability as the number of tries of which one succeeds, with two digits
// that are not zero.
func (v view) OneIn(odds float64) (string, error) {
	if odds <= 0 {
		return "–", nil
	}
	tries := math.Round(1 / odds)
	if unit := math.Pow(10, math.Floor(math.Log10(tries))-1); unit > 1 {
		tries = math.Round(tries/unit) * unit
	}
	digits := strconv.FormatFloat(tries, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "\u202f" + digits[at:]
	}
	return v.T("profiles.oneIn", "n", digits)
}
