// Package lockout does the arithmetic of the guess budget: a policy, the
// failures so far and the time give the next state of a login. It is pure; the
// callers read the state and settle the new one by compare-and-swap.
//
// A login has three counters: of all guesses, of those that could have hit a
// code, and of those from the known source that somebody tries from. It does not
// own the success path (a settlement clears the failures) nor the administrator's
// unlock, and a new code does not renew any budget.
package lockout
