package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// layer holds the settings of one source, as text by the name of the variable.
// Empty text counts as not given.
type layer struct {
	text   map[string]string
	origin map[string]string // by variable: its name in the source
}

func newLayer() layer {
	return layer{text: map[string]string{}, origin: map[string]string{}}
}

func (l layer) put(variable, text, origin string) {
	if text = strings.TrimSpace(text); text != "" {
		l.text[variable], l.origin[variable] = text, origin
	}
}

// readSecrets replaces the names of secret files by their contents without outer
// white space. It works on one source, so that a file of a stronger source takes
// precedence over a value of a weaker one.
func (l layer) readSecrets(read func(string) ([]byte, error), faults *Faults) {
	for _, s := range Settings() {
		name, given := l.text[s.fileVariable()]
		if !s.Secret || !given {
			continue
		}
		origin := l.origin[s.fileVariable()]
		if _, both := l.text[s.Variable]; both {
			*faults = append(*faults, Fault{s.Key, origin, "is given together with " + l.origin[s.Variable]})
			continue
		}
		text, err := read(name)
		switch {
		case err != nil:
			*faults = append(*faults, Fault{s.Key, origin, "the file cannot be read: " + cause(err)})
		case strings.TrimSpace(string(text)) == "":
			*faults = append(*faults, Fault{s.Key, origin, "the file is empty"})
		default:
			l.put(s.Variable, string(text), origin)
		}
	}
}

// apply sets the fields of c that the layer has text for. It returns a fault for
// each text that cannot be parsed, in the order of the settings.
func (l layer) apply(c *Config) Faults {
	settings := Settings()
	byField := map[string]Setting{}
	text := maps.Clone(l.text)
	for _, s := range settings {
		f := reflect.TypeFor[Config]().Field(s.field)
		byField[f.Name] = s
		if f.Type.Kind() == reflect.Slice {
			text[s.Variable] = tidyList(text[s.Variable])
		}
	}
	err := env.ParseWithOptions(c, env.Options{Environment: text, Prefix: prefix})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	var faults Faults
	for _, e := range all.Errors {
		var parse env.ParseError
		if errors.As(e, &parse) {
			faults = append(faults, l.fault(byField[parse.Name]))
		} else {
			faults = append(faults, Fault{Setting: "configuration", Problem: e.Error()})
		}
	}
	return faults
}

// fault returns the Fault for a text that cannot be parsed. It names the expected form and,
// unless the setting is a secret, the text.
func (l layer) fault(s Setting) Fault {
	problem := s.wants
	if !s.Secret {
		problem = fmt.Sprintf("%s, not %.80q", s.wants, l.text[s.Variable])
	}
	return Fault{Setting: s.Key, Source: l.origin[s.Variable], Problem: problem}
}

// tidyList removes the white space around the items of a comma-separated list, and
// empty items.
func tidyList(text string) string {
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return strings.Join(slices.DeleteFunc(items, func(s string) bool { return s == "" }), ",")
}
