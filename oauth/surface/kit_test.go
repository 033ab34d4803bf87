package surface

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int64{"": 0, "*": 0, EntityTag(1): 1, EntityTag(1 << 40): 1 << 40} {
		if got, err := IfMatch(http.Header{"If-Match": {header}}); got != want || err != nil {
			t.Errorf("%q: got %d, error %v, want %d", header, got, err, want)
		}
	}
	for _, header := range []string{"1", `"0"`, `"-1"`, `"1`, `1"`, `W/"1"`, `"1", "2"`, `"a"`, `"9223372036854775808"`} {
		if _, err := IfMatch(http.Header{"If-Match": {header}}); !errors.Is(err, ErrIfMatch) {
			t.Errorf("%q: got %v, want ErrIfMatch", header, err)
		}
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		`{}`: nil, ` [1] `: nil, `"12345678"`: nil, `"123456789"`: ErrBodyTooLarge, ``: ErrBodyNotJSON, `{`: ErrBodyNotJSON,
		"\"\xff\"": ErrBodyNotJSON, `{} {}`: ErrBodyNotJSON,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		raw, err := ReadJSON(httptest.NewRecorder(), r, 10)
		if !errors.Is(err, want) || err == nil && string(raw) != body {
			t.Errorf("%q: got %q, error %v, want %v", body, raw, err, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	other := errors.New("another error")
	for _, test := range []struct {
		name   string
		wanted int64
		errs   []error // of the calls in order
		want   error
	}{
		{"first call", 0, []error{nil}, nil},
		{"third call", 0, []error{storage.ErrStale, fmt.Errorf("put: %w", storage.ErrStale), nil}, nil},
		{"another error", 0, []error{storage.ErrStale, other}, other},
		{"always changed", 0, []error{storage.ErrStale, storage.ErrStale, storage.ErrStale}, storage.ErrStale},
		{"If-Match", 7, []error{storage.ErrStale}, storage.ErrStale},
	} {
		calls := 0
		err := Rewrite(3, test.wanted, func() error { calls++; return test.errs[calls-1] })
		if !errors.Is(err, test.want) || calls != len(test.errs) {
			t.Errorf("%s: got %v after %d calls", test.name, err, calls)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Answer{Status: http.StatusOK, Body: map[string]int{"A": 1}, Version: 3, Changed: []string{"A", "B"}, Notice: "note", Estimated: true}.Write(w, "application/json")
	want := http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "Etag": {`"3"`},
		"Latchkey-Changed": {"A, B"}, "Latchkey-Notice": {"note"}, "Latchkey-Total": {"estimated"},
	}
	if w.Code != http.StatusOK || w.Body.String() != `{"A":1}` || fmt.Sprint(w.Header()) != fmt.Sprint(want) {
		t.Errorf("got %d %s %v, want 200", w.Code, w.Body, w.Header())
	}
	w = httptest.NewRecorder()
	Answer{Status: http.StatusNoContent}.Write(w, "application/json")
	if w.Code != http.StatusNoContent || w.Body.Len() > 0 || fmt.Sprint(w.Header()) != fmt.Sprint(http.Header{"Cache-Control": {"no-store"}}) {
		t.Errorf("got %d %s %v, want an empty 204", w.Code, w.Body, w.Header())
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		0: "", time.Millisecond: "1", time.Second: "1", time.Second + 1: "2", -time.Minute: "1", time.Hour: "3600",
	} {
		h := http.Header{}
		if SetRetryAfter(h, wait); h.Get("Retry-After") != want {
			t.Errorf("%v: got %q, want %q", wait, h.Get("Retry-After"), want)
		}
	}
	now := time.Unix(1_000, 0)
	for until, want := range map[time.Duration]time.Duration{-time.Minute: time.Second, 0: time.Second, time.Minute: time.Minute} {
		if got := LimitWait(&storage.LimitError{Until: now.Add(until)}, now); got != want {
			t.Errorf("%v: got %v, want %v", until, got, want)
		}
	}
	for err, want := range map[error]bool{
		fmt.Errorf("list: %w", storage.ErrUnavailable): true, context.Canceled: true, &storage.QueryLimitError{Timeout: time.Second}: true,
		&storage.QueryLimitError{}: false, storage.ErrStale: false,
	} {
		if IsUnavailable(err) != want {
			t.Errorf("%v: got %v, want %v", err, !want, want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		is   func(string) bool
		s    string
		want bool
	}{
		{IsPlainText, "Zoë", true},
		{IsPlainText, "a\nb", false},
		{IsPlainText, "\xff", false},
		{IsPlainText, "\x00", false},
		{IsEmail, "jane@example.com", true},
		{IsEmail, "Jane <jane@example.com>", false},
		{IsEmail, "jane", false},
		{IsRole, "BuyerAdmin", true},
		{IsRole, "", false},
		{IsRole, "a b", false},
		{IsRole, `a"`, false},
		{IsRole, `a\`, false},
		{IsRole, "é", false},
		{IsRole, strings.Repeat("a", MaxID), true},
		{IsRole, strings.Repeat("a", MaxID+1), false},
		{isHTTPURL, "https://example.com/a", true},
		{isHTTPURL, "HTTP://example.com", true},
		{isHTTPURL, "https:///a", false},
		{isHTTPURL, "/a", false},
		{isHTTPURL, "ftp://example.com", false},
		{isHTTPURL, "https://exa mple.com", false},
	} {
		if test.is(test.s) != test.want {
			t.Errorf("%q: got %v, want %v", test.s, !test.want, test.want)
		}
	}
}

func isHTTPURL(s string) bool {
	_, ok := ParseHTTPURL(s)
	return ok
}
