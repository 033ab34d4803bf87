package storetest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/storage"
)

func testLists(t *testing.T, s suite) {
	s.run(t, cases{
		"filters select the matching records":        testFilters,
		"every field sorts, with and without pages":  testSorts,
		"scopes exclude other records":               testScopes,
		"records are complete":                       testListed,
		"conditions combine":                         testConditions,
		"XP can be searched":                         testXP,
		"case is ignored for all letters":            testFoldedLetters,
		"users are found by what a name begins with": testSearchUsers,
		"unreadable XP does not break lists":         testHostileXP,
		"XP can be sorted by":                        testXPSort,
		"page keys survive changes":                  testPageKeys,
		"invalid queries are refused":                testBadQueries,
		"the most expensive query":                   testLargeQuery,
		"a transaction lists its own writes":         testListInTx,
		"an empty list":                              testEmptyList,
	})
}

func testFilters(t *testing.T, w *fixture) {
	w.fill()
	for _, l := range w.lists() {
		l.filters(t)
		if l.name == "users" {
			for _, field := range []string{"Name", "Username"} {
				l.textFilters(t, field)
			}
		}
	}
}

func testSorts(t *testing.T, w *fixture) {
	w.fill()
	for _, l := range w.lists() {
		l.sorts(t)
	}
}

func testScopes(t *testing.T, w *fixture) {
	w.fill()
	must(w.store.PutAccount(w.ctx, storage.Account{UID: "elsewhere", RealmID: "A-0", Kind: storage.Buyer, ID: "e"}))(t)
	must(w.store.PutUser(w.ctx, storage.User{UID: "stranger", RealmID: "A-0", Kind: storage.Buyer, AccountUID: "elsewhere", ID: "s"}))(t)
	q := storage.Query{Limit: 1000}
	everyone := must(w.store.ListUsers(w.ctx, storage.UserScope{}, q))(t).Items
	for _, scope := range []storage.UserScope{
		{},
		{RealmID: "default"},
		{RealmID: "A-0"},
		{RealmID: "default", Kind: storage.Admin},
		{Kind: storage.Supplier},
		{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1"},
		{AccountUID: "acc_10"},
		{RealmID: "none"},
	} {
		var want []storage.UserLogin
		for _, u := range everyone {
			if (scope.RealmID == "" || scope.RealmID == u.User.RealmID) && (scope.Kind == "" || scope.Kind == u.User.Kind) &&
				(scope.AccountUID == "" || scope.AccountUID == u.User.AccountUID) {
				want = append(want, u)
			}
		}
		got := must(w.store.ListUsers(w.ctx, scope, q))(t)
		equal(t, got.Total, len(want))
		equal(t, append([]storage.UserLogin(nil), got.Items...), want)
	}
	for _, u := range must(w.store.ListNonMembers(w.ctx, "default", "acc_1", q))(t).Items {
		if _, err := w.store.Membership(w.ctx, "acc_1", u.UID); !errors.Is(err, storage.ErrNotFound) || u.Kind != storage.Buyer {
			t.Errorf("%s, a %s, is listed, and its membership: %v", u.UID, u.Kind, err)
		}
	}
	for _, a := range must(w.store.ListAccounts(w.ctx, "default", storage.Supplier, q))(t).Items {
		equal(t, a.Kind, storage.Supplier)
	}
	for _, sender := range []string{"mail", "text"} {
		got := must(w.store.ListDeliveries(w.ctx, sender, q))(t)
		for _, d := range got.Items {
			equal(t, d.Message.SenderID, sender)
			equal(t, d.Message.Payload, storage.Sealed{})
		}
		if got.Total == 0 || got.Total != len(got.Items) {
			t.Errorf("got %d deliveries of %s, and %d items", got.Total, sender, len(got.Items))
		}
		messages := must(w.store.ListMessages(w.ctx, sender, q))(t)
		for _, m := range messages.Items {
			equal(t, m.SenderID, sender)
			equal(t, m.Payload, storage.Sealed{})
		}
		if messages.Total == 0 || messages.Total != len(messages.Items) {
			t.Errorf("got %d messages of %s, and %d items", messages.Total, sender, len(messages.Items))
		}
	}
}

// testListed compares listed records with the results of the methods that read one.
func testListed(t *testing.T, w *fixture) {
	w.fill()
	q := storage.Query{Limit: 1000}
	equal(t, must(w.store.ListClients(w.ctx, q))(t).Items, must(w.store.Clients(w.ctx))(t))
	equal(t, must(w.store.ListSenders(w.ctx, q))(t).Items, must(w.store.Senders(w.ctx))(t))
	for _, r := range must(w.store.ListRealms(w.ctx, q))(t).Items {
		equal(t, r, must(w.store.Realm(w.ctx, r.ID))(t))
	}
	for _, p := range must(w.store.ListSecurityProfiles(w.ctx, q))(t).Items {
		equal(t, p, must(w.store.SecurityProfile(w.ctx, p.ID))(t))
	}
	for _, a := range must(w.store.ListAccounts(w.ctx, "default", "", q))(t).Items {
		equal(t, a, must(w.store.AccountByUID(w.ctx, a.UID))(t))
	}
	for _, u := range must(w.store.ListUsers(w.ctx, storage.UserScope{}, q))(t).Items {
		equal(t, u.User, must(w.store.UserByUID(w.ctx, u.User.UID))(t))
		logins := append(must(w.store.LoginsOfUser(w.ctx, u.User.UID))(t), storage.Login{})
		equal(t, u.Login, logins[0])
	}
	for _, m := range must(w.store.ListMemberships(w.ctx, storage.MembershipScope{UserUID: w.user.UID}, q))(t).Items {
		equal(t, m, must(w.store.MembershipByID(w.ctx, m.Membership.ID))(t))
	}
	one := must(w.store.ListMemberships(w.ctx, storage.MembershipScope{AccountUID: "acc_1", UserUID: w.user.UID}, q))(t)
	equal(t, one.Total, 1)
}

func where(field string, op storage.Op, value string) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: []storage.Test{{Op: op, Value: value}}}
}

