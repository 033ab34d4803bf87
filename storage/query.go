package storage

import (
	"errors"
	"fmt"
	"time"
)

// ErrQuery says that a list does not have the field, or that a value does not have
// the field's type. Wrapped errors name the field.
var ErrQuery = errors.New("invalid list query")

// The cost of a Query. A store refuses a Query that costs more than MaxQueryCost
// without running it.
const (
	MaxQueryCost = 500
	// ExpensiveFieldCost is the cost of a comparison with, or a sort by, a member
	// of XP or the username of a user, which the database has to compute for each
	// record. Other fields cost 1. A pattern costs this again for each asterisk
	// after the first.
	ExpensiveFieldCost = 20
)

// QueryLimitError says that a Query costs too much or took too long. It wraps
// ErrQuery in the first case and ErrUnavailable in the second.
type QueryLimitError struct {
	Timeout time.Duration // the time limit that was exceeded; 0: the Query costs too much
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

// Query selects and sorts the records of a list. Fields have the names of the
// record's fields, and XP.path for a member of XP. Each List method documents its
// fields.
type Query struct {
	Where  []Condition // all must hold
	Sort   []Order     // followed by the default order of the list
	Offset int         // number of records to skip
	After  string      // Page.Next of the page before, instead of Offset; empty: count from the start
	Limit  int         // highest number of records; at least 1

	// Uncounted reads the first page as After reads the others: in one statement, which does
	// not count the records. Offset must be 0. The total of a page is exact on the last one;
	// on the others it is one more than the records up to the end of the page.
	Uncounted bool
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
	Not   bool   // negates the comparison
}

// Op is a comparison.
type Op int

// The comparisons. Text is compared exactly; the Fold variants ignore the case of
// ASCII letters. An asterisk in the pattern of OpLike matches any text.
const (
	OpEqual Op = iota
	OpEqualFold
	OpLike
	OpLikeFold
	OpLess
	OpLessOrEqual
	OpGreater
	OpGreaterOrEqual
	OpEmpty // the field has no value; Value is ignored
)

// Order sorts by a field.
type Order struct {
	Field      string
	Descending bool
}

// Page is the part of a list that a Query asks for.
type Page[R any] struct {
	Items  []R
	Total  int // number of all records that Where selects; with Query.After as counted for the first page
	Offset int // number of records before the page; with Query.After the number of records on the pages before

	// Estimated says that Total is an estimate. Totals up to 100,000 are exact, and so is
	// the total of a page at an Offset that ends beyond record 100,000. With Query.Uncounted
	// only the total of the last page is exact.
	Estimated bool

	// Next is Query.After of the next page. A Query with it finds the next records by an
	// index, however many come before. It is for a Query with the same Where and Sort.
	// Empty: this is the last page.
	Next string
}

// WithItems returns the page with other items, such as what is shown of each record.
func WithItems[R, W any](p Page[R], items []W) Page[W] {
	return Page[W]{Items: items, Total: p.Total, Offset: p.Offset, Estimated: p.Estimated, Next: p.Next}
}

// UserScope selects users. Empty fields select all.
type UserScope struct {
	RealmID    string
	Kind       UserKind
	AccountUID string // the user's own account
}

// UserSearch finds users of all companies. Page.Total of its pages is exact up to 200, and 201
// if there are more.
type UserSearch struct {
	RealmID string
	Kinds   []UserKind // users of other kinds are left out
	Field   string     // SearchUsername, SearchEmail or SearchLastName; the users are sorted by it
	Prefix  string     // beginning of the value, in any letter case; an asterisk matches any text. Empty: all users
	After   string     // Page.Next of the page before; empty: the first page
	Limit   int
}

// The fields of a UserSearch.
const (
	SearchUsername = "Username"
	SearchEmail    = "Email"
	SearchLastName = "LastName"
)

// UserLogin is a user with its main login, which is the first one by profile ID.
// OrderCloud has one username for each user.
type UserLogin struct {
	User  User
	Login Login
}

// MembershipScope selects the memberships of an account or of a user. One of the
// fields is set.
type MembershipScope struct {
	AccountUID string
	UserUID    string
}

// MembershipDetail is a membership with its account and its user.
type MembershipDetail struct {
	Membership Membership
	Account    Account
	User       User
}

// ProfileAssignment is the assignment of a security profile to a Party.
type ProfileAssignment struct {
	ProfileID string
	Party     Party
}

// RequestWords are the words by which code requests are looked for. A request matches if
// one of its IDs is the ID, or if one of its names is one of the names, without regard to the
// case of ASCII letters.
type RequestWords struct {
	ID       string   // of the request or of the HTTP request
	Names    []string // usernames and e-mail addresses
	UserUIDs []string
}

// DeliveryRecord is a delivery attempt in a list, with its message.
type DeliveryRecord struct {
	Attempt AttemptRecord
	Message Message // without its payload
}
