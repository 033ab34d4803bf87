// Package replicas tests several servers on one PostgreSQL database: behind a pooler, and
// while a standby takes over.
package replicas
