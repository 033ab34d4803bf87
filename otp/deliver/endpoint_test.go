package deliver_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// endpoints returns Endpoints over the configs. Decrypting a secret puts "opened " in front of
// it.
func endpoints(configs ...storage.DeliveryConfig) deliver.Endpoints {
	open := func(s storage.Sealed) (string, error) { return "opened " + string(s.Data), nil }
	return deliver.Endpoints{
		Config: func(_ context.Context, id string) (storage.DeliveryConfig, error) {
			for _, c := range configs {
				if c.ID == id {
					return c, nil
				}
			}
			return storage.DeliveryConfig{}, storage.ErrNotFound
		},
		SharedKey:      func(s storage.Sender) (string, error) { return open(s.SharedKey) },
		SigningSecrets: func(s storage.Sender) ([]string, error) { return []string{string(s.SigningSecrets.Data)}, nil },
		ConfigSecret:   open,
		ConfigHeader:   open,
	}
}

func sealedAs(text string) storage.Sealed { return storage.Sealed{KeyID: "k", Data: []byte(text)} }

func TestEndpoints(t *testing.T) {
	t.Parallel()
	config := storage.DeliveryConfig{ID: "c", Enabled: true, URL: "https://config.example", Secret: sealedAs("config's")}
	withHeader := config
	withHeader.CustomAuthHeaderName, withHeader.CustomAuthHeader = "X-Api-Key", sealedAs("header")
	own := storage.Sender{URL: "https://own.example", SharedKey: sealedAs("own")}
	other, standard := own, own
	other.DeliveryConfig = "c"
	standard.Signature, standard.SigningSecrets = storage.StandardWebhookSignature, sealedAs("whsec")
	tests := []struct {
		name   string
		sender storage.Sender
		config storage.DeliveryConfig
		want   deliver.Endpoint
	}{
		{"endpoint of the sender", own, config, deliver.Endpoint{URL: "https://own.example", Key: "opened own"}},
		{"sender without a key", storage.Sender{URL: "https://own.example"}, config, deliver.Endpoint{URL: "https://own.example"}},
		{"endpoint of the delivery config", other, config, deliver.Endpoint{URL: "https://config.example", Key: "opened config's"}},
		{"delivery config with a header", other, withHeader, deliver.Endpoint{
			URL: "https://config.example", Key: "opened config's", HeaderName: "X-Api-Key", HeaderValue: "opened header",
		}},
		{"sender that signs", standard, config, deliver.Endpoint{URL: "https://own.example", Key: "opened own", SigningSecrets: []string{"whsec"}}},
	}
	for _, test := range tests {
		got, err := endpoints(test.config).Of(t.Context(), test.sender)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
		}
	}
}

// TestEndpointsRefuse tests that a sender whose delivery config is disabled, deleted or not
// valid has no endpoint. It does not fall back to the URL of the sender. The error is
// permanent, unless the database is not available or a secret cannot be decrypted.
func TestEndpointsRefuse(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	sender := storage.Sender{URL: "https://own.example", SharedKey: sealedAs("own"), DeliveryConfig: "c"}
	header := func(name, value string) deliver.Endpoints {
		return endpoints(storage.DeliveryConfig{ID: "c", Enabled: true, CustomAuthHeaderName: name, CustomAuthHeader: sealedAs(value)})
	}
	unavailable, sealed := endpoints(), endpoints(storage.DeliveryConfig{ID: "c", Enabled: true, Secret: sealedAs("x")})
	unavailable.Config = func(context.Context, string) (storage.DeliveryConfig, error) { return storage.DeliveryConfig{}, fault }
	sealed.ConfigSecret = func(storage.Sealed) (string, error) { return "", fault }
	for name, test := range map[string]struct {
		from      deliver.Endpoints
		permanent bool
	}{
		"config deleted":             {endpoints(), true},
		"config disabled":            {endpoints(storage.DeliveryConfig{ID: "c", URL: "https://config.example"}), true},
		"invalid header name":        {header("X Key", "v"), true},
		"line break in the header":   {header("X-Key", "v\r\nX-Other: w"), true},
		"database not available":     {unavailable, false},
		"secret cannot be decrypted": {sealed, false},
	} {
		got, err := test.from.Of(t.Context(), sender)
		if err == nil || deliver.IsPermanent(err) != test.permanent || !cmp.Equal(got, deliver.Endpoint{}) {
			t.Errorf("%s: got %+v, error %v, permanent %v", name, got, err, deliver.IsPermanent(err))
		}
	}
}

func TestEndpointHeader(t *testing.T) {
	t.Parallel()
	got := deliver.Endpoint{HeaderName: "content-type", HeaderValue: "text/html"}.Header()
	if diff := cmp.Diff(http.Header{"Content-Type": {"application/json"}}, got); diff != "" {
		t.Errorf("the endpoint's header replaces Content-Type (-want +got):\n%s", diff)
	}
	got = deliver.Endpoint{HeaderName: "X-Api-Key", HeaderValue: "v"}.Header()
	if diff := cmp.Diff(http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {"v"}}, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}
