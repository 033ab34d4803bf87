package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// crowd is how many users the lists have.
const crowd = 2000

func TestLists(t *testing.T) {
	eachMarket(t, []string{unhurried}, func(t *testing.T, m *market) {
		m.observe(t)
		for _, id := range []string{"acme", "other"} {
			m.do(t, 201, "POST", "/v1/buyers", `{"ID":"`+id+`","Name":"`+id+`"}`)
		}
		m.do(t, 201, "POST", "/v1/buyers/other/users", `{"ID":"u0007","Username":"stranger","LastName":"Seven"}`)
		m.populate(t)
		t.Run("pages", m.pages)
		t.Run("filters", m.filters)
		t.Run("what lists refuse", m.listRefusals)
		t.Run("entity tags", m.entityTags)
		t.Run("lost updates", m.lostUpdates)
		t.Run("one id", m.oneID)
		t.Run("one name", m.oneName)
		t.Run("nothing by halves", m.nothingByHalves)
	})
}

// populate makes the users of buyer "acme" past the server.
func (m *market) populate(t *testing.T) {
	t.Helper()
	m.withApp(func(ctx context.Context, a *app) error {
		acme, err := a.store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
		if err != nil {
			return err
		}
		return a.store.InTx(ctx, func(ctx context.Context) error {
			for i := 0; i < crowd && err == nil; i++ {
				err = m.member(ctx, a, acme.UID, i)
			}
			return err
		})
	})
}

func (m *market) member(ctx context.Context, a *app, accountUID string, i int) error {
	id := fmt.Sprintf("u%04d", i)
	_, err := a.store.PutUser(ctx, storage.User{
		UID: "usr_" + id, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: accountUID, ID: id, Active: i%10 != 0,
		FirstName: fmt.Sprint("First", i%7), LastName: fmt.Sprint("Last", i%3), Email: id + "@example.com", EmailKey: id + "@example.com",
		XP: json.RawMessage(fmt.Sprintf(`{"number":%d,"group":{"name":"g%d"}}`, i, i%5)),
	})
	if err != nil {
		return err
	}
	_, err = a.store.PutLogin(ctx, storage.Login{
		ID: "lgn_" + id, ProfileID: storage.DefaultProfileID, Username: "User-" + id, UsernameKey: "user-" + id, UserUID: "usr_" + id, Active: true,
	})
	return err
}

// pageOfUsers is a page as the API shows it.
type pageOfUsers struct {
	Meta struct {
		Page, PageSize, TotalCount, TotalPages int
		ItemRange                              [2]int
		NextPageKey                            *string
	}
	Items []struct {
		ID, Username, LastName string
		Active                 bool
	}
}

