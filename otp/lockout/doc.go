// Package lockout does the arithmetic of the guess budget: a policy, the
// failures so far and the time give the next state of a login. It is pure; the
// callers read the state and settle the new one by compare-and-swap.
//
// It does not own the success path (a settlement clears the failures) nor the
// administrator's unlock, and it never looks at codes: a new code does not
// renew the budget.
package lockout
