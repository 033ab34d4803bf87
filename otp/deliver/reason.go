package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"latchkey/storage"
)

// Reason says why a delivery failed, in a text that administrators of senders may
// read. Every Reason is a text of this program. It never names an address, a port, a
// host, a resolver or a file, and never quotes a receiver. Otherwise an administrator
// could explore the internal network of the server.
//
// A Transport returns a Reason as the error, or wraps it together with the cause:
// fmt.Errorf("%w: %w", Reason("…"), cause). The cause is only logged.
type Reason string

// Error implements error.
func (r Reason) Error() string { return string(r) }

// The reasons for errors of the network, of TLS and of the store.
const (
	reasonAddress      Reason = "address not allowed"
	reasonNameNotFound Reason = "name not found"
	reasonLookup       Reason = "name lookup failed"
	reasonTimeout      Reason = "timed out"
	reasonRefused      Reason = "connection refused"
	reasonUnreachable  Reason = "host unreachable"
	reasonClosed       Reason = "connection closed"
	reasonCertificate  Reason = "TLS certificate not accepted"
	reasonTLS          Reason = "TLS handshake failed"
	reasonDatabase     Reason = "database unavailable"
	reasonUnknown      Reason = "delivery failed"
)

// ReasonOf returns the first Reason that err wraps. Otherwise it returns the reason
// for the kind of err, or "delivery failed" for an unknown kind.
func ReasonOf(err error) Reason {
	if reason, ok := errors.AsType[Reason](err); ok {
		return reason
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		if lookup.IsNotFound {
			return reasonNameNotFound
		}
		return reasonLookup
	}
	switch {
	case IsForbiddenAddress(err):
		return reasonAddress
	case isCertificateError(err):
		return reasonCertificate
	case isTLSError(err):
		return reasonTLS
	case isAny(err, syscall.ECONNREFUSED):
		return reasonRefused
	case isAny(err, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EPERM):
		return reasonUnreachable
	case isTimeout(err):
		return reasonTimeout
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed):
		return reasonClosed
	case errors.Is(err, storage.ErrUnavailable):
		return reasonDatabase
	}
	return reasonUnknown
}

// isAny reports whether err wraps any of the known errors.
func isAny(err error, known ...error) bool {
	for _, k := range known {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || isAny(err, context.DeadlineExceeded, os.ErrDeadlineExceeded)
}

func isCertificateError(err error) bool {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongHost := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return unverified || unknownAuthority || wrongHost || invalid
}

func isTLSError(err error) bool {
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return notTLS || alert || errors.Is(err, http.ErrSchemeMismatch)
}
