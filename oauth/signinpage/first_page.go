package signinpage

import (
	"strings"
	"sync"
)

const (
	// maxFirstPages is how many first pages are kept: one for each client and language.
	maxFirstPages = 1000
	// stateMark stands for the sealed state in a kept page. It has the characters of a
	// sealed state, so a template writes both alike.
	stateMark = "the-sealed-state-of-a-visitor-is-written-here"
)

// firstPages keeps the page that asks for the name, as all visitors get it. Only the sealed
// state differs. Most requests without a session get this page, and filling the template is
// most of their work.
type firstPages struct {
	mu   sync.RWMutex
	kept map[firstPage][]string // the page, split where the state is
}

// firstPage identifies a kept page.
type firstPage struct {
	locale, base, action, client string
	hasPassword, hasCode         bool
}

// isFirst reports whether the page is one that can be kept.
func (p page) isFirst() bool {
	return p.Step == stepName && p.Name == "" && p.Alert == "" && p.Notice == ""
}

// fill returns the page with its state. execute fills the template.
func (f *firstPages) fill(shown page, execute func(page) ([]byte, error)) ([]byte, error) {
	key := firstPage{shown.Locale, shown.Base, shown.Action, shown.Client, shown.HasPassword, shown.HasCode}
	f.mu.RLock()
	parts, ok := f.kept[key]
	f.mu.RUnlock()
	state := shown.State
	if !ok {
		shown.State = stateMark
		body, err := execute(shown)
		if err != nil {
			return nil, err
		}
		parts = strings.Split(string(body), stateMark)
		f.keep(key, parts)
	}
	return []byte(strings.Join(parts, state)), nil
}

func (f *firstPages) keep(key firstPage, parts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil || len(f.kept) >= maxFirstPages {
		f.kept = map[firstPage][]string{}
	}
	f.kept[key] = parts
}
