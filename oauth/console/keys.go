package console

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// keyScreens returns the screens of the signing keys.
func (c *Console) keyScreens() []screen {
	return []screen{
		{path: "/keys", operation: "signingkeys.List", nav: "keys.title", serve: (*call).showKeys},
		{path: "/keys/+rotate", operation: "signingkeys.Rotate", posts: true, serve: (*call).rotateKey},
		{path: "/keys/{kid}/revoke", operation: "signingkeys.Revoke", posts: true, serve: (*call).revokeKey},
	}
}

// States of a signing key; see wire.SigningKey.
const (
	keyAnnounced = "announced"
	keyActive    = "active"
	keyRetired   = "retired"
	keyRevoked   = "revoked"
	keyGone      = "gone"
)

// keyLine is the time line of all keys. The present is in the middle.
type keyLine struct {
	Keys  []shownKey
	Ticks []keyTick
}

// shownKey is a key with its part of the time line.
type shownKey struct {
	wire.SigningKey
	Look      string // of its state
	Spans     []keySpan
	CanRevoke bool
}

// keySpan is a time in which a key is in one state. X and Width are percentages.
type keySpan struct{ State, X, Width string }

// keyTick is a time on the axis. X is a percentage.
type keyTick struct{ X, Text string }

// showKeys shows the keys on a time line, the newest first.
func (x *call) showKeys() error {
	var page wire.List[wire.SigningKey]
	if _, err := x.get(pathOf("signingkeys"), url.Values{"pageSize": {"100"}, "sortBy": {"Alg,!CreatedAt"}}, &page); err != nil {
		return err
	}
	return x.show("keys", "keys.title", timeLine(page.Items, x.console.cfg.Now()))
}

// timeScale maps times to percentages. It is logarithmic on both sides of the present,
// because a key is announced for an hour, say, and published for months.
type timeScale struct {
	now     time.Time
	longest time.Duration // from now to either end
}

// timeUnit sets where the scale becomes logarithmic: times much nearer to the present are
// shown almost linearly.
const timeUnit = 10 * time.Minute

// narrowest is the width, in percent, with which a span can be seen.
const narrowest = 0.5

func (s timeScale) at(t time.Time) float64 {
	d := t.Sub(s.now)
	part := math.Log1p(float64(d.Abs())/float64(timeUnit)) / math.Log1p(float64(s.longest)/float64(timeUnit))
	if d < 0 {
		part = -part
	}
	return 50 + 50*part
}

// timeLine draws the keys at the time now.
func timeLine(keys []wire.SigningKey, now time.Time) keyLine {
	scale := timeScale{now, 24 * time.Hour}
	for _, k := range keys {
		for _, t := range []*time.Time{&k.CreatedAt, &k.ActivatesAt, k.RetiresAt, k.GoneAt, k.RevokedAt} {
			if t != nil && !t.IsZero() {
				scale.longest = max(scale.longest, t.Sub(now).Abs())
			}
		}
	}
	scale.longest += scale.longest / 4
	var line keyLine
	for _, k := range keys {
		shown := shownKey{SigningKey: k, Look: keyLook(k.State), CanRevoke: !k.External && k.State != keyRevoked && k.State != keyGone}
		end := 0.0
		for _, s := range spansOf(k, now.Add(scale.longest)) {
			if s.to.After(s.from) {
				from := max(scale.at(s.from), end) // the span before may be drawn wider than it is
				end = max(scale.at(s.to), from+narrowest)
				shown.Spans = append(shown.Spans, keySpan{s.state, percent(from), percent(end - from)})
			}
		}
		line.Keys = append(line.Keys, shown)
	}
	line.Ticks = scale.ticks()
	return line
}

// ticks returns the axis: an hour, a day and so on before and after the present. Those too
// close to an end are left out, because their texts would be cut off.
func (s timeScale) ticks() []keyTick {
	const day = 24 * time.Hour
	var all []keyTick
	for _, tick := range []struct {
		after time.Duration
		text  string
	}{{time.Hour, "1 h"}, {day, "1 d"}, {7 * day, "7 d"}, {30 * day, "30 d"}, {365 * day, "1 y"}} {
		if tick.after < s.longest && s.at(s.now.Add(tick.after)) < 93 {
			all = append(all, keyTick{percent(s.at(s.now.Add(-tick.after))), "−" + tick.text}, keyTick{percent(s.at(s.now.Add(tick.after))), "+" + tick.text})
		}
	}
	return all
}

