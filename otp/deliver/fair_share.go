package deliver

import "slices"

// fairShare divides the concurrent attempts of a worker among the senders, so that
// a sender whose receiver hangs does not delay the messages of others.
//
// A sender may have as many attempts running as are free. A single sender gets half
// of all attempts. If n senders hang, each gets one of n+1 equal parts, and the last
// part stays free for the others. fairShare does not need to know which receiver is
// slow or how many senders there are.
//
// A claim does not know in advance whose messages it gets. So it leaves out the
// senders that use more than half of their share, and claims no more messages than
// the busiest of the other senders may still have.
type fairShare struct {
	free    int
	running map[string]int  // attempts, by sender
	leftOut map[string]bool // senders that the last claim left out
}

func newFairShare(attempts int) fairShare {
	return fairShare{free: attempts, running: map[string]int{}, leftOut: map[string]bool{}}
}

// busy reports whether a claim leaves out a sender with n running attempts.
func (s *fairShare) busy(n int) bool { return 2*n > s.free }

// room returns how many messages may be claimed now, and the senders to leave out.
// At least one attempt must be free.
func (s *fairShare) room() (n int, except []string) {
	clear(s.leftOut)
	most := 0
	for sender, n := range s.running {
		if s.busy(n) {
			except, s.leftOut[sender] = append(except, sender), true
		} else {
			most = max(most, n)
		}
	}
	slices.Sort(except) // the same senders give the same SQL statement
	return max(1, (s.free-most)/2), except
}

func (s *fairShare) take(sender string) {
	s.free--
	s.running[sender]++
}

// release returns an attempt of the sender. It reports whether a sender that the
// last claim left out may have more attempts again.
func (s *fairShare) release(sender string) (due bool) {
	s.free++
	if s.running[sender]--; s.running[sender] == 0 {
		delete(s.running, sender)
	}
	for leftOut := range s.leftOut {
		if !s.busy(s.running[leftOut]) {
			return true
		}
	}
	return false
}

// full reports whether the messages of any sender have to wait.
func (s *fairShare) full() bool {
	if s.free == 0 {
		return true
	}
	for _, n := range s.running {
		if s.busy(n) {
			return true
		}
	}
	return false
}