// usersWhere returns the IDs of the users of acc_1 that match the conditions.
func (w *fixture) usersWhere(t *testing.T, conditions ...storage.Condition) []string {
	t.Helper()
	page := must(w.store.ListUsers(w.ctx, storage.UserScope{RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1"},
		storage.Query{Where: conditions, Limit: 100}))(t)
	equal(t, page.Total, len(page.Items))
	ids := []string{}
	for _, u := range page.Items {
		ids = append(ids, u.User.ID)
	}
	return ids
}

func testConditions(t *testing.T, w *fixture) {
	w.addUser("ann", "ann@example.com")
	w.addUser("eve", "bob@example.com")
	either := storage.Condition{
		Fields: []string{"ID", "Email"},
		Tests:  []storage.Test{{Op: storage.OpLike, Value: "bob*"}, {Op: storage.OpEqual, Value: "ann"}},
	}
	equal(t, w.usersWhere(t), []string{"ann", "bob", "eve"})
	equal(t, w.usersWhere(t, either), []string{"ann", "bob", "eve"})
	equal(t, w.usersWhere(t, either, where("Username", storage.OpLess, "b")), []string{"ann"})
	either.Fields = []string{"ID"}
	equal(t, w.usersWhere(t, either), []string{"ann", "bob"})
	equal(t, w.usersWhere(t, where("Active", storage.OpEqual, "TRUE")), []string{"ann", "bob", "eve"})
	equal(t, w.usersWhere(t, storage.Condition{Fields: []string{"ID"}}), []string{})
	equal(t, w.usersWhere(t, storage.Condition{Tests: either.Tests}), []string{})
}

func testXP(t *testing.T, w *fixture) {
	for id, xp := range map[string]string{
		"a": `{"n": 5, "s": "x", "b": true, "o": {"p-1": {"q_2": "deep"}}, "z": null, "l": [1], "quote": "it's"}`,
		"b": `{"n": 10.5, "s": "X", "b": false, "0": "zero"}`,
		"c": `{"n": "5", "s": "a%_\\*b", "b": "true", "o": "flat"}`,
		"d": ``,
		"e": `[{"s": "x"}]`,
		"f": `{"n": 1e1, "s": "", "l": {"0": 1}}`,
	} {
		must(w.store.PutUser(w.ctx, storage.User{
			UID: "usr_" + id, RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1", ID: id, XP: json.RawMessage(xp),
		}))(t)
	}
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, 0))
	is := func(field string, op storage.Op, value string, want ...string) {
		t.Helper()
		got := w.usersWhere(t, where(field, op, value))
		equal(t, strings.Join(got, " "), strings.Join(want, " "))
		negated := where(field, op, value)
		negated.Tests[0].Not = true
		others := slices.DeleteFunc([]string{"a", "b", "c", "d", "e", "f"}, func(id string) bool { return slices.Contains(want, id) })
		equal(t, strings.Join(w.usersWhere(t, negated), " "), strings.Join(others, " "))
	}
	is("XP.s", storage.OpEqual, "x", "a")
	is("XP.s", storage.OpEqualFold, "x", "a", "b")
	is("XP.s", storage.OpLike, `a%_\**`, "c")
	is("XP.s", storage.OpLike, `*`, "a", "b", "c", "f")
	is("XP.s", storage.OpLikeFold, `A*B`, "c")
	is("XP.s", storage.OpEmpty, "", "d", "e", "f")
	is("XP.quote", storage.OpEqual, "it's", "a")
	is("XP.n", storage.OpEqual, "5", "a", "c")
	is("XP.n", storage.OpEqual, "5.0", "a")
	is("XP.n", storage.OpEqual, "10", "f")
	is("XP.n", storage.OpGreater, "5", "b", "f")
	is("XP.n", storage.OpLessOrEqual, "10", "a", "f")
	is("XP.n", storage.OpEmpty, "", "d", "e")
	is("XP.n", storage.OpLike, "5", "c")
	is("XP.b", storage.OpEqual, "true", "a", "c")
	is("XP.b", storage.OpEqual, "false", "b")
	is("XP.b", storage.OpEqual, "1")
	is("XP.o.p-1.q_2", storage.OpEqual, "deep", "a")
	is("XP.o.p-1", storage.OpEmpty, "", "a", "b", "c", "d", "e", "f")
	is("XP.o", storage.OpGreater, "a", "c")
	is("XP.l.0", storage.OpEqual, "1", "f")
	is("XP.0", storage.OpEqual, "zero", "b")
	is("XP.z", storage.OpEmpty, "", "a", "b", "c", "d", "e", "f")
}

