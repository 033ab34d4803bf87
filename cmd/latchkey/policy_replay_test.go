package main

import (
	"strings"
	"testing"
	"time"
)

// TestProposals tests that a policy with unknown or wrong members is refused.
func TestProposals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "it is empty",
		"threshold: 3\n":                         "duration is required",
		"duration: 5m\n":                         "threshold must be at least 1",
		"threshold: 0\nduration: 5m\n":           "threshold must be at least 1",
		"threshold: 3\nduration: 5\n":            `"5" is no duration`,
		"threshold: 3\nduration: -5m\n":          `"-5m" is no duration`,
		"threshold: 3\nduration: 5m\nlength: 5m": "field length not found",
		"threshold: 3\nduration: 5m\n---\na: 1":  "more than one document",
		"- 3":                                    "cannot unmarshal",
	} {
		if _, _, err := readProposal([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	p, policy, err := readProposal([]byte("profile: x\nthreshold: 3\nduration: 5m\nmax_duration: 1h\nforgets_after: 2h\n"))
	if err != nil || p.Profile != "x" || policy.MaxDuration != time.Hour || policy.ForgetsAfter != 2*time.Hour || policy.Duration != 5*time.Minute {
		t.Errorf("got %+v, %+v, error %v", p, policy, err)
	}
}
