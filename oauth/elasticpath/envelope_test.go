package elasticpath

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

var world0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPageLinks(t *testing.T) {
	t.Parallel()
	const base = "https://id.example/x/v2/accounts?"
	type want struct{ current, first, last, next, prev string }
	tests := []struct {
		name, query   string
		limit, offset int
		total         int
		want          want
		pages, number int
	}{
		{"none at all", "", 25, 0, 0, want{"page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "", ""}, 0, 1},
		{"one page", "", 25, 0, 25, want{"page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "page[offset]=0&page[limit]=25", "", ""}, 1, 1},
		{"middle", "sort=-id&filter=eq(name,a%26b)&other=1", 10, 10, 35, want{
			"page[offset]=10&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=0&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=30&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=20&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
			"page[offset]=0&page[limit]=10&filter=eq%28name%2Ca%26b%29&sort=-id",
		}, 4, 2},
		{"odd offset", "", 10, 3, 20, want{"page[offset]=3&page[limit]=10", "page[offset]=0&page[limit]=10", "page[offset]=10&page[limit]=10", "page[offset]=13&page[limit]=10", "page[offset]=0&page[limit]=10"}, 2, 1},
		{"beyond the end", "", 10, 50, 20, want{"page[offset]=50&page[limit]=10", "page[offset]=0&page[limit]=10", "page[offset]=10&page[limit]=10", "", "page[offset]=40&page[limit]=10"}, 2, 6},
		{"at the ceiling", "", 100, 10000, 99999, want{"page[offset]=10000&page[limit]=100", "page[offset]=0&page[limit]=100", "page[offset]=10000&page[limit]=100", "", "page[offset]=9900&page[limit]=100"}, 1000, 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &call{Request: httptest.NewRequest(http.MethodGet, "/v2/accounts?"+tt.query, nil), api: &API{base: "https://id.example/x"}}
			var err error
			if c.values, err = surface.ReadQuery(c.Request, listParameters()); err != nil {
				t.Fatal(err)
			}
			q := storage.Query{Limit: tt.limit, Offset: tt.offset}
			links := c.pageLinks(q, tt.total)
			wanted := PageLinks{Current: base + tt.want.current, First: base + tt.want.first, Last: base + tt.want.last}
			if tt.want.next != "" {
				wanted.Next = new(base + tt.want.next)
			}
			if tt.want.prev != "" {
				wanted.Prev = new(base + tt.want.prev)
			}
			if diff := cmp.Diff(wanted, links); diff != "" {
				t.Error(diff)
			}
			meta := listMeta(q, tt.total)
			if meta.Page.Total != tt.pages || meta.Page.Current != tt.number || meta.Results.Total != tt.total {
				t.Errorf("meta %+v", meta)
			}
		})
	}
}

func TestWireTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 9, 5, 16, 53, 1, 584999000, time.FixedZone("", 2*3600))
	if got := wireTime(at); got != "2023-09-05T14:53:01.584Z" {
		t.Error(got)
	}
}

func TestAnswerTo(t *testing.T) {
	t.Parallel()
	until := world0.Add(90 * time.Second)
	tests := []struct {
		err    error
		status int
		detail string
		known  bool
	}{
		{errFilter, 400, "Could not parse the supplied filter", true},
		{fmt.Errorf("wrapped: %w", notFound("account")), 404, "account not found", true},
		{fmt.Errorf("x: %w", token.ErrTokenRevoked), 401, "Unauthorized", true},
		{signin.ErrCredentials, 400, "authentication failed", true},
		{&storage.LimitError{Budget: "recipient", Until: until}, 429, "Too many requests. Try again later.", true},
		{fmt.Errorf("x: %w", storage.ErrUnavailable), 503, "The server cannot answer now. Try again.", true},
		{storage.ErrUsernameTaken, 422, "Constraint violation", true},
		{storage.ErrConflict, 409, "The resource exists already or is in use", true},
		{&signin.RuleError{Rules: storage.PasswordRules{MinLength: 8, Digit: true}}, 422, "The password must have at least 8 characters, a digit", true},
		{errors.New("secret detail"), 500, "there was a problem processing your request", false},
	}
	for _, tt := range tests {
		answer, known := answerTo(tt.err, world0)
		if answer.status != tt.status || answer.Error() != tt.detail || known != tt.known {
			t.Errorf("%v: %d %q %v", tt.err, answer.status, answer.Error(), known)
		}
	}
}

func TestWriteRefusal(t *testing.T) {
	t.Parallel()
	r := &refusal{status: 429, details: []string{"a", "b"}, retryAfter: 1500 * time.Millisecond}
	texts, numbers := httptest.NewRecorder(), httptest.NewRecorder()
	writeRefusal(texts, r, false)
	writeRefusal(numbers, refuse(401), true)
	if got := texts.Header().Get("Retry-After") + texts.Header().Get("Cache-Control"); got != "2no-store" {
		t.Error(got)
	}
	const want = `{"errors":[{"title":"Too Many Requests","status":"429","detail":"a"},{"title":"Too Many Requests","status":"429","detail":"b"}]}`
	if got := texts.Body.String(); got != want {
		t.Error(got)
	}
	if got := numbers.Body.String(); got != `{"errors":[{"title":"Unauthorized","status":401}]}` {
		t.Error(got)
	}
}

func TestDecodeData(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"good", `{"type":"user_authentication_info","name":"n","unknown":[1],"given_name":null}`, ""},
		{"no type", `{"name":"n"}`, ""},
		{"nothing", ``, "Validation failed: field 'data' on the 'required' tag."},
		{"null", `null`, "Validation failed: field 'data' on the 'required' tag."},
		{"a list", `[]`, "Validation failed: field 'data' on the 'required' tag."},
		{"another type", `{"type":"account"}`, "Validation failed: field 'type' on the 'eq' tag."},
		{"a number for a type", `{"type":1}`, "Validation failed: field 'type' on the 'eq' tag."},
		{"a number for a name", `{"name":1}`, "Validation failed: field 'name' on the 'type' tag."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var body UserBody
			sent, err := decodeData([]byte(tt.data), &body, typeUser)
			if tt.want != "" {
				if err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || deref(body.Name) != "n" || sent.isNull("given_name") != (tt.name == "good") {
				t.Errorf("%+v %v %v", body, sent, err)
			}
		})
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int64{"": 0, "*": 0, `"7"`: 7, `7`: -1, `W/"7"`: -1, `"0"`: -1, `"x"`: -1, `"`: -1} {
		c := &call{Request: httptest.NewRequest(http.MethodPut, "/", nil)}
		if tag != "" {
			c.Header.Set("If-Match", tag)
		}
		version, err := c.wantsVersion()
		if (err != nil) != (want < 0) || err == nil && version != want {
			t.Errorf("%s: %d %v", tag, version, err)
		}
	}
}

