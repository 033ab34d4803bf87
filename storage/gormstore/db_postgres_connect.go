package gormstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	connectTimeout = 5 * time.Second
	// severalHostsTimeout replaces connectTimeout if the URL names several hosts: one that
	// hangs must not use up the time of a request before the next one is tried.
	severalHostsTimeout = 1500 * time.Millisecond
)

// cachedStatements is how many statements a connection remembers. pgx reserves memory for
// all of them, twice for each connection, and its default is 512. Requests for tokens use
// some twenty.
const cachedStatements = 128

// sessionSetting is a setting of PostgreSQL for a session or a transaction.
type sessionSetting struct{ name, value string }

// servingSettings returns the settings of connections that serve requests. With them
// PostgreSQL ends the transactions and connections of clients that hang or have vanished: a
// client that hangs within a transaction keeps its locks for three seconds. They also set
// the isolation level that the statements are written for.
func servingSettings() []sessionSetting {
	return []sessionSetting{
		{"default_transaction_isolation", "read committed"},
		{"idle_in_transaction_session_timeout", "3s"},
		{"lock_timeout", "5s"},
		{"statement_timeout", "60s"},
		{"tcp_user_timeout", "10s"},
	}
}

// connector opens connections to PostgreSQL, directly or through a pooler. It implements
// driver.Connector.
//
// It belongs to one server at a time. When a connection shows that this server takes no
// more writes, or when another server has taken over, all connections of the pool are
// replaced.
type connector struct {
	conn      *pgx.ConnConfig
	hosts     [][]*pgconn.FallbackConfig // each with its ways to connect
	modeGiven bool                       // the URL says how statements are sent
	settings  []sessionSetting

	epoch     atomic.Uint64 // connections of former epochs are not used again
	pooled    atomic.Bool   // a pooler was in between last time
	preferred atomic.Int32  // the host that connected last

	mu     sync.Mutex
	server string // what the connections of this epoch are connected to; empty: not known
	open   map[*connection]struct{}
}

// newConnector returns a connector for the URL. Settings that the URL names are left to it.
func newConnector(url string, settings []sessionSetting) (*connector, error) {
	conn, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // pgx leaves the password out
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "latchkey"
	}
	if !strings.Contains(url, "statement_cache_capacity=") {
		conn.StatementCacheCapacity = cachedStatements
	}
	if !strings.Contains(url, "description_cache_capacity=") {
		conn.DescriptionCacheCapacity = cachedStatements
	}
	c := &connector{conn: conn, hosts: hostsOf(conn), modeGiven: strings.Contains(url, "default_query_exec_mode=")}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
		if len(c.hosts) > 1 {
			conn.ConnectTimeout = severalHostsTimeout
		}
	}
	return c.with(settings), nil
}

// with returns a connector to the same hosts with other settings.
func (c *connector) with(settings []sessionSetting) *connector {
	other := &connector{conn: c.conn, hosts: c.hosts, modeGiven: c.modeGiven, open: map[*connection]struct{}{}}
	for _, s := range settings {
		if _, given := c.conn.RuntimeParams[s.name]; !given {
			other.settings = append(other.settings, s)
		}
	}
	return other
}

// hostsOf groups what pgx tries one after the other by its host.
func hostsOf(conn *pgx.ConnConfig) (hosts [][]*pgconn.FallbackConfig) {
	ways := append([]*pgconn.FallbackConfig{{Host: conn.Host, Port: conn.Port, TLSConfig: conn.TLSConfig}}, conn.Fallbacks...)
	for i, way := range ways {
		if i == 0 || way.Host != ways[i-1].Host || way.Port != ways[i-1].Port {
			hosts = append(hosts, nil)
		}
		last := len(hosts) - 1
		hosts[last] = append(hosts[last], way)
	}
	return hosts
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, to, err := c.dial(ctx, func(*pgconn.PgConn, *pgconn.Notification) {})
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: inner, from: c, peer: to}
	c.add(conn)
	return conn, nil
}

