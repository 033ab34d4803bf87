package grants

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestReadForm tests that any content type is accepted, and that nothing else is tolerated.
func TestReadForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       url.Values
		err        error
	}{
		{"form", "grant_type=implicit&client_id=key&empty=", url.Values{"grant_type": {"implicit"}, "client_id": {"key"}}, nil},
		{"semicolons", "a;b=1;c&client_id=x;y;&;=z", url.Values{"a;b": {"1;c"}, "client_id": {"x;y;"}, ";": {"z"}}, nil},
		{"encodings", "&&a+b=c+%2B%3B%26d&=e&f", url.Values{"a b": {"c +;&d"}, "": {"e"}}, nil},
		{"repeated with a semicolon", "a;b=1&a;b=2", nil, ErrRepeatedParameter},
		{"repeated", "client_id=a&client_id=b", nil, ErrRepeatedParameter},
		{"malformed", "client_id=%zz", nil, ErrMalformedForm},
		{"too large", "a=" + strings.Repeat("x", MaxFormBytes), nil, ErrFormTooLarge},
		{"too many", strings.Repeat("a&", MaxFormParameters), nil, ErrTooManyParameters},
	}
	for _, test := range tests {
		r := httptest.NewRequest(http.MethodPost, "/oauth/access_token?grant_type=query", strings.NewReader(test.body))
		r.Header.Set("Content-Type", "application/json")
		got, err := ReadForm(httptest.NewRecorder(), r)
		if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) {
			t.Errorf("%s: got error %v, form (-want +got):\n%s", test.name, err, diff)
		}
	}
}

// FuzzReadForm tests what ReadForm guarantees: few parameters, no empty or repeated one, and
// the same form when it is sent again.
func FuzzReadForm(f *testing.F) {
	for _, seed := range []string{
		"", "grant_type=password&username=a&password=b", "a=1&a=2", "a=&a=", "resource=https://a&resource=https://b", "a=%zz", "username=%ff", "username=a%0ab",
		"scope=a+b", "scope=%22", "client_id=%00", strings.Repeat("a&", 70), "a;b=c", "=x", "username=" + strings.Repeat("x", 300),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		read := func(body string) (url.Values, error) {
			r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(body))
			return ReadForm(httptest.NewRecorder(), r)
		}
		form, err := read(body)
		if err != nil {
			return
		}
		if len(form) > MaxFormParameters {
			t.Errorf("got %d parameters, want at most %d", len(form), MaxFormParameters)
		}
		for name, values := range form {
			if len(values) != 1 && name != "resource" && name != "audience" || len(values) == 1 && values[0] == "" {
				t.Errorf("%q: got %q as %q, want one value", body, name, values)
			}
		}
		for _, name := range []string{"username", "client_id"} {
			if !utf8.ValidString(form.Get(name)) || strings.ContainsAny(form.Get(name), "\r\n\x00") {
				t.Errorf("%q: got %s as %q, want valid text without line breaks", body, name, form.Get(name))
			}
		}
		again, err := read(form.Encode())
		if err != nil && !errors.Is(err, ErrFormTooLarge) || err == nil && !maps.EqualFunc(form, again, slices.Equal) {
			t.Errorf("%q is read as %v, and sent again as %v, error %v", body, form, again, err)
		}
	})
}
