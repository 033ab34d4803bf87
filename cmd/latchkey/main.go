// Command latchkey is the Latchkey server and its administration. Each subcommand has
// a file of its own that parses flags, calls other packages and prints the result.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(start())
}

// start runs the command line. The first SIGINT or SIGTERM stops it gracefully; the
// second one ends the process at once.
func start() int {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
