// Package chaos runs three replicas on one PostgreSQL database while processes, the database
// and the receiver of messages fail at random times. Then it checks that nothing was lost,
// doubled or late. "make test" runs it for some seconds, "make chaos" for minutes.
package chaos