func TestRewriteLosesNoChange(t *testing.T) {
	t.Parallel()
	type record struct{ version, sum int64 }
	stored, disturbed := record{version: 3, sum: 10}, 0
	add := func(c *call) (record, error) {
		return rewrite(c,
			func() (record, error) { return stored, nil },
			func(r record) int64 { return r.version },
			func(r record) (record, error) {
				if r.sum++; disturbed > 0 {
					disturbed--
					stored = record{stored.version + 1, stored.sum + 100}
				}
				return r, nil
			},
			func(r record) (record, error) {
				if r.version != stored.version {
					return r, storage.ErrStale
				}
				stored = record{r.version + 1, r.sum}
				return stored, nil
			})
	}
	c := &call{Request: httptest.NewRequest(http.MethodPut, "/", nil)}
	if disturbed = 2; true {
		if got, err := add(c); err != nil || got.sum != 211 {
			t.Errorf("disturbed twice: %+v %v", got, err)
		}
	}
	c.Header.Set("If-Match", `"3"`)
	if _, err := add(c); !errors.Is(err, errStale) {
		t.Errorf("another version: %v", err)
	}
	c.Header.Set("If-Match", fmt.Sprintf(`"%d"`, stored.version))
	disturbed = 1
	if _, err := add(c); !errors.Is(err, storage.ErrStale) {
		t.Errorf("overtaken: %v", err)
	}
}
