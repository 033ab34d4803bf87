package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// userCount is the number of users in the lists.
const userCount = 2000

func TestLists(t *testing.T) {
	kit.EachOrderCloud(t, []string{kit.LongRequestTimeout}, func(t *testing.T, m *kit.OrderCloud) {
		populate(m, t)
		t.Run("pages", func(t *testing.T) { pages(m, t) })
		t.Run("filters", func(t *testing.T) { filters(m, t) })
		t.Run("what lists refuse", func(t *testing.T) { listRefusals(m, t) })
		t.Run("entity tags", func(t *testing.T) { entityTags(m, t) })
		t.Run("lost updates", func(t *testing.T) { lostUpdates(m, t) })
		t.Run("one id", func(t *testing.T) { oneID(m, t) })
		t.Run("one name", func(t *testing.T) { oneName(m, t) })
		t.Run("nothing by halves", func(t *testing.T) { nothingByHalves(m, t) })
	})
}

// populate adds buyers "acme" and "other" with their users, those of acme directly to the store.
func populate(m *kit.OrderCloud, t *testing.T) {
	t.Helper()
	m.CheckDocument(t)
	for _, id := range []string{"acme", "other"} {
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"`+id+`","Name":"`+id+`"}`)
	}
	m.Do(t, 201, "POST", "/v1/buyers/other/users", `{"ID":"u0007","Username":"stranger","LastName":"Seven"}`)
	m.WithApp(func(ctx context.Context, a *server.App) error {
		acme, err := a.Store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
		if err != nil {
			return err
		}
		return a.Store.InTx(ctx, func(ctx context.Context) error {
			for i := 0; i < userCount && err == nil; i++ {
				err = member(m, ctx, a, acme.UID, i)
			}
			return err
		})
	})
}

func member(m *kit.OrderCloud, ctx context.Context, a *server.App, accountUID string, i int) error {
	id := fmt.Sprintf("u%04d", i)
	_, err := a.Store.PutUser(ctx, storage.User{
		UID: "usr_" + id, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, AccountUID: accountUID, ID: id, Active: i%10 != 0,
		FirstName: fmt.Sprint("First", i%7), LastName: fmt.Sprint("Last", i%3), Email: id + "@example.com", EmailKey: id + "@example.com",
		XP: json.RawMessage(fmt.Sprintf(`{"number":%d,"group":{"name":"g%d"}}`, i, i%5)),
	})
	if err != nil {
		return err
	}
	_, err = a.Store.PutLogin(ctx, storage.Login{
		ID: "lgn_" + id, ProfileID: storage.DefaultProfileID, Username: "User-" + id, UsernameKey: "user-" + id, UserUID: "usr_" + id, Active: true,
	})
	return err
}

// pageOfUsers is a page as the API returns it.
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

// list requests a page of acme's users.
func list(m *kit.OrderCloud, t *testing.T, query string) (page pageOfUsers) {
	t.Helper()
	got := m.Do(t, 200, "GET", "/v1/buyers/acme/users?"+query, nil)
	if err := json.Unmarshal([]byte(got.Body), &page); err != nil {
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

// TestPageKeys reads lists by NextPageKey, as the vendor's SDKs do.
func TestPageKeys(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t, kit.LongRequestTimeout)
	populate(m, t)
	for _, query := range []string{
		"pageSize=100", "pageSize=99&sortBy=!ID", "pageSize=100&sortBy=LastName,!FirstName", "pageSize=100&sortBy=!Username",
		"pageSize=100&sortBy=xp.group.name,!xp.number", "pageSize=37&Active=false", "pageSize=100&sortBy=Active,!xp.number&search=u0",
	} {
		starts := []string{""}
		if strings.Contains(query, "sortBy=xp") { // one order is enough, because the start does not depend on it
			starts = append(starts, "&page=2&pageKey=first")
		}
		for _, first := range starts {
			seen, last, query := map[string]bool{}, pageOfUsers{}, query
			for next := query + first; next != ""; {
				page := list(m, t, next)
				if from := page.Meta.ItemRange[0]; from != len(seen)+1 || page.Meta.Page != len(seen)/page.Meta.PageSize+1 {
					t.Fatalf("%s: got %+v after %d users", query, page.Meta, len(seen))
				}
				for _, id := range page.ids() {
					seen[id] = true
				}
				last, next = page, ""
				if key := page.Meta.NextPageKey; key != nil {
					next = query + "&page=1&pageKey=" + *key
				}
			}
			if len(seen) != last.Meta.TotalCount || last.Meta.ItemRange[1] != len(seen) {
				t.Errorf("%s: got %d users and the last page %+v", query+first, len(seen), last.Meta)
			}
		}
	}
	if got := m.Do(t, 200, "GET", "/v1/buyers/acme/users?pageSize=10&pageKey=first", nil); !strings.Contains(got.Body, `"TotalCount":11,`) || got.Header.Get("Latchkey-Total") != "estimated" {
		t.Errorf("a first page that is not counted: got %v %.200s", got.Header, got.Body)
	}
	key := *list(m, t, "sortBy=ID").Meta.NextPageKey
	middle := []byte(key)
	middle[len(middle)/2] ^= 1
	for _, path := range []string{
		"acme/users?sortBy=!ID&pageKey=" + key, "acme/users?pageKey=" + key, "acme/users?sortBy=ID&Active=true&pageKey=" + key,
		"other/users?sortBy=ID&pageKey=" + key, "acme/users?sortBy=ID&pageKey=" + string(middle), "acme/users?sortBy=ID&pageKey=2",
		"acme/users?sortBy=ID&pageKey=.", "acme/users?sortBy=ID&pageKey=%F0%9F%98%80", "acme/users?sortBy=ID&pageKey=" + key + "&pageKey=" + key,
	} {
		if got := m.Do(t, 400, "GET", "/v1/buyers/"+path, nil); !strings.Contains(got.Body, "pageKey") {
			t.Errorf("%s: got %s", path, got.Body)
		}
	}
	for _, other := range []string{"apiclients", "apiclients/assignments", "apiclients/operator/secrets", "messagesenders/assignments"} {
		m.Do(t, 400, "GET", "/v1/"+other+"?pageKey="+key, nil)
	}
	if got := list(m, t, "sortBy=ID&pageSize=100&pageKey="+key); len(got.Items) != 100 || got.Items[0].ID != "u0020" {
		t.Errorf("with another page size: got %+v", got.Meta)
	}
}

func pages(m *kit.OrderCloud, t *testing.T) {
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
		got := list(m, t, tt.query)
		ids := got.ids()
		if len(ids) == 0 {
			t.Errorf("%s: got an empty page", tt.query)
			continue
		}
		want := pageOfUsers{}
		want.Meta.Page, want.Meta.PageSize, want.Meta.TotalCount = tt.page, tt.size, userCount
		want.Meta.TotalPages, want.Meta.ItemRange = (userCount+tt.size-1)/tt.size, [2]int{tt.from, tt.from + len(ids) - 1}
		if last := tt.from+len(ids) > userCount; last != (got.Meta.NextPageKey == nil) {
			t.Errorf("%s: got NextPageKey %v", tt.query, got.Meta.NextPageKey)
		}
		want.Meta.NextPageKey = got.Meta.NextPageKey
		if diff := cmp.Diff(want.Meta, got.Meta); diff != "" || ids[0] != tt.ids[0] || ids[len(ids)-1] != tt.ids[1] {
			t.Errorf("%s: got %v, meta (-want +got):\n%s", tt.query, ids, diff)
		}
	}
	if got := list(m, t, "page=21&pageSize=100"); len(got.Items) != 0 || got.Meta.TotalCount != userCount || got.Meta.ItemRange != [2]int{} {
		t.Errorf("after the last page: got %+v", got)
	}
	// Sorted by a value that many users share, every page still has its own users.
	seen := map[string]int{}
	for page := 1; page <= userCount/100; page++ {
		for _, id := range list(m, t, fmt.Sprintf("sortBy=LastName&pageSize=100&page=%d", page)).ids() {
			seen[id]++
		}
	}
	if len(seen) != userCount {
		t.Errorf("got %d users on all pages together, want %d", len(seen), userCount)
	}
}

func filters(m *kit.OrderCloud, t *testing.T) {
	for query, want := range map[string]int{
		"Active=false": 200, "Active=true": 1800, "Active=!true": 200,
		"LastName=Last0": 667, "LastName=last0": 667, "LastName=Last1|Last2": 1333, "LastName=!Last1|!Last2": 667, "LastName=L*2": 666, "LastName=!L*": 0,
		"LastName=Last0&FirstName=First0": 96, "LastName=Nobody": 0,
		"Username=user-u0007": 1, "Email=*7@example.com": 200, "ID=u19*": 100, "ID=>u1989": 10, "ID=<=u0004": 5,
		"search=U0007": 1, "search=u0007&searchOn=ID": 1, "search=first3&searchOn=FirstName,LastName": 286, "search=stranger": 0,
		"xp.group.name=g3": 400, "xp.number=17": 1, "xp.group.name=!g3": 1600, "xp.nothing=*": 0, "xp.nothing=!*": userCount,
		"DateCreated=>2001-01-01": userCount, "DateCreated=<2001-01-01T00:00:00Z": 0, "Phone=!*": userCount, "Phone=*": 0,
		"Active=true&sortBy=!ID&search=example.com&pageSize=1": 1800,
	} {
		if got := list(m, t, query); got.Meta.TotalCount != want {
			t.Errorf("%s: got %d users, want %d", query, got.Meta.TotalCount, want)
		}
	}
	if got := list(m, t, "xp.number=17").ids(); !slices.Equal(got, []string{"u0017"}) {
		t.Errorf("by a number: got %v", got)
	}
}

func listRefusals(m *kit.OrderCloud, t *testing.T) {
	const fields = "Active, DateCreated, Email, FirstName, ID, LastName, Phone, TermsAccepted, Username, xp"
	for query, want := range map[string]string{
		"page=0":                         kit.InvalidBody("page", "must be a whole number between 1 and 1000000"),
		"page=two":                       kit.InvalidBody("page", "must be a whole number between 1 and 1000000"),
		"page=1000001":                   kit.InvalidBody("page", "must be a whole number between 1 and 1000000"),
		"pageSize=101":                   kit.InvalidBody("pageSize", "must be a whole number between 1 and 100"),
		"pageSize=-1":                    kit.InvalidBody("pageSize", "must be a whole number between 1 and 100"),
		"sortBy=PasswordHash":            kit.InvalidBody("sortBy", `\"PasswordHash\" is none of `+fields),
		"Password=x":                     kit.InvalidBody("Password", `\"Password\" is none of `+fields),
		"AvailableRoles=x":               kit.InvalidBody("AvailableRoles", `\"AvailableRoles\" is none of `+fields),
		"Emial=x":                        kit.InvalidBody("Emial", "unknown parameter; did you mean Email?"),
		"pagesize=5":                     kit.InvalidBody("pagesize", "unknown parameter; did you mean pageSize?"),
		"search=x&searchOn=Active":       kit.InvalidBody("searchOn", `\"Active\" is none of `+fields),
		"DateCreated=yesterday":          kit.InvalidBody("DateCreated", "must be a date or a time of RFC 3339"),
		"ID=%00":                         kit.InvalidBody("", "the query of the URL has control characters"),
		"ID=a%0d%0ab":                    kit.InvalidBody("", "the query of the URL has control characters"),
		"ID=%ff":                         kit.InvalidBody("", "the query of the URL has control characters"),
		"ID=%zz":                         kit.InvalidBody("", "the query of the URL is malformed"),
		"ID=" + strings.Repeat("a|", 50): kit.InvalidBody("ID", "at most 50 alternatives"),
		"Active=perhaps":                 kit.ErrorBody("InvalidQuery", "The list cannot be filtered or sorted like that.", "null"),
	} {
		m.Send(m.First, m.AdminToken, "GET", "/v1/buyers/acme/users?"+query, nil).MustRefuseV1(t, 400, want)
	}
	for _, injected := range []string{"ID=x' OR '1'='1", "ID=x%25", "sortBy=ID;DROP TABLE users", "xp.a'b=1", `xp.a"b=1`, "xp.$.number=1", "xp.number[0]=1", "search=%25", "search=_"} {
		got := m.Send(m.First, m.AdminToken, "GET", "/v1/buyers/acme/users?"+strings.ReplaceAll(injected, " ", "%20"), nil)
		if got.Status == 200 && !strings.Contains(got.Body, `"TotalCount":0,`) || got.Status >= 500 {
			t.Errorf("%s: got %d %.300s", injected, got.Status, got.Body)
		}
	}
	m.Send(m.First, m.AdminToken, "GET", "/v1/buyers/nobody/users", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", "nobody"))
}