// testFoldedLetters checks that case is ignored for all letters, and that only the
// asterisk is special in a pattern.
func testFoldedLetters(t *testing.T, w *fixture) {
	for id, name := range map[string]string{
		"a": "MÜLLER", "b": "Müller", "c": "Ивано́в", "d": "ΣΟΦΊΑ", "e": "straße", "f": `ü^]-[?.*\%_(a|b){2}$`, "g": "muller",
	} {
		must(w.store.PutUser(w.ctx, storage.User{
			UID: "usr_" + id, RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1", ID: id, LastName: name,
			XP: json.RawMessage(`{"s": ` + strconv.Quote(name) + `}`),
		}))(t)
	}
	check(t, w.store.DeleteUser(w.ctx, w.user.UID, 0))
	for _, tt := range []struct {
		op    storage.Op
		value string
		want  string
	}{
		{storage.OpLikeFold, "*müll*", "a b"},
		{storage.OpLikeFold, "*MÜLL*", "a b"},
		{storage.OpEqualFold, "mÜLLER", "a b"},
		{storage.OpEqualFold, "müll*", ""},
		{storage.OpEqual, "müller", ""},
		{storage.OpLike, "*müll*", ""},
		{storage.OpLikeFold, "ИВАН*", "c"},
		{storage.OpLikeFold, "*офί*", ""},
		{storage.OpLikeFold, "*οφί*", "d"},
		{storage.OpLikeFold, "σοφίας", ""},
		{storage.OpLikeFold, "*STRAẞE*", "e"},
		{storage.OpLikeFold, "*Ü^]-[?.**", "f"},
		{storage.OpEqualFold, `Ü^]-[?.*\%_(A|B){2}$`, "f"},
		{storage.OpLikeFold, `*Ü*\%_(A|B){2}$`, "f"},
		{storage.OpLikeFold, "*Ü.*", ""},
		{storage.OpLikeFold, "*m?ller*ü", ""},
		{storage.OpLikeFold, "*MULLER*", "g"},
	} {
		for _, field := range []string{"LastName", "XP.s"} {
			got := strings.Join(w.usersWhere(t, where(field, tt.op, tt.value)), " ")
			if got != tt.want {
				t.Errorf("%s, operator %d, %q: found %q, want %q", field, tt.op, tt.value, got, tt.want)
			}
		}
	}
}

