package wire

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// maxDeliverySecret is in characters (OrderCloud).
const maxDeliverySecret = 50

// DeliveryConfig is OrderCloud's delivery config: an endpoint with its secret
// that message senders share.
type DeliveryConfig struct {
	ID              string
	Name            string
	Enabled         *bool // default true
	DeliveryTargets DeliveryTargets
}

// DeliveryTargets is where messages go. One of the two is given.
type DeliveryTargets struct {
	MessageSender *MessageSenderTarget
	Http          *HttpTarget
}

// MessageSenderTarget is an endpoint that is called like that of a message sender.
type MessageSenderTarget struct {
	Endpoint string
	Secret   *string `json:",omitempty"` // write only
}

// HttpTarget is an endpoint that expects another header as well.
type HttpTarget struct {
	Endpoint              string
	Secret                *string `json:",omitempty"` // write only
	CustomAuthHeaderName  *string
	CustomAuthHeaderValue *string `json:",omitempty"` // write only
}

// KeptDelivery says which secrets of a delivery config are stored already.
type KeptDelivery struct{ Secret, Header bool }

// KeptOf returns which secrets a record of ToRecord has.
func KeptOf(r storage.DeliveryConfig) KeptDelivery {
	return KeptDelivery{Secret: len(r.Secret.Data) > 0, Header: len(r.CustomAuthHeader.Data) > 0}
}

// fieldName matches the name of a header (RFC 9110 §5.1).
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")

// ownHeaders are the headers of a call that administrators cannot set.
var ownHeaders = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Oc-Hash",
}

// Validate returns every fault of the delivery config, as found at path.
func (d DeliveryConfig) Validate(path string, kept KeptDelivery) Faults {
	c := check{path: path}
	c.id("ID", d.ID)
	c.required("Name", d.Name)
	in := check{path: Join(path, "DeliveryTargets")}
	switch t := d.DeliveryTargets; {
	case (t.MessageSender == nil) == (t.Http == nil):
		c.fail("DeliveryTargets", "must have one of MessageSender and Http")
	case t.Http != nil:
		in.path = Join(in.path, "Http")
		t.Http.validate(&in, kept)
	default:
		in.path = Join(in.path, "MessageSender")
		in.endpoint(t.MessageSender.Endpoint)
		in.deliverySecret(t.MessageSender.Secret)
		if t.MessageSender.Secret == nil && !kept.Secret {
			in.fail("Secret", "is required")
		}
	}
	return append(c.faults, in.faults...)
}

func (c *check) endpoint(value string) {
	if value == "" {
		c.fail("Endpoint", "is required")
		return
	}
	c.url("Endpoint", value)
}

func (c *check) deliverySecret(value *string) {
	c.secret("Secret", value, "leave it out to keep the stored one")
	if value != nil && utf8.RuneCountInString(*value) > maxDeliverySecret {
		c.fail("Secret", "longer than %d characters", maxDeliverySecret)
	}
}

func (t HttpTarget) validate(c *check, kept KeptDelivery) {
	c.endpoint(t.Endpoint)
	c.deliverySecret(t.Secret)
	c.secret("CustomAuthHeaderValue", t.CustomAuthHeaderValue, "leave it out to keep the stored one")
	if v := surface.ValueOr(t.CustomAuthHeaderValue, ""); strings.TrimSpace(v) != v || strings.ContainsFunc(v, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
		c.fail("CustomAuthHeaderValue", "must be printable ASCII without space at its ends")
	}
	name := surface.ValueOr(t.CustomAuthHeaderName, "")
	switch {
	case name == "" && t.CustomAuthHeaderValue != nil:
		c.fail("CustomAuthHeaderValue", "needs a CustomAuthHeaderName")
	case name == "":
	case !fieldName.MatchString(name) || slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) || strings.HasPrefix(strings.ToLower(name), "webhook-"):
		c.fail("CustomAuthHeaderName", "must be the name of a header that calls do not have anyway")
	case t.CustomAuthHeaderValue == nil && !kept.Header:
		c.fail("CustomAuthHeaderValue", "is required with CustomAuthHeaderName; a stored one is dropped when that or Endpoint changes")
	}
}

// ToRecord returns base with the members of the delivery config. SealSecrets adds
// the secrets. The stored value of the custom header stays only for the same header
// of the same endpoint. Otherwise an administrator who cannot read it could have it
// sent to another endpoint.
func (d DeliveryConfig) ToRecord(base storage.DeliveryConfig) storage.DeliveryConfig {
	r := base
	r.ID, r.Name, r.Enabled = d.ID, d.Name, surface.ValueOr(d.Enabled, true)
	r.Target, r.URL, r.CustomAuthHeaderName = storage.MessageSenderTarget, "", ""
	if t := d.DeliveryTargets.MessageSender; t != nil {
		r.URL = t.Endpoint
	}
	if t := d.DeliveryTargets.Http; t != nil {
		r.Target, r.URL, r.CustomAuthHeaderName = storage.HTTPTarget, t.Endpoint, surface.ValueOr(t.CustomAuthHeaderName, "")
	}
	if r.CustomAuthHeaderName == "" || r.CustomAuthHeaderName != base.CustomAuthHeaderName || r.URL != base.URL {
		r.CustomAuthHeader = storage.Sealed{}
	}
	return r
}

// SealSecrets seals the secrets of the delivery config into the record of ToRecord.
// The error is that of the sealer.
func (d DeliveryConfig) SealSecrets(with surface.Sealer, into *storage.DeliveryConfig) error {
	var secret, header *string
	if t := d.DeliveryTargets.MessageSender; t != nil {
		secret = t.Secret
	}
	if t := d.DeliveryTargets.Http; t != nil {
		secret, header = t.Secret, t.CustomAuthHeaderValue
	}
	_, err := sealAll(with, []secretMember{
		{"Secret", DeliverySecretContext, bytesOf(secret), &into.Secret},
		{"CustomAuthHeaderValue", DeliveryHeaderContext, bytesOf(header), &into.CustomAuthHeader},
	})
	return err
}

// DeliveryConfigFromRecord returns the delivery config as the wire shows it:
// without its secrets.
func DeliveryConfigFromRecord(r storage.DeliveryConfig) DeliveryConfig {
	d := DeliveryConfig{ID: r.ID, Name: r.Name, Enabled: &r.Enabled}
	if r.Target == storage.HTTPTarget {
		d.DeliveryTargets.Http = &HttpTarget{Endpoint: r.URL, CustomAuthHeaderName: surface.Optional(r.CustomAuthHeaderName)}
	} else {
		d.DeliveryTargets.MessageSender = &MessageSenderTarget{Endpoint: r.URL}
	}
	return d
}