func entityTags(m *kit.OrderCloud, t *testing.T) {
	const path = "/v1/buyers/acme/users/u0001"
	first := m.Do(t, 200, "GET", path, nil).Header.Get("ETag")
	second := m.Do(t, 200, "PATCH", path, `{"Phone":"1"}`, "If-Match", first).Header.Get("ETag")
	if first == second {
		t.Fatalf("got the same tag %s, want a new one", first)
	}
	for method, body := range map[string]any{"PATCH": `{"Phone":"2"}`, "PUT": `{"Username":"user-u0001"}`, "DELETE": nil} {
		for _, n := range []*kit.Server{m.First, m.Second} {
			m.Send(n, m.AdminToken, method, path, body, "If-Match", first).MustRefuseV1(t, 412, kit.StaleBody)
		}
		for _, garbled := range []string{"1", `"x"`, `W/"1"`, `"0"`, `"1", "2"`} {
			m.Send(m.Second, m.AdminToken, method, path, body, "If-Match", garbled).
				MustRefuseV1(t, 400, kit.ErrorBody("InvalidRequest", "The header If-Match is not an entity tag of ours.", "null"))
		}
	}
	m.Send(m.Second, m.AdminToken, "PUT", "/v1/buyers/nobody", `{"Name":"Nobody"}`, "If-Match", `"1"`).MustRefuseV1(t, 412, kit.StaleBody)
	m.Do(t, 404, "GET", "/v1/buyers/nobody", nil)
	if got := m.Do(t, 200, "GET", path, nil); got.Field("Phone") != "1" || got.Header.Get("ETag") != second {
		t.Errorf("after the refused requests: got %s %s", got.Header.Get("ETag"), got.Body)
	}
	m.Do(t, 200, "PATCH", path, `{"Phone":"3"}`, "If-Match", "*")
	third := m.Do(t, 200, "PATCH", path, `{"Username":"renamed-u0001"}`).Header.Get("ETag") // the username is in another record, and still changes the tag of the user
	if third == second {
		t.Error("got the same tag after a change of the login, want a new one")
	}
	m.Do(t, 204, "DELETE", path, nil, "If-Match", third)
}

