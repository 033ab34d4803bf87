// Package lockout computes the guess budget of a login. From a lockout policy,
// the failures so far and the time it returns the next lockout state. It is
// pure: the callers read the state and write the next one by compare-and-swap.
//
// A login has three counters: one for all guesses, one for the guesses that could
// have hit a code, and one for each known source address. A new code renews no
// counter.
//
// [Apply] is the whole arithmetic: it returns the [State] after an [Outcome]. A store that
// keeps the State as one value needs no other function. [Next] is the part for failures,
// for stores that keep counters in columns.
//
// [AllowanceOf] says how many guesses a policy allows, [Check] refuses a policy that allows
// too many, and [Replay] shows what another policy would have done to past events.
package lockout