// list asks for a page of acme's users.
func (m *market) list(t *testing.T, query string) (page pageOfUsers) {
	t.Helper()
	got := m.do(t, 200, "GET", "/v1/buyers/acme/users?"+query, nil)
	if err := json.Unmarshal([]byte(got.body), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

func (l pageOfUsers) ids() (ids []string) {
	for _, i := range l.Items {
		ids = append(ids, i.ID)
	}
	return ids
}

func (m *market) pages(t *testing.T) {
	for _, tt := range []struct {
		query            string
		size, page, from int
		ids              []string
	}{
		{"", 20, 1, 1, []string{"u0000", "u0019"}},
		{"page=1&pageSize=100", 100, 1, 1, []string{"u0000", "u0099"}},
		{"page=20&pageSize=100", 100, 20, 1901, []string{"u1900", "u1999"}},
		{"page=667&pageSize=3", 3, 667, 1999, []string{"u1998", "u1999"}},
		{"page=1&pageSize=2&sortBy=!ID", 2, 1, 1, []string{"u1999", "u1998"}},
		{"page=1000&pageSize=2&sortBy=!Username", 2, 1000, 1999, []string{"u0001", "u0000"}},
		{"page=1&pageSize=2&sortBy=LastName,!FirstName,ID", 2, 1, 1, []string{"u0006", "u0027"}},
	} {
		got := m.list(t, tt.query)
		ids := got.ids()
		if len(ids) == 0 {
			t.Errorf("%s: an empty page", tt.query)
			continue
		}
		want := pageOfUsers{}
		want.Meta.Page, want.Meta.PageSize, want.Meta.TotalCount = tt.page, tt.size, crowd
		want.Meta.TotalPages, want.Meta.ItemRange = (crowd+tt.size-1)/tt.size, [2]int{tt.from, tt.from + len(ids) - 1}
		if diff := cmp.Diff(want.Meta, got.Meta); diff != "" || ids[0] != tt.ids[0] || ids[len(ids)-1] != tt.ids[1] {
			t.Errorf("%s: %v\n%s", tt.query, ids, diff)
		}
	}
	if got := m.list(t, "page=21&pageSize=100"); len(got.Items) != 0 || got.Meta.TotalCount != crowd || got.Meta.ItemRange != [2]int{} {
		t.Errorf("behind the last page: %+v", got)
	}
	// Sorted by what many have in common, every page still has its own.
	seen := map[string]int{}
	for page := 1; page <= crowd/100; page++ {
		for _, id := range m.list(t, fmt.Sprintf("sortBy=LastName&pageSize=100&page=%d", page)).ids() {
			seen[id]++
		}
	}
	if len(seen) != crowd {
		t.Errorf("%d users on all pages together, want %d", len(seen), crowd)
	}
}

func (m *market) filters(t *testing.T) {
	for query, want := range map[string]int{
		"Active=false": 200, "Active=true": 1800, "Active=!true": 200,
		"LastName=Last0": 667, "LastName=last0": 667, "LastName=Last1|Last2": 1333, "LastName=!Last1|!Last2": 667, "LastName=L*2": 666, "LastName=!L*": 0,
		"LastName=Last0&FirstName=First0": 96, "LastName=Nobody": 0,
		"Username=user-u0007": 1, "Email=*7@example.com": 200, "ID=u19*": 100, "ID=>u1989": 10, "ID=<=u0004": 5,
		"search=U0007": 1, "search=u0007&searchOn=ID": 1, "search=first3&searchOn=FirstName,LastName": 286, "search=stranger": 0,
		"xp.group.name=g3": 400, "xp.number=17": 1, "xp.group.name=!g3": 1600, "xp.nothing=*": 0, "xp.nothing=!*": crowd,
		"DateCreated=>2001-01-01": crowd, "DateCreated=<2001-01-01T00:00:00Z": 0, "Phone=!*": crowd, "Phone=*": 0,
		"Active=true&sortBy=!ID&search=example.com&pageSize=1": 1800,
	} {
		if got := m.list(t, query); got.Meta.TotalCount != want {
			t.Errorf("%s: %d users, want %d", query, got.Meta.TotalCount, want)
		}
	}
	if got := m.list(t, "xp.number=17").ids(); !slices.Equal(got, []string{"u0017"}) {
		t.Errorf("by a number: %v", got)
	}
}

// invalid is the literal refusal of one fault.
func invalid(path, problem string) string {
	message, data := problem, `{"Path":""}`
	if path != "" {
		message, data = path+": "+problem, `{"Path":"`+path+`"}`
	}
	return vendorError("ValidationFailure", message, data)
}

func (m *market) listRefusals(t *testing.T) {
	const fields = "Active, DateCreated, Email, FirstName, ID, LastName, Phone, TermsAccepted, Username, xp"
	for query, want := range map[string]string{
		"page=0":                         invalid("page", "must be a whole number between 1 and 1000000"),
		"page=two":                       invalid("page", "must be a whole number between 1 and 1000000"),
		"page=1000001":                   invalid("page", "must be a whole number between 1 and 1000000"),
		"pageSize=101":                   invalid("pageSize", "must be a whole number between 1 and 100"),
		"pageSize=-1":                    invalid("pageSize", "must be a whole number between 1 and 100"),
		"sortBy=PasswordHash":            invalid("sortBy", `\"PasswordHash\" is none of `+fields),
		"Password=x":                     invalid("Password", `\"Password\" is none of `+fields),
		"AvailableRoles=x":               invalid("AvailableRoles", `\"AvailableRoles\" is none of `+fields),
		"Emial=x":                        invalid("Emial", "unknown parameter; did you mean Email?"),
		"pagesize=5":                     invalid("pagesize", "unknown parameter; did you mean pageSize?"),
		"search=x&searchOn=Active":       invalid("searchOn", `\"Active\" is none of `+fields),
		"DateCreated=yesterday":          invalid("DateCreated", "must be a date or a time of RFC 3339"),
		"ID=%00":                         invalid("", "the query of the URL has control characters"),
		"ID=a%0d%0ab":                    invalid("", "the query of the URL has control characters"),
		"ID=%ff":                         invalid("", "the query of the URL has control characters"),
		"ID=%zz":                         invalid("", "the query of the URL is malformed"),
		"ID=" + strings.Repeat("a|", 50): invalid("ID", "at most 50 alternatives"),
		"Active=perhaps":                 vendorError("InvalidQuery", "The list cannot be filtered or sorted like that.", "null"),
	} {
		m.send(m.first, m.root, "GET", "/v1/buyers/acme/users?"+query, nil).mustBeErrors(t, 400, want)
	}
	for _, injected := range []string{"ID=x' OR '1'='1", "ID=x%25", "sortBy=ID;DROP TABLE users", "xp.a'b=1", `xp.a"b=1`, "xp.$.number=1", "xp.number[0]=1", "search=%25", "search=_"} {
		got := m.send(m.first, m.root, "GET", "/v1/buyers/acme/users?"+strings.ReplaceAll(injected, " ", "%20"), nil)
		if got.status == 200 && !strings.Contains(got.body, `"TotalCount":0,`) || got.status >= 500 {
			t.Errorf("%s: %d %.300s", injected, got.status, got.body)
		}
	}
	m.send(m.first, m.root, "GET", "/v1/buyers/nobody/users", nil).mustBeErrors(t, 404, missing("Buyer", "nobody"))
}

func (m *market) entityTags(t *testing.T) {
	const path = "/v1/buyers/acme/users/u0001"
	first := m.do(t, 200, "GET", path, nil).header.Get("ETag")
	second := m.do(t, 200, "PATCH", path, `{"Phone":"1"}`, "If-Match", first).header.Get("ETag")
	if first == second {
		t.Fatalf("the tag stayed %s", first)
	}
	for method, body := range map[string]any{"PATCH": `{"Phone":"2"}`, "PUT": `{"Username":"user-u0001"}`, "DELETE": nil} {
		for _, n := range []*node{m.first, m.second} {
			m.send(n, m.root, method, path, body, "If-Match", first).mustBeErrors(t, 412, wireStale)
		}
		for _, garbled := range []string{"1", `"x"`, `W/"1"`, `"0"`, `"1", "2"`} {
			m.send(m.second, m.root, method, path, body, "If-Match", garbled).
				mustBeErrors(t, 400, vendorError("InvalidRequest", "The header If-Match is not an entity tag of ours.", "null"))
		}
	}
	m.send(m.second, m.root, "PUT", "/v1/buyers/nobody", `{"Name":"Nobody"}`, "If-Match", `"1"`).mustBeErrors(t, 412, wireStale)
	m.do(t, 404, "GET", "/v1/buyers/nobody", nil)
	if got := m.do(t, 200, "GET", path, nil); got.field("Phone") != "1" || got.header.Get("ETag") != second {
		t.Errorf("after what was refused: %s %s", got.header.Get("ETag"), got.body)
	}
	m.do(t, 200, "PATCH", path, `{"Phone":"3"}`, "If-Match", "*")
	third := m.do(t, 200, "PATCH", path, `{"Username":"renamed-u0001"}`).header.Get("ETag") // another record, and still the user's tag
	if third == second {
		t.Error("the tag does not stand for the login")
	}
	m.do(t, 204, "DELETE", path, nil, "If-Match", third)
}

// lostUpdates: two administrators change one object over two servers, a member
// at a time. Nobody's change is lost, nor refused.
func (m *market) lostUpdates(t *testing.T) {
	const writers = 30
	other := m.first.self(m.operator.ID, m.operator.Secret).mustIssue(t)
	m.do(t, 201, "POST", "/v1/apiclients", `{"ID":"shared","AppName":"Shared"}`)
	m.do(t, 201, "POST", "/v1/securityprofiles", `{"ID":"shared","Name":"Shared"}`)
	for _, path := range []string{"/v1/buyers/acme", "/v1/buyers/acme/users/u0002", "/v1/apiclients/shared"} {
		answers := atOnce(writers, func(i int) answer {
			return m.send([]*node{m.first, m.second}[i%2], []string{m.root, other}[i/2%2], "PATCH", path, fmt.Sprintf(`{"xp":{"writer%d":%d}}`, i, i))
		})
		if diff := cmp.Diff(map[int]int{http.StatusOK: writers}, tallyOf(answers)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		kept, _ := at(t, m.do(t, 200, "GET", path, nil), "xp").(map[string]any)
		for i := range writers {
			if kept[fmt.Sprint("writer", i)] != float64(i) {
				t.Errorf("%s: what writer %d wrote is lost: %v", path, i, kept)
			}
		}
	}
	// Of those who demand the version that they have seen, one succeeds.
	tag := m.do(t, 200, "GET", "/v1/securityprofiles/shared", nil).header.Get("ETag")
	answers := atOnce(writers, func(i int) answer {
		return m.send([]*node{m.first, m.second}[i%2], m.root, "PUT", "/v1/securityprofiles/shared", fmt.Sprintf(`{"Name":"Writer %d"}`, i), "If-Match", tag)
	})
	if diff := cmp.Diff(map[int]int{200: 1, 412: writers - 1}, tallyOf(answers)); diff != "" {
		t.Error(diff)
	}
}

// oneID: of those who create an object of one ID, one does.
func (m *market) oneID(t *testing.T) {
	const tries = 12
	for path, body := range map[string]string{
		"/v1/buyers": `"Name":"x"`, "/v1/suppliers": `"Name":"x"`, "/v1/buyers/acme/users": `"Username":"once-%d"`, "/v1/apiclients": `"AppName":"x"`,
		"/v1/securityprofiles": `"Name":"x"`, "/v1/messagesenders": `"Name":"x","MessageTypes":["OneTimePassword"],"URL":"http://127.0.0.1/","SharedKey":"k"`,
		"/v1/integrations/deliveryconfig": `"Name":"x","DeliveryTargets":{"MessageSender":{"Endpoint":"http://127.0.0.1/","Secret":"k"}}`,
	} {
		for _, method := range []string{"POST", "PUT"} {
			id, want := "once-"+method, map[int]int{201: 1, 409: tries - 1}
			to := path
			if method == "PUT" {
				to, want = path+"/"+id, map[int]int{200: tries}
			}
			answers := atOnce(tries, func(i int) answer {
				text := strings.ReplaceAll(`{"ID":"`+id+`",`+body+"}", "%d", fmt.Sprint(method, i))
				return m.send([]*node{m.first, m.second}[i%2], m.root, method, to, text)
			})
			if diff := cmp.Diff(want, tallyOf(answers)); diff != "" {
				t.Errorf("%s %s: %s\n%s", method, to, diff, answers[0].body)
			}
			m.do(t, 200, "GET", path+"/"+id, nil)
		}
	}
}

// oneName: of those who create users of one name, one does, and nothing is left
// of the others.
func (m *market) oneName(t *testing.T) {
	const tries = 12
	m.do(t, 201, "POST", "/v1/buyers", `{"ID":"small","Name":"Small"}`)
	answers := atOnce(tries, func(i int) answer {
		body := fmt.Sprintf(`{"ID":"same%d","Username":"%s"}`, i, []string{"same", " SAME"}[i%2])
		return m.send([]*node{m.first, m.second}[i%2], m.root, "POST", "/v1/buyers/small/users", body)
	})
	if diff := cmp.Diff(map[int]int{201: 1, 409: tries - 1}, tallyOf(answers)); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/v1/buyers/small/users", "/v2/accounts/small/account-memberships"} {
		got := m.do(t, 200, "GET", path, nil)
		if !strings.Contains(got.body, `"TotalCount":1,`) && !strings.Contains(got.body, `"results":{"total":1}`) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}

// nothingByHalves: a request that is refused has changed nothing.
func (m *market) nothingByHalves(t *testing.T) {
	m.do(t, 404, "POST", "/v1/apiclients", `{"ID":"half","AppName":"Half","ClientSecret":"half-secret-half-secret","DefaultContextUserName":"nobody"}`)
	m.do(t, 404, "GET", "/v1/apiclients/half", nil)
	m.do(t, 404, "POST", "/v1/buyers/nobody/users", `{"ID":"half","Username":"half"}`)
	m.do(t, 409, "POST", "/v1/buyers/acme/users", `{"ID":"half","Username":"user-u0003"}`)
	m.do(t, 404, "GET", "/v1/buyers/acme/users/half", nil)
	const path = "/v1/buyers/acme/users/u0004"
	before := m.do(t, 200, "GET", path, nil)
	m.do(t, 409, "PATCH", path, `{"Phone":"1","Username":"user-u0003"}`)
	m.do(t, 400, "PATCH", path, `{"Phone":"1","Password":"x"}`)
	m.do(t, 400, "PATCH", path, `{"Phone":"1","Email":"nowhere"}`)
	m.do(t, 409, "PATCH", path, `{"Phone":"1","ID":"u0003"}`)
	after := m.do(t, 200, "GET", path, nil)
	if after.body != before.body || after.header.Get("ETag") != before.header.Get("ETag") {
		t.Errorf("before %s, after %s", before.body, after.body)
	}
}