// lostUpdates changes objects by two administrators over two servers, one member at a time. No
// change may be lost or refused.
func lostUpdates(m *kit.OrderCloud, t *testing.T) {
	const writers = 30
	other := m.First.ClientCredentials(m.Operator.ID, m.Operator.Secret).AccessToken(t)
	m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"shared","AppName":"Shared"}`)
	m.Do(t, 201, "POST", "/v1/securityprofiles", `{"ID":"shared","Name":"Shared"}`)
	for _, path := range []string{"/v1/buyers/acme", "/v1/buyers/acme/users/u0002", "/v1/apiclients/shared"} {
		answers := kit.Concurrently(writers, func(i int) kit.Response {
			return m.Send([]*kit.Server{m.First, m.Second}[i%2], []string{m.AdminToken, other}[i/2%2], "PATCH", path, fmt.Sprintf(`{"xp":{"writer%d":%d}}`, i, i))
		})
		if diff := cmp.Diff(map[int]int{http.StatusOK: writers}, kit.CountStatuses(answers)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		kept, _ := at(t, m.Do(t, 200, "GET", path, nil), "xp").(map[string]any)
		for i := range writers {
			if kept[fmt.Sprint("writer", i)] != float64(i) {
				t.Errorf("%s: the change of writer %d was lost: got %v", path, i, kept)
			}
		}
	}
	// One of the requests that demand the same version succeeds.
	tag := m.Do(t, 200, "GET", "/v1/securityprofiles/shared", nil).Header.Get("ETag")
	answers := kit.Concurrently(writers, func(i int) kit.Response {
		return m.Send([]*kit.Server{m.First, m.Second}[i%2], m.AdminToken, "PUT", "/v1/securityprofiles/shared", fmt.Sprintf(`{"Name":"Writer %d"}`, i), "If-Match", tag)
	})
	if diff := cmp.Diff(map[int]int{200: 1, 412: writers - 1}, kit.CountStatuses(answers)); diff != "" {
		t.Error(diff)
	}
}

// oneID tests that one of many requests that create an object with the same ID succeeds.
func oneID(m *kit.OrderCloud, t *testing.T) {
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
			answers := kit.Concurrently(tries, func(i int) kit.Response {
				text := strings.ReplaceAll(`{"ID":"`+id+`",`+body+"}", "%d", fmt.Sprint(method, i))
				return m.Send([]*kit.Server{m.First, m.Second}[i%2], m.AdminToken, method, to, text)
			})
			if diff := cmp.Diff(want, kit.CountStatuses(answers)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s\n%s", method, to, diff, answers[0].Body)
			}
			// A server may answer from its cache until it learns of a change elsewhere.
			kit.Eventually(t, to+" shows the new object", func() bool {
				return m.Send(m.First, m.AdminToken, "GET", path+"/"+id, nil).Status == http.StatusOK
			})
		}
	}
}

// oneName tests that one of many requests that create users with the same name succeeds, and
// that the others leave no records.
func oneName(m *kit.OrderCloud, t *testing.T) {
	const tries = 12
	m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"small","Name":"Small"}`)
	answers := kit.Concurrently(tries, func(i int) kit.Response {
		body := fmt.Sprintf(`{"ID":"same%d","Username":"%s"}`, i, []string{"same", " SAME"}[i%2])
		return m.Send([]*kit.Server{m.First, m.Second}[i%2], m.AdminToken, "POST", "/v1/buyers/small/users", body)
	})
	if diff := cmp.Diff(map[int]int{201: 1, 409: tries - 1}, kit.CountStatuses(answers)); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/v1/buyers/small/users", "/v2/accounts/small/account-memberships"} {
		got := m.Do(t, 200, "GET", path, nil)
		if !strings.Contains(got.Body, `"TotalCount":1,`) && !strings.Contains(got.Body, `"results":{"total":1}`) {
			t.Errorf("%s: got %s", path, got.Body)
		}
	}
}

