// Command latchkey is the Latchkey server and its administration: one
// subcommand a file. It is the only place where all packages meet.
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

// start lets the first signal end the work in order; the second one, no longer
// caught, ends the process.
func start() int {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