// testHostileXP stores XP that one of the databases cannot parse as JSON.
func testHostileXP(t *testing.T, w *fixture) {
	for i, xp := range []string{
		`{"s": "\u0000"}`, `{"s": "\ud800"}`, `{"s": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		`{"n": 1e400}`, `{"n": -1e-400}`, `"text"`, `7`, `null`, `{"s": "x"}`, `not JSON`,
		`{"n": 1` + strings.Repeat("0", 1000) + `}`,
	} {
		must(w.store.PutUser(w.ctx, storage.User{
			UID: fmt.Sprint("usr_", i), RealmID: "default", Kind: storage.Buyer, AccountUID: "acc_1", ID: fmt.Sprint(i), XP: json.RawMessage(xp),
		}))(t)
	}
	equal(t, w.usersWhere(t, where("XP.s", storage.OpEqual, "x")), []string{"8"})
	equal(t, w.usersWhere(t, where("XP.n", storage.OpEqual, "7")), []string{})
	must(w.store.ListUsers(w.ctx, storage.UserScope{}, storage.Query{Limit: 100, Sort: []storage.Order{{Field: "XP.n"}, {Field: "XP.s"}}}))(t)
}

func testXPSort(t *testing.T, w *fixture) {
	for id, xp := range map[string]string{
		"a": `{"k": "b"}`, "b": `{"k": "B"}`, "c": `{"k": 10}`, "d": `{"k": 9.5}`, "e": ``, "f": `{"k": true}`, "g": `{"k": -1}`,
		"h": `{"k": 0.3}`, "i": `{"k": 0.30000000000000004}`, "j": `{"k": 9007199254740993}`, "k": `{"k": null}`,
	} {
		must(w.store.PutAccount(w.ctx, storage.Account{
			UID: "acc_" + id, RealmID: "default", Kind: storage.Supplier, ID: id, XP: json.RawMessage(xp),
		}))(t)
	}
	list := func(sort ...storage.Order) (ids string) {
		for offset := 0; offset < 11; offset += 2 { // in both directions
			page := must(w.store.ListAccounts(w.ctx, "default", storage.Supplier, storage.Query{Sort: sort, Offset: offset, Limit: 2}))(t)
			for _, a := range page.Items {
				ids += a.ID
			}
		}
		byKeys := ""
		for key, first := "", true; first || key != ""; first = false {
			page := must(w.store.ListAccounts(w.ctx, "default", storage.Supplier, storage.Query{Sort: sort, After: key, Limit: 1}))(t)
			for _, a := range page.Items {
				byKeys += a.ID
			}
			if key = page.Next; len(byKeys) > 11 {
				break
			}
		}
		equal(t, byKeys, ids)
		return ids
	}
	equal(t, list(storage.Order{Field: "XP.k"}), "ekghidcjbaf")
	equal(t, list(storage.Order{Field: "XP.k", Descending: true}), "fabjcdihgke")
	equal(t, list(storage.Order{Field: "XP.k"}, storage.Order{Field: "ID", Descending: true}), "kegihdcjbaf"[:2]+"ghidcjbaf")
	equal(t, list(storage.Order{Field: "Active"}, storage.Order{Field: "XP.k", Descending: true}, storage.Order{Field: "ID"}), "fabjcdihgek")
}

// testPageKeys deletes the record that a key follows and adds records before and after it.
func testPageKeys(t *testing.T, w *fixture) {
	put := func(id string) {
		must(w.store.PutAccount(w.ctx, storage.Account{UID: "acc_" + id, RealmID: "default", Kind: storage.Supplier, ID: id}))(t)
	}
	for _, id := range strings.Fields("b d f h") {
		put(id)
	}
	list := func(q storage.Query) (storage.Page[storage.Account], error) {
		return w.store.ListAccounts(w.ctx, "default", storage.Supplier, q)
	}
	first := must(list(storage.Query{Limit: 2}))(t)
	check(t, w.store.DeleteAccount(w.ctx, "acc_d", 0))
	put("a")
	put("e")
	second := must(list(storage.Query{After: first.Next, Limit: 2}))(t)
	equal(t, []string{second.Items[0].ID, second.Items[1].ID}, []string{"e", "f"})
	equal(t, []int{second.Total, second.Offset}, []int{4, 2})
	third := must(list(storage.Query{After: second.Next, Limit: 2}))(t)
	equal(t, []string{third.Items[0].ID, third.Next}, []string{"h", ""})

	byName := []storage.Order{{Field: "Name"}}
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"List":"AAAA","Values":["a"],"Offset":1,"Total":1}`))
	for _, q := range []storage.Query{
		{After: first.Next, Sort: byName, Limit: 2},
		{After: first.Next, Sort: []storage.Order{{Field: "ID", Descending: true}}, Limit: 2},
		{After: first.Next, Where: []storage.Condition{where("ID", storage.OpGreater, "b")}, Limit: 2},
		{After: first.Next + "x", Limit: 2},
		{After: "x", Limit: 2},
		{After: forged, Limit: 2},
		{After: "\x00", Limit: 2},
	} {
		if _, err := list(q); !errors.Is(err, storage.ErrQuery) {
			t.Errorf("%+v: got %v, want ErrQuery", q, err)
		}
	}
	if _, err := w.store.ListAccounts(w.ctx, "default", storage.Buyer, storage.Query{After: first.Next, Limit: 2}); !errors.Is(err, storage.ErrQuery) {
		t.Errorf("a page key of suppliers, used for buyers: got %v, want ErrQuery", err)
	}
}

