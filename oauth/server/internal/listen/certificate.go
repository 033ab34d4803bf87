package listen

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// certificateAge is how long a certificate is used before its files are looked at again.
const certificateAge = 10 * time.Second

// certificate is a TLS certificate that is read again when its files change, so that its
// renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	now               func() time.Time
	log               zerolog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time // of the files when current was read
	checked time.Time
}

// newCertificate reads the certificate, in PEM with its chain, and its key.
func newCertificate(certFile, keyFile string, now func() time.Time, log zerolog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, now: now, log: log, checked: now()}
	changed, err := c.times()
	if err == nil {
		err = c.read(changed)
	}
	if err != nil {
		return nil, fmt.Errorf("server: TLS certificate: %w", err)
	}
	return c, nil
}

// config returns what a listener needs. Connections use HTTP/1.1, for which the limits of
// connections are made.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

// get returns the certificate. If new files cannot be read, which happens while they are
// replaced, the one before stays in use.
func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certificateAge {
		c.checked = now
		changed, err := c.times()
		if err == nil && changed != c.changed {
			if err = c.read(changed); err == nil {
				c.log.Info().Time("not_after", c.current.Leaf.NotAfter).Msg("new TLS certificate")
			}
		}
		if err != nil {
			c.log.Warn().Err(err).Msg("TLS certificate cannot be read; the one before stays in use")
		}
	}
	return c.current
}

func (c *certificate) times() (changed [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}

func (c *certificate) read(changed [2]time.Time) error {
	read, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.current, c.changed = &read, changed
	}
	return err
}
