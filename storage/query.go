package storage

import (
	"errors"
	"fmt"
	"time"
)

// ErrQuery says that a list has no such field, or that a value is not one of
// the field's type. Wrapped errors name the field.
var ErrQuery = errors.New("the list cannot be asked that")

// What the parts of a Query cost. A store refuses a Query that costs more than
// MaxQueryCost without asking the database.
const (
	MaxQueryCost = 500
	// ExpensiveFieldCost is the cost of a comparison with, or a sort by, a member
	// of XP or the username of a user, which the database has to compute for each
	// record. Other fields cost 1. A pattern costs this again for each asterisk
	// after the first.
	ExpensiveFieldCost = 20
)

// QueryLimitError is the answer to a Query that costs too much, which is an
// ErrQuery, or that took too long, which is an ErrUnavailable.
type QueryLimitError struct {
	Timeout time.Duration // that was exceeded; 0: the Query costs too much
}

// Error implements error.
func (e *QueryLimitError) Error() string { return "query limit: " + e.Advice() }

// Unwrap returns ErrQuery or ErrUnavailable.
func (e *QueryLimitError) Unwrap() error {
	if e.Timeout == 0 {
		return ErrQuery
	}
	return ErrUnavailable
}

// Advice returns the limit in sentences for the caller of an API.
func (e *QueryLimitError) Advice() string {
	if e.Timeout > 0 {
		return fmt.Sprintf("The list took longer than %v. Use fewer filters, alternatives, asterisks and sort fields.", e.Timeout)
	}
	return fmt.Sprintf("The list costs too much. A comparison and a sort field cost 1, of xp or of a username %d, "+
		"and a pattern that much for each asterisk. A list may cost %d.", ExpensiveFieldCost, MaxQueryCost)
}

// Query says what a list is to show. Fields are named as in the records of the
// list, with XP.path for a member of the administrator's own data; each List
// method documents its fields.
type Query struct {
	Where  []Condition // all of them hold
	Sort   []Order     // an order of the records' own comes last
	Offset int         // how many to leave out first
	Limit  int         // at least 1
}

// Condition holds if one of its tests holds for one of its fields.
type Condition struct {
	Fields []string
	Tests  []Test
}

// Test compares a field with a value.
type Test struct {
	Op    Op
	Value string // as text: a number, "true", a time of RFC 3339; with OpLike a pattern
	Not   bool   // holds if the comparison does not
}

// Op is a comparison.
type Op int

// The comparisons. Text is compared as it is, or with Fold ignoring the case of
// ASCII letters; the pattern of OpLike has an asterisk for any text.
const (
	OpEqual Op = iota
	OpEqualFold
	OpLike
	OpLikeFold
	OpLess
	OpLessOrEqual
	OpGreater
	OpGreaterOrEqual
	OpEmpty // the field has no value; Value is not looked at
)

// Order sorts by a field.
type Order struct {
	Field      string
	Descending bool
}

// Page is what a list shows of the records that a Query selects.
type Page[R any] struct {
	Items []R
	Total int // of all that it selects
}

// UserScope says among whom users are looked for; empty fields do not matter.
type UserScope struct {
	RealmID    string
	Kind       UserKind
	AccountUID string // the user's own account
}

// UserLogin is a user with the login that stands for it where a dialect knows
// one name for each user: the first by profile.
type UserLogin struct {
	User  User
	Login Login
}

// MembershipScope says which memberships are looked for; one of the fields is
// set.
type MembershipScope struct {
	AccountUID string
	UserUID    string
}

// MembershipDetail is a membership with its two ends.
type MembershipDetail struct {
	Membership Membership
	Account    Account
	User       User
}

// ProfileAssignment is a security profile's assignment to a party.
type ProfileAssignment struct {
	ProfileID string
	Party     Party
}

// RequestSummary is a code request in a list; see Timeline for all of it.
type RequestSummary struct {
	Request    CodeRequest
	ResolvedAt time.Time // zero: not yet
}

// DeliveryRecord is an attempt in a list, with its message.
type DeliveryRecord struct {
	Attempt AttemptRecord
	Message Message // without its payload
}