func testBadQueries(t *testing.T, w *fixture) {
	ask := func(q storage.Query) error {
		_, err := w.store.ListUsers(w.ctx, storage.UserScope{}, q)
		return err
	}
	check(t, ask(storage.Query{Limit: 1}))
	for _, field := range []string{
		"", "Nothing", "id", "PasswordHash", "EmailKey", "users.id", "Name; DROP TABLE users", "XP", "XP.", "XP..a", "XP.a..b",
		"XP.a b", "XP.a'", `XP.a"`, "XP.ä", "XP.a?", "XP.$", "XP." + strings.Repeat("a", 200), "XP" + strings.Repeat(".a", 11),
		"User.XP.a", "XP.XP.", "\x00", strings.Repeat("x", 5000),
	} {
		for _, q := range []storage.Query{
			{Limit: 1, Where: []storage.Condition{where(field, storage.OpEqual, "x")}},
			{Limit: 1, Sort: []storage.Order{{Field: field}}},
		} {
			if err := ask(q); !errors.Is(err, storage.ErrQuery) || len(err.Error()) > 1000 {
				t.Errorf("field %.100q: got %v, want a short ErrQuery", field, err)
			}
		}
	}
	for _, c := range []storage.Condition{
		where("Active", storage.OpEqual, "maybe"), where("Active", storage.OpEqual, ""), where("Active", storage.OpLess, "true"),
		where("Active", storage.OpLike, "true"), where("CreatedAt", storage.OpEqual, "yesterday"),
		where("CreatedAt", storage.OpLess, "2031-05-17"), where("CreatedAt", storage.OpLikeFold, "2031-05-17T00:00:00Z"),
		where("Version", storage.OpEqual, "1.5"), where("Version", storage.OpEqual, "9223372036854775808"),
		where("Version", storage.OpLike, "1"), where("Version", storage.OpEqual, ""),
		where("ID", 99, "x"), where("ID", -1, "x"), where("Version", 99, "1"), where("XP.a", 99, "x"), where("XP.a", 99, "1"),
		where("ID", storage.OpEqual, "a\x00b"), where("ID", storage.OpEqual, "a\xff"), where("XP.a", storage.OpEqual, "\x00"),
		where("Email", storage.OpLikeFold, "*\x00"), where("ID", storage.OpEqual, strings.Repeat("x", 2001)),
	} {
		if err := ask(storage.Query{Limit: 1, Where: []storage.Condition{c}}); !errors.Is(err, storage.ErrQuery) || !strings.Contains(err.Error(), c.Fields[0]) {
			t.Errorf("%.100v: got %.1000v, want ErrQuery with the field", c, err)
		}
	}
	for _, q := range []storage.Query{
		{},
		{Limit: -1},
		{Limit: 10_001},
		{Limit: 1, Offset: -1},
		{Limit: 1, Sort: slices.Repeat([]storage.Order{{Field: "Name"}}, 21)},
		{Limit: 1, Where: slices.Repeat([]storage.Condition{where("ID", storage.OpEqual, "x")}, 501)},
		{Limit: 1, Where: []storage.Condition{{Fields: slices.Repeat([]string{"ID"}, 251), Tests: make([]storage.Test, 2)}}},
		{Limit: 1, Where: slices.Repeat([]storage.Condition{where("XP.a", storage.OpEqual, "x")}, 26)},
		{Limit: 1, Where: []storage.Condition{where("Name", storage.OpLikeFold, strings.Repeat("*a", 501))}},
	} {
		if err := ask(q); !errors.Is(err, storage.ErrQuery) {
			t.Errorf("%.100v: got %v, want ErrQuery", q, err)
		}
	}
}

