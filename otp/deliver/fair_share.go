package deliver

import "slices"

// share divides the attempts that a worker makes at a time among the senders,
// so that one whose receiver hangs delays nobody else's messages.
//
// A sender may have as many attempts under way as would be left free. One alone
// gets half of them all; when n hang, each ends up with one of n+1 equal parts,
// and the last part is free for whoever has something to send. Nothing needs to
// know which receiver is slow, or how many senders there are.
//
// A claim cannot tell beforehand whose messages it will get. So it passes over
// the senders that have more than half of their due, and takes no more than the
// busiest of the others may still have.
type share struct {
	free     int
	underWay map[string]int  // attempts by sender
	passed   map[string]bool // senders that the last claim passed over
}

func newShare(attempts int) share {
	return share{free: attempts, underWay: map[string]int{}, passed: map[string]bool{}}
}

// busy tells whether a sender with n attempts under way is to be passed over.
func (s *share) busy(n int) bool { return 2*n > s.free }

// room says how many messages may be claimed now, and from which senders none.
// It wants something to be free.
func (s *share) room() (n int, except []string) {
	clear(s.passed)
	most := 0
	for sender, n := range s.underWay {
		if s.busy(n) {
			except, s.passed[sender] = append(except, sender), true
		} else {
			most = max(most, n)
		}
	}
	slices.Sort(except) // the statement stays the same
	return max(1, (s.free-most)/2), except
}

func (s *share) take(sender string) {
	s.free--
	s.underWay[sender]++
}

// release gives an attempt of the sender back, and tells whether a sender that
// was passed over may have more again.
func (s *share) release(sender string) (due bool) {
	s.free++
	if s.underWay[sender]--; s.underWay[sender] == 0 {
		delete(s.underWay, sender)
	}
	for passed := range s.passed {
		if !s.busy(s.underWay[passed]) {
			return true
		}
	}
	return false
}

// full tells whether some sender, or everybody, has to wait.
func (s *share) full() bool {
	if s.free == 0 {
		return true
	}
	for _, n := range s.underWay {
		if s.busy(n) {
			return true
		}
	}
	return false
}
