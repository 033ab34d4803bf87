// Package selftest checks a running deployment from outside, as its clients see it
// through proxies and load balancers. It opens no database and knows no settings of the
// server.
//
// Every check is a request or a few. None changes a record, except for the journey of a
// test user, which asks for a code and presents a wrong one.
package selftest
