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

// Reason is why a delivery failed, in words that administrators may read. A
// Reason is one of our own texts. It never names an address, a port, a host, a
// resolver or a file, and never repeats the words of a receiver. Otherwise an
// administrator of senders could explore the network that the server is in.
//
// A Transport makes a Reason an error by returning it, or by wrapping it together
// with the cause: fmt.Errorf("%w: %w", Reason("…"), cause). The cause goes to the
// log alone.
type Reason string

// Error implements error.
func (r Reason) Error() string { return string(r) }

// The reasons of errors that the network, TLS and the store return.
const (
	reasonAddress     Reason = "address not allowed"
	reasonNoName      Reason = "name not found"
	reasonLookup      Reason = "name lookup failed"
	reasonTimeout     Reason = "timed out"
	reasonRefused     Reason = "connection refused"
	reasonUnreachable Reason = "host unreachable"
	reasonClosed      Reason = "connection closed"
	reasonCertificate Reason = "TLS certificate not accepted"
	reasonTLS         Reason = "TLS handshake failed"
	reasonDatabase    Reason = "database unavailable"
	reasonUnknown     Reason = "delivery failed"
)

// ReasonOf returns the first Reason that err wraps, or the one that stands for
// the kind of err. Unknown errors are "delivery failed".
func ReasonOf(err error) Reason {
	if reason, ok := errors.AsType[Reason](err); ok {
		return reason
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		if lookup.IsNotFound {
			return reasonNoName
		}
		return reasonLookup
	}
	switch {
	case Forbidden(err):
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
