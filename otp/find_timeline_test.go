package otp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

func TestStateOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 5, 17, 12, 0, 0, 0, time.UTC)
	past, future := now.Add(-time.Minute), now.Add(time.Minute)
	code := func(change func(*storage.CodeHistory)) []storage.CodeHistory {
		c := storage.CodeHistory{ID: "c", IssuedAt: past, ExpiresAt: future}
		change(&c)
		return []storage.CodeHistory{c}
	}
	live := code(func(*storage.CodeHistory) {})
	messages := func(states ...storage.MessageState) (all []storage.Message) {
		for _, s := range states {
			all = append(all, storage.Message{State: s})
		}
		return all
	}
	for name, x := range map[string]struct {
		t    storage.Timeline
		want otp.RequestState
	}{
		"not resolved":              {storage.Timeline{Request: storage.CodeRequest{ExpiresAt: future}}, otp.RequestWaiting},
		"never resolved":            {storage.Timeline{Request: storage.CodeRequest{ExpiresAt: past}}, otp.RequestExpired},
		"nobody served":             {storage.Timeline{ResolvedAt: past}, otp.RequestUnserved},
		"superseded":                {storage.Timeline{ResolvedAt: past, Superseded: true}, otp.RequestSuperseded},
		"queued":                    {storage.Timeline{ResolvedAt: past, Codes: live, Messages: messages(storage.MessageQueued)}, otp.RequestQueued},
		"one delivered, one queued": {storage.Timeline{ResolvedAt: past, Codes: live, Messages: messages(storage.MessageDelivered, storage.MessageQueued)}, otp.RequestQueued},
		"one delivered, one dead":   {storage.Timeline{ResolvedAt: past, Codes: live, Messages: messages(storage.MessageDelivered, storage.MessageDead)}, otp.RequestDelivered},
		"dead":                      {storage.Timeline{ResolvedAt: past, Codes: live, Messages: messages(storage.MessageDead)}, otp.RequestDead},
		"message expired":           {storage.Timeline{ResolvedAt: past, Messages: messages(storage.MessageExpired)}, otp.RequestExpired},
		"a notice":                  {storage.Timeline{ResolvedAt: past, Messages: messages(storage.MessageDelivered)}, otp.RequestDelivered},
		"code expired": {storage.Timeline{
			ResolvedAt: past, Codes: code(func(c *storage.CodeHistory) { c.ExpiresAt = now }), Messages: messages(storage.MessageDelivered),
		}, otp.RequestExpired},
		"redeemed": {storage.Timeline{
			ResolvedAt: past, Codes: code(func(c *storage.CodeHistory) { c.RedeemedAt = past }), Messages: messages(storage.MessageDelivered),
		}, otp.RequestRedeemed},
		"replaced": {storage.Timeline{
			ResolvedAt: past, Codes: code(func(c *storage.CodeHistory) { c.RetiredAt = past }), Messages: messages(storage.MessageDead),
		}, otp.RequestReplaced},
	} {
		if got := otp.StateOf(x.t, now); got != x.want {
			t.Errorf("%s: got %s, want %s", name, got, x.want)
		}
	}
}

// twoMessages is an otp.TimelineStore with a request that led to two messages.
type twoMessages struct{ timeline storage.Timeline }

func (s twoMessages) Message(_ context.Context, id string) (storage.Message, error) {
	for _, m := range s.timeline.Messages {
		if m.ID == id {
			return m, nil
		}
	}
	return storage.Message{}, storage.ErrNotFound
}

func (s twoMessages) Timeline(_ context.Context, id string) (storage.Timeline, error) {
	if id != s.timeline.Request.ID {
		return storage.Timeline{}, storage.ErrNotFound
	}
	return s.timeline, nil
}

func TestFindTimeline(t *testing.T) {
	t.Parallel()
	store := twoMessages{storage.Timeline{
		Request:  storage.CodeRequest{ID: "otr_1"},
		Codes:    []storage.CodeHistory{{ID: "c1", UserUID: "ann"}, {ID: "c2", UserUID: "bob"}},
		Messages: []storage.Message{{ID: "m1", RequestID: "otr_1", CodeID: "c1", UserUID: "ann"}, {ID: "m2", RequestID: "otr_1", CodeID: "c2", UserUID: "bob"}},
		Attempts: []storage.AttemptRecord{{MessageID: "m1"}, {MessageID: "m2"}},
	}}
	sizes := func(t storage.Timeline) [3]int { return [3]int{len(t.Codes), len(t.Messages), len(t.Attempts)} }
	whole, err := otp.FindTimeline(t.Context(), store, "otr_1")
	if err != nil || sizes(whole) != [3]int{2, 2, 2} {
		t.Errorf("by the request: got %v %v", sizes(whole), err)
	}
	part, err := otp.FindTimeline(t.Context(), store, "m2")
	if err != nil || sizes(part) != [3]int{1, 1, 1} || part.Codes[0].ID != "c2" || part.Messages[0].ID != "m2" || part.Attempts[0].MessageID != "m2" {
		t.Errorf("by a message: got %+v %v", part, err)
	}
	if _, err := otp.FindTimeline(t.Context(), store, "m3"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("by neither: got %v", err)
	}
	if theirs := otp.OfUsers(whole, func(uid string) bool { return uid == "ann" }); sizes(theirs) != [3]int{1, 1, 1} || theirs.Messages[0].ID != "m1" || sizes(whole) != [3]int{2, 2, 2} {
		t.Errorf("of one user: got %+v", theirs)
	}
}
