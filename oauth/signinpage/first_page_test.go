package signinpage

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestFirstPage tests that kept pages are those of the template, for each client and
// language, with the state of each visitor, and that there are only so many of them.
func TestFirstPage(t *testing.T) {
	t.Parallel()
	templates := mustLoad(t, nil)
	shown := func(i int) page {
		return page{
			Step: stepName, Locale: []string{"en", "de"}[i%2], Base: "/sample", Action: "/sample/signin", Client: fmt.Sprintf("Shop <%d>", i/4),
			HasPassword: i%3 == 0, HasCode: true, State: fmt.Sprint("state_of-", i),
		}
	}
	var visitors sync.WaitGroup
	for visitor := range 4 {
		visitors.Go(func() {
			for i := range 100 {
				p := shown(i * (visitor + 1))
				got, err := templates.fill(p)
				p.texts = templates.texts[p.Locale]
				want, wantErr := templates.execute(p)
				if err != nil || wantErr != nil || string(got) != string(want) || !strings.Contains(string(got), p.State) {
					t.Errorf("got %s, %v; want %s, %v", got, err, want, wantErr)
				}
			}
		})
	}
	visitors.Wait()
	if _, err := templates.fill(page{Step: stepName, Locale: "en", Name: "jane"}); err != nil {
		t.Error(err)
	}
	kept := len(templates.first.kept)
	for i := range 2 * maxFirstPages {
		if _, err := templates.fill(shown(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(templates.first.kept); kept == 0 || n == 0 || n > maxFirstPages {
		t.Errorf("%d and then %d pages are kept, want at most %d", kept, n, maxFirstPages)
	}
}

// TestFirstPageOnly tests that no page is kept that says more than the first one does.
func TestFirstPageOnly(t *testing.T) {
	t.Parallel()
	for what, p := range map[string]page{
		"name": {Step: stepName, Name: "jane"}, "alert": {Step: stepName, Alert: alertName}, "notice": {Step: stepName, Notice: noticeNewCode},
		"code": {Step: stepCode}, "error": {Step: stepError, RequestID: "f00d"},
	} {
		if p.isFirst() {
			t.Errorf("a page with %s is kept", what)
		}
	}
}