// testLargeQuery runs queries of the highest allowed cost.
func testLargeQuery(t *testing.T, w *fixture) {
	equalID := where("ID", storage.OpEqual, "x")
	equalXP := where("XP.a", storage.OpEqual, "12")
	many := func(c storage.Condition, n int) storage.Condition {
		c.Tests = slices.Repeat(c.Tests, n)
		return c
	}
	not := func(c storage.Condition) storage.Condition {
		c.Tests[0].Not = true
		return c
	}
	for i, test := range []struct {
		query storage.Query
		total int
	}{
		{storage.Query{Sort: slices.Repeat([]storage.Order{{Field: "XP.a"}}, 20), Where: []storage.Condition{many(equalID, 100)}}, 0},
		{storage.Query{Sort: slices.Repeat([]storage.Order{{Field: "XP.a"}}, 5), Where: []storage.Condition{many(equalXP, 20)}}, 0},
		{storage.Query{Where: []storage.Condition{many(equalID, 500)}}, 0},
		{storage.Query{Where: slices.Repeat([]storage.Condition{not(where("ID", storage.OpEqual, "x"))}, 500)}, 1},
		{storage.Query{Where: slices.Repeat([]storage.Condition{not(where("XP.a", storage.OpEqual, "12"))}, 25)}, 1},
		{storage.Query{Where: []storage.Condition{where("ID", storage.OpLike, strings.Repeat("*abc", 500))}}, 0},
	} {
		test.query.Limit = 10_000
		found, err := w.store.ListUsers(w.ctx, storage.UserScope{}, test.query)
		if err != nil || found.Total != test.total {
			t.Errorf("query %d: got %d users, error %v", i, found.Total, err)
		}
	}
}

func testListInTx(t *testing.T, w *fixture) {
	wantErr(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		if _, err := w.store.PutRealm(ctx, storage.Realm{ID: "new"}); err != nil {
			return err
		}
		equal(t, must(w.store.ListRealms(ctx, storage.Query{Limit: 10}))(t).Total, 2)
		return storage.ErrRefused
	}), storage.ErrRefused)
	equal(t, must(w.store.ListRealms(w.ctx, storage.Query{Limit: 10}))(t).Total, 1)
}

func testEmptyList(t *testing.T, w *fixture) {
	equal(t, w.usersWhere(t, where("ID", storage.OpEqual, "nobody")), []string{})
	for _, offset := range []int{0, 1, 1 << 40} {
		got := must(w.store.ListClients(w.ctx, storage.Query{Offset: offset, Limit: 10}))(t)
		equal(t, got.Total+len(got.Items), 0)
	}
	past := must(w.store.ListUsers(w.ctx, storage.UserScope{}, storage.Query{Offset: 1 << 40, Limit: 10}))(t)
	equal(t, past.Total, 1)
	equal(t, len(past.Items), 0)
}