func percent(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" }

type span struct {
	state    string
	from, to time.Time
}

// spansOf returns when a key is announced, signs and is only published. end is that of the
// time line.
func spansOf(k wire.SigningKey, end time.Time) []span {
	until := func(t *time.Time) time.Time {
		if t != nil {
			return *t
		}
		return end
	}
	stop := until(k.RevokedAt)
	cut := func(t time.Time) time.Time {
		if t.After(stop) {
			return stop
		}
		return t
	}
	retires := until(k.RetiresAt)
	return []span{
		{keyAnnounced, k.CreatedAt, cut(k.ActivatesAt)},
		{keyActive, k.ActivatesAt, cut(retires)},
		{keyRetired, retires, cut(until(k.GoneAt))},
	}
}

// keyLook returns how a state is shown; see the template "state".
func keyLook(state string) string {
	switch state {
	case keyActive:
		return "good"
	case keyAnnounced:
		return "warn"
	case keyRevoked:
		return "bad"
	}
	return "off"
}

// rotateKey announces a successor of a key.
func (x *call) rotateKey() error {
	algs := field{Name: "Alg", Kind: choiceField, Options: []option{{"", ""}, {"ES256", "ES256"}, {"RS256", "RS256"}, {"EdDSA", "EdDSA"}}}
	return x.change(change{
		Title: "keys.rotate", Button: "keys.rotate", Method: http.MethodPost, Path: pathOf("signingkeys", "rotate"), Back: "/keys",
		Form: &form{Name: "keyrotation", Fields: []field{algs}},
		Effects: func(_, sent resource) ([]string, error) {
			query := url.Values{}
			if alg, ok := sent["Alg"].(string); ok {
				query.Set("alg", alg)
			}
			return x.planned(pathOf("signingkeys", "rotate", "plan"), query)
		},
		Done: func(got resource) (string, notice) {
			kid, _ := got["ID"].(string)
			return "/keys", notice{Text: "keys.rotated", Pairs: []string{"kid", kid}}
		},
	})
}

// revokeKey ends a key at once.
func (x *call) revokeKey() error {
	kid := x.PathValue("kid")
	return x.change(change{
		Title: "keys.revoke", Button: "keys.revoke", Method: http.MethodPost, Path: pathOf("signingkeys", kid, "revoke"), Back: "/keys", Danger: true,
		Effects: func(resource, resource) ([]string, error) {
			planned, err := x.planned(pathOf("signingkeys", kid, "revoke", "plan"), nil)
			return slices.Concat([]string{x.t("keys.effectTokens", "kid", kid), x.t("keys.effectUsers"), x.t("keys.effectOffline")}, planned), err
		},
		Done: func(resource) (string, notice) {
			return "/keys", notice{Text: "keys.wasRevoked", Pairs: []string{"kid", kid}}
		},
	})
}

// planned returns what a change of the keys would do, as sentences.
func (x *call) planned(path string, query url.Values) ([]string, error) {
	var plan wire.KeyPlan
	if _, err := x.get(path, query, &plan); err != nil {
		return nil, err
	}
	if plan.Alg == nil || plan.Successor == nil {
		return []string{x.t("keys.planNothing")}, nil
	}
	at := func(t time.Time) string { return view{call: x}.Time(t).Text }
	name, later := "keys.planSigns", plan.Successor.ActivatesAt.After(x.console.cfg.Now())
	switch {
	case plan.IsNew && later:
		name = "keys.planNew"
	case plan.IsNew:
		name = "keys.planNewNow"
	case later:
		name = "keys.planSuccessor"
	}
	sentences := []string{x.t(name, "alg", *plan.Alg, "kid", plan.Successor.ID, "from", at(plan.Successor.ActivatesAt))}
	for _, k := range plan.Changed {
		switch {
		case k.State == keyRevoked:
			sentences = append(sentences, x.t("keys.planRevoked", "kid", k.ID))
		case k.RetiresAt == nil || k.GoneAt == nil:
			sentences = append(sentences, x.t("keys.planGoesOn", "kid", k.ID))
		default:
			sentences = append(sentences, x.t("keys.planRetires", "kid", k.ID, "from", at(*k.RetiresAt), "until", at(*k.GoneAt)))
		}
	}
	return sentences, nil
}

// KeyTimes returns the times of a key as a sentence.
func (v view) KeyTimes(k wire.SigningKey) (string, error) {
	until := func(t *time.Time) string {
		if t == nil {
			return v.t("keys.open")
		}
		return v.Time(t).Text
	}
	return v.T("keys.times", "alg", k.Alg, "kid", k.ID, "created", v.Time(k.CreatedAt).Text, "activates", v.Time(k.ActivatesAt).Text,
		"retires", until(k.RetiresAt), "gone", until(k.GoneAt))
}
