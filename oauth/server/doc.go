// Package server assembles the authorization server from a configuration and runs
// it: the database, its secrets, the surfaces, the transports of messages, and the
// loops in the background.
//
// Run is the whole server. The steps are available one by one: OpenStore and
// NewApp open what commands use too, New assembles a Server, and Server.Run serves.
// Clock, random source, logger and statement hook come from Config.
//
// Package oauth/server/internal/listen holds the listeners, limits, health and shutdown;
// package oauth/server/audit records events.
package server