// dial connects to the first host that takes the connection, beginning with the one that
// did last.
func (c *connector) dial(ctx context.Context, notified pgconn.NotificationHandler) (*stdlib.Conn, peer, error) {
	var errs []error
	first := int(c.preferred.Load())
	for i := range c.hosts {
		host := (first + i) % len(c.hosts)
		conn, to, err := c.dialHost(ctx, host, notified)
		if err == nil {
			c.preferred.Store(int32(host)) //nolint:gosec // a URL has few hosts
			return conn, to, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, peer{}, errors.Join(errs...)
}

// dialHost connects to one host. Statements are prepared on the server only if no pooler is
// in between: in transaction mode it gives each transaction another connection. So the
// first connection through a pooler is made twice.
func (c *connector) dialHost(ctx context.Context, host int, notified pgconn.NotificationHandler) (*stdlib.Conn, peer, error) {
	config := c.conn.Copy()
	ways := c.hosts[host]
	config.Host, config.Port, config.TLSConfig, config.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
	config.OnNotification = notified
	describes := c.pooled.Load() && !c.modeGiven
	if describes {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	opened, err := stdlib.GetConnector(*config).Connect(ctx)
	if err != nil {
		return nil, peer{}, err
	}
	conn := opened.(*stdlib.Conn) //nolint:forcetypeassert // it is what this connector opens
	to, err := c.inspect(ctx, conn.Conn())
	if err != nil {
		return nil, peer{}, errors.Join(err, conn.Close())
	}
	c.pooled.Store(to.pooled)
	if to.pooled && !describes && !c.modeGiven {
		_ = conn.Close() // nothing was asked of it
		return c.dialHost(ctx, host, notified)
	}
	return conn, to, nil
}

// peer is what a connection leads to.
type peer struct {
	server    string // differs from that of every other server, and after a restart
	pooled    bool   // a pooler is in between
	isolation string // of transactions that name none
}

// inspect asks the database which server a new connection leads to, and whether a pooler is
// in between. Without a pooler it applies the settings to the session. A pooler announces a
// process id of its own, and its connections to the server are shared with others, so
// nothing may be set on them.
func (c *connector) inspect(ctx context.Context, conn *pgx.Conn) (peer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.conn.ConnectTimeout)
	defer cancel()
	apply := "'none'"
	for _, s := range c.settings {
		apply += ", set_config('" + s.name + "', '" + s.value + "', FALSE)"
	}
	results, err := conn.PgConn().Exec(ctx, fmt.Sprintf(
		"SELECT pg_postmaster_start_time()::text, CASE WHEN pg_backend_pid() = %d THEN concat(%s) END IS NULL; "+
			"SELECT current_setting('default_transaction_isolation')", conn.PgConn().PID(), apply)).ReadAll()
	if err != nil {
		return peer{}, err
	}
	if len(results) != 2 || len(results[0].Rows) != 1 || len(results[1].Rows) != 1 {
		return peer{}, errors.New("the database did not say what it is")
	}
	answer := results[0].Rows[0]
	return peer{server: string(answer[0]), pooled: string(answer[1]) == "t", isolation: string(results[1].Rows[0][0])}, nil
}

// add takes a new connection into the pool.
func (c *connector) add(conn *connection) {
	c.reached(conn.peer)
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.epoch = c.epoch.Load()
	c.open[conn] = struct{}{}
}

// reached closes all connections of the pool if a new connection leads to another server.
// Connections that wait for an answer are closed too. It does nothing behind a pooler, because the server
// of a connection is not known there.
func (c *connector) reached(to peer) {
	if to.pooled {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != "" && c.server != to.server {
		c.epoch.Add(1)
		for other := range c.open {
			_ = other.Conn.Conn().PgConn().Conn().Close() // whoever waits for it gets the error
		}
	}
	c.server = to.server
}

func (c *connector) remove(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// leave makes the pool replace the connections of an epoch. Those in use end with their
// statement.
func (c *connector) leave(epoch uint64) { c.epoch.CompareAndSwap(epoch, epoch+1) }

// avoid makes dial begin with the next host.
func (c *connector) avoid() {
	c.preferred.Store((c.preferred.Load() + 1) % int32(len(c.hosts))) //nolint:gosec // a URL has few hosts
}
