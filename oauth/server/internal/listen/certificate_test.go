package listen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// writeCertificate writes a self-signed certificate for 127.0.0.1 with the serial number.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(serial, 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCertificateIsReadAgain tests that the certificate is read again when its files change,
// and stays in use while they are broken. The connection limits also apply to TLS.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	var ahead atomic.Int64
	s := start(t, http.NotFoundHandler(), func(c *Config) {
		c.TLSCertFile, c.TLSKeyFile = certFile, keyFile
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	serial := func() int64 {
		t.Helper()
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.Addr().String()) //nolint:gosec // the test looks at the certificate itself
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test is over then
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("got certificate %d, want 1", got)
	}
	writeCertificate(t, certFile, keyFile, 2)
	if got := serial(); got != 1 {
		t.Errorf("before the files are checked: got certificate %d", got)
	}
	ahead.Add(int64(certificateAge))
	if got := serial(); got != 2 {
		t.Errorf("after a renewal: got certificate %d, want 2", got)
	}
	if err := os.WriteFile(keyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	ahead.Add(int64(certificateAge))
	if got := serial(); got != 2 || !strings.Contains(s.log.text(), "stays in use") {
		t.Errorf("while the files are broken: got certificate %d, want 2", got)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // self-signed
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + s.Addr().String() + "/") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	_, copyErr := io.Copy(io.Discard, response.Body) // otherwise the client closes the connection
	if err := errors.Join(copyErr, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusNotFound || response.Header.Get("Strict-Transport-Security") == "" || response.ProtoMajor != 1 {
		t.Errorf("got status %d over %s", response.StatusCode, response.Proto)
	}
	idle := func() int {
		s.apiLimit.mu.Lock()
		defer s.apiLimit.mu.Unlock()
		return s.apiLimit.idle.Len()
	}
	deadline := time.Now().Add(10 * time.Second)
	for idle() == 0 { // until the server counts the connection as idle
		if time.Now().After(deadline) {
			t.Fatal("the idle TLS connection was not closed for another one")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestHealthOnListen tests /healthz on the address of the API. It needs no database, reports
// that the server stops, and exists only with the setting.
func TestHealthOnListen(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{false, true} {
		s := start(t, http.NotFoundHandler(), func(c *Config) { c.HealthOnListen = wanted })
		want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[wanted]
		if got, _ := s.get(t, s.url("/healthz"), nil); got.StatusCode != want {
			t.Errorf("wanted %v: got %d", wanted, got.StatusCode)
		}
		s.stopping.Store(true)
		if got, body := s.get(t, s.url("/healthz"), nil); wanted && (got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "stopping")) {
			t.Errorf("during the stop: got %d %s, want 503", got.StatusCode, body)
		}
		if got, _ := s.get(t, s.url("/readyz"), nil); got.StatusCode != http.StatusNotFound {
			t.Errorf("readiness on the public address: got %d, want 404", got.StatusCode)
		}
	}
}