// nothingByHalves tests that a refused request has changed nothing.
func nothingByHalves(m *kit.OrderCloud, t *testing.T) {
	m.Do(t, 404, "POST", "/v1/apiclients", `{"ID":"half","AppName":"Half","ClientSecret":"half-secret-half-secret","DefaultContextUserName":"nobody"}`)
	m.Do(t, 404, "GET", "/v1/apiclients/half", nil)
	m.Do(t, 404, "POST", "/v1/buyers/nobody/users", `{"ID":"half","Username":"half"}`)
	m.Do(t, 409, "POST", "/v1/buyers/acme/users", `{"ID":"half","Username":"user-u0003"}`)
	m.Do(t, 404, "GET", "/v1/buyers/acme/users/half", nil)
	const path = "/v1/buyers/acme/users/u0004"
	before := m.Do(t, 200, "GET", path, nil)
	m.Do(t, 409, "PATCH", path, `{"Phone":"1","Username":"user-u0003"}`)
	m.Do(t, 400, "PATCH", path, `{"Phone":"1","Password":"x"}`)
	m.Do(t, 400, "PATCH", path, `{"Phone":"1","Email":"nowhere"}`)
	m.Do(t, 409, "PATCH", path, `{"Phone":"1","ID":"u0003"}`)
	after := m.Do(t, 200, "GET", path, nil)
	if after.Body != before.Body || after.Header.Get("ETag") != before.Header.Get("ETag") {
		t.Errorf("got a change: before %s, after %s", before.Body, after.Body)
	}
}
