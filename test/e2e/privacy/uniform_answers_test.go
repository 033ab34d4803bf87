package privacy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestUniformAnswers tests that responses do not reveal which users exist.
func TestUniformAnswers(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		kit.NewOneServer(w).Each(t, []kit.OneServerTest{
			{Name: "asking for a code", Run: uniformRequests},
			{Name: "signing in", Run: uniformRefusals},
			{Name: "one address, two names", Run: twoNames},
		})
	})
}

func uniformRequests(t *testing.T, a *kit.OneServer) {
	a.AddUsers("c1", "c1-locked")
	a.AddUsersTo("acme", func(user kit.Object) { delete(user, "Email") }, "c1-mute")
	a.LockOut(a.Server, "c1-locked")
	a.AwaitMessages()
	sent := map[string]int{}
	known := kit.VisibleBody(a.Server.RequestCode("c1", ""))
	if want := "204\nCache-Control: [\"no-store\"]\n"; !strings.HasPrefix(known, want) || !strings.HasSuffix(known, "\n\n") {
		t.Fatalf("known user: got\n%s", known)
	}
	for _, m := range a.AwaitMessages() {
		sent[m.EventBody.Username]++
	}
	for _, asked := range [][2]string{
		{"c1", ""},
		{"c1-nobody", ""},
		{"", "c1-nobody@people.example"},
		{"", "c1@people.example"},
		{"c1", "c1@people.example"},
		{"c1", "jane@example.com"},
		{"c1-nobody", "c1@people.example"},
		{"gone", ""},
		{"", "gone@example.com"},
		{"carl", ""},
		{"c1-locked", ""},
		{"", "c1-locked@people.example"},
		{"c1-mute", ""},
		{"c1-mute", "c1-mute@people.example"},
		{"ada", ""},
		{strings.Repeat("x", 500), ""},
	} {
		if diff := cmp.Diff(known, kit.VisibleBody(a.Server.RequestCode(asked[0], asked[1]))); diff != "" {
			t.Errorf("%q (-known +got):\n%s", asked, diff)
		}
		for _, m := range a.AwaitMessages() { // wait, because the next request for a user would replace the code
			sent[m.EventBody.Username]++
		}
	}
	// A sender may use another way than mail, and guesses at passwords do not keep a code from
	// its owner.
	want := map[string]int{"c1": 4, "c1-mute": 1, "c1-locked": 2}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func uniformRefusals(t *testing.T, a *kit.OneServer) {
	a.AddUsers("c1a", "c1a-locked", "c1a-used", "c1a-late")
	a.AddUsersWithoutPassword("c1a-none")
	a.StoreCode("c1a-locked", "01234567", nil) // with a live code, guesses lock codes too
	a.LockOut(a.Server, "c1a-locked")
	used := a.RequestCode(a.Server, "shop", "c1a-used")
	kit.MustIssue(t, "code", a.Server.SignIn("c1a-used", used))
	a.StoreCode("c1a-late", "01234567", func(c *storage.Code) { c.ExpiresAt = a.Clock.Now().Add(-time.Second) })
	known := kit.VisibleBody(a.Server.SignIn("c1a", "wrong"))
	if !strings.HasPrefix(known, "400\n") || !strings.HasSuffix(known, "\n\n"+kit.WrongCredentialsBody) {
		t.Fatalf("wrong password: got\n%s", known)
	}
	for what, try := range map[string][2]string{
		"unknown user":                   {"c1a-nobody", kit.Password},
		"user without password":          {"c1a-none", kit.Password},
		"disabled user, right password":  {"gone", kit.Password},
		"disabled user, wrong password":  {"gone", "wrong"},
		"closed company, right password": {"carl", kit.Password},
		"not admitted, right password":   {"ada", kit.Password},
		"locked, right password":         {"c1a-locked", kit.Password},
		"locked, right code":             {"c1a-locked", "01234567"},
		"locked, wrong":                  {"c1a-locked", "wrong"},
		"used code":                      {"c1a-used", used},
		"expired code":                   {"c1a-late", "01234567"},
		"name in other letters":          {"  C1A ", "wrong"},
		"very long password":             {"c1a", strings.Repeat("p", 5000)},
		"control characters":             {"c1a", "wr\x00ong\r\n"},
	} {
		if diff := cmp.Diff(known, kit.VisibleBody(a.Server.SignIn(try[0], try[1]))); diff != "" {
			t.Errorf("%s (-known +got):\n%s", what, diff)
		}
	}
}

// twoNames tests that each of the users with one address gets its own code, and that a name and
// an address that do not belong together get none.
func twoNames(t *testing.T, a *kit.OneServer) {
	a.AwaitMessages()
	for _, asked := range [][2]string{{"", " DOE@example.com "}, {"jane", "doe@example.com"}, {"john", "jane@example.com"}} {
		if got := a.Server.RequestCode(asked[0], asked[1]); got.Status != http.StatusNoContent {
			t.Fatalf("%q: got %d %s, want 204", asked, got.Status, got.Body)
		}
	}
	codes := map[string]string{}
	mails := a.AwaitMessages()
	for _, m := range mails {
		codes[m.EventBody.Username] = m.EventBody.OneTimePassword
	}
	if len(mails) != 2 || codes["john"] == "" || codes["johnny"] == "" || codes["john"] == codes["johnny"] {
		t.Fatalf("got the messages %v", codes)
	}
	kit.MustRefuse(t, "john's code for johnny", a.Server.SignIn("johnny", codes["john"]), kit.WrongCredentialsBody)
	kit.MustIssue(t, "john's", a.Server.SignIn("john", codes["john"]))
	kit.MustIssue(t, "johnny's", a.Server.SignIn("johnny", codes["johnny"]))
	// With the name as well, only that user is meant.
	if got := a.Server.RequestCode("johnny", "doe@example.com"); got.Status != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", got.Status, got.Body)
	}
	if mails := a.AwaitMessages(); len(mails) != 1 || mails[0].EventBody.Username != "johnny" {
		t.Errorf("got %d messages, want that of johnny alone", len(mails))
	}
}
