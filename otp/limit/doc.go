// Package limit limits the rate of events, such as requests of a client address. It
// determines the network under which an address is counted, and has the generic cell rate
// algorithm (GCRA) in two forms.
//
//	limit.go    Limit, and the algorithm
//	memory.go   Memory counts in this process
//	stored.go   Stored and NewCharge count in the database, for all servers
//	network.go  the network and the source of an address
//
// It does not own the SQL of the stored form (package gormstore), or which requests
// are counted: callers decide that.
package limit