// testSearchUsers compares searches, page by page, with what they must find.
func testSearchUsers(t *testing.T, w *fixture) {
	add := func(id string, kind storage.UserKind, account, lastName, email string, usernames ...string) {
		t.Helper()
		must(w.store.PutUser(w.ctx, storage.User{
			UID: "u_" + id, RealmID: storage.DefaultRealmID, Kind: kind, AccountUID: account, ID: id, LastName: lastName, Email: email, Active: true,
		}))(t)
		for i, name := range usernames {
			profile := []string{storage.DefaultProfileID, "p2"}[i]
			must(w.store.PutLogin(w.ctx, storage.Login{
				ID: "l_" + name + profile, ProfileID: profile, Username: name, UsernameKey: strings.ToLower(name), UserUID: "u_" + id, Active: true,
			}))(t)
		}
	}
	must(w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p2", RealmID: storage.DefaultRealmID, Name: "p2"}))(t)
	must(w.store.PutAccount(w.ctx, storage.Account{UID: "acc_s", RealmID: storage.DefaultRealmID, Kind: storage.Supplier, ID: "s", Active: true}))(t)
	add("1", storage.Buyer, "acc_1", "Mill", "Zoe@example.com", "Mia", "mia.2")
	add("2", storage.Supplier, "acc_s", "MILLER", "mia@example.com", "kim_%")
	add("3", storage.Admin, "", "Müller", "MIA@example.org", "Miá")
	add("4", storage.Buyer, "acc_1", "Miller", "x@example.com")
	add("5", storage.Buyer, "acc_1", "Mil*", "y@example.com", "mi")
	add("6", storage.Buyer, "acc_1", "\u212aim", "", "\u212aim")
	all := []storage.UserKind{storage.Buyer, storage.Supplier, storage.Admin}
	for _, test := range []struct {
		field, prefix string
		kinds         []storage.UserKind
		want          string
	}{
		{"Username", "MI", all, "mi Mia mia.2 Mi\u00e1"},
		{"Username", "mia", all, "Mia mia.2"},
		{"Username", "mi\u00c1", all, "Mi\u00e1"},
		{"Username", "kim_", all, "kim_%"},
		{"Username", "kim%", all, ""},
		{"Username", "K", all, "kim_%"},
		{"Username", "K*%", all, "kim_%"},
		{"Username", "m", []storage.UserKind{storage.Admin}, "Mi\u00e1"},
		{"Username", "m", nil, ""},
		{"Username", "zz", all, ""},
		{"Email", "mia@", all, "kim_% Mi\u00e1"},
		{"Email", "MIA@EXAMPLE.C", all, "kim_%"},
		{"Email", "x@", all, "-4"},
		{"LastName", "mill", all, "Mia kim_% -4"},
		{"LastName", "mil*r", all, "kim_% -4"},
		{"LastName", "M\u00dc", all, "Mi\u00e1"},
		{"LastName", "mill", []storage.UserKind{storage.Supplier, storage.Admin}, "kim_%"},
	} {
		for _, limit := range []int{1, 2, 100} {
			find := storage.UserSearch{RealmID: storage.DefaultRealmID, Kinds: test.kinds, Field: test.field, Prefix: test.prefix, Limit: limit}
			var got []string
			for {
				page := must(w.store.SearchUsers(w.ctx, find))(t)
				if page.Total != len(strings.Fields(test.want)) {
					t.Errorf("%s %q: total %d", test.field, test.prefix, page.Total)
				}
				for _, u := range page.Items {
					name := u.Login.Username
					if name == "" {
						name = "-" + u.User.ID
					}
					got = append(got, name)
				}
				if find.After = page.Next; find.After == "" {
					break
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s %q of %v, %d at a time: %q, want %q", test.field, test.prefix, test.kinds, limit, got, test.want)
			}
		}
	}
	found := must(w.store.SearchUsers(w.ctx, storage.UserSearch{RealmID: storage.DefaultRealmID, Kinds: all, Field: "Username", Prefix: "bob", Limit: 1}))(t)
	equal(t, found.Items, []storage.UserLogin{{User: w.user, Login: w.login}})
	everybody := storage.UserSearch{RealmID: storage.DefaultRealmID, Kinds: all, Field: "Username", Limit: 1}
	everybody.After = must(w.store.SearchUsers(w.ctx, everybody))(t).Next
	everybody.Prefix = "m"
	fails(w.store.SearchUsers(w.ctx, everybody))(t, storage.ErrQuery)
	fails(w.store.SearchUsers(w.ctx, storage.UserSearch{Field: "PasswordHash", Limit: 1}))(t, storage.ErrQuery)
}
