package console

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fieldKind says how a field is filled in, and what its member is in JSON.
type fieldKind string

const (
	textField     fieldKind = "text"     // a string
	passwordField fieldKind = "password" // a string that is not shown
	areaField     fieldKind = "area"     // a string of several lines
	jsonField     fieldKind = "json"     // any JSON
	numberField   fieldKind = "number"   // an integer
	checkField    fieldKind = "check"    // a boolean
	choiceField   fieldKind = "choice"   // a string, one of the options
	choicesField  fieldKind = "choices"  // an array of strings, some of the options
	linesField    fieldKind = "lines"    // an array of strings, one a line
	timeField     fieldKind = "time"     // a time in RFC 3339, typed in the zone of the user
)

// option is a choice of a field. It is shown as the text FORM.FIELD.VALUE if there is one,
// and otherwise as Label or as the value.
type option struct{ Value, Label string }

// field is a field of a form for one member of a resource. Its label is the text
// FORM.FIELD, and its explanation the text FORM.FIELD.help if there is one.
type field struct {
	Name     string // of the member
	Kind     fieldKind
	Options  []option
	Required bool
	Min, Max int    // of a number; both 0: no limits
	Group    string // the name of the text of a heading above the field; empty: none

	Value  string   // as shown or typed
	Values []string // of choices
	Fault  string   // what is wrong with it, in English
	Was    string   // what was stored when the form was shown first; see text
	form   string   // Name of the form
}

// In returns the field as one of the form with that name.
func (f field) In(form string) field {
	f.form = form
	return f
}

// Text returns the name of the text of the label.
func (f field) Text() string { return f.form + "." + f.Name }

// Of returns an option of the field as the template "option" shows it.
func (f field) Of(o option) shownOption {
	return shownOption{f.Text() + "." + o.Value, o.Label, o.Value}
}

// shownOption is an option with the name of its text, which may not exist.
type shownOption struct{ Text, Label, Value string }

// resource is a JSON object of /v1.
type resource map[string]any

// form is a form for the members of a resource.
type form struct {
	Name   string // beginning of the names of its texts
	Fields []field
	Fault  string // what is wrong with no field in particular, in English
	zone   *time.Location
}

// text returns the value in a form that can be compared.
func (f *field) text() string {
	switch f.Kind {
	case choicesField:
		values := slices.Sorted(slices.Values(f.Values))
		return strings.Join(values, "\n")
	case linesField:
		return strings.Join(lines(f.Value), "\n")
	case jsonField, areaField, textField, passwordField, numberField, checkField, choiceField, timeField:
	}
	return strings.TrimSpace(f.Value)
}

// Has reports whether the option is chosen.
func (f field) Has(value string) bool { return slices.Contains(f.Values, value) }

// Changed reports whether the field has another value than was stored.
func (f *field) Changed() bool { return f.text() != f.Was }

// lines returns the lines that are not empty.
func lines(text string) []string {
	found := []string{}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// load puts the members of a resource into the fields, as what is stored.
func (f *form) load(r resource) {
	for i := range f.Fields {
		field := &f.Fields[i]
		field.load(r[field.Name], f.zone)
		field.Was = field.text()
	}
}

func (f *field) load(value any, zone *time.Location) {
	f.Value, f.Values = "", nil
	switch v := value.(type) {
	case nil:
	case string:
		f.Value = v
		if t, err := time.Parse(time.RFC3339, v); err == nil && f.Kind == timeField {
			f.Value = t.In(zone).Format(localTime)
		}
	case bool:
		if v {
			f.Value = "true"
		}
	case json.Number:
		f.Value = v.String()
	case []any:
		if f.Kind == jsonField {
			f.Value = indented(v)
			return
		}
		for _, item := range v {
			if s, ok := item.(string); ok {
				f.Values = append(f.Values, s)
			}
		}
		f.Value = strings.Join(f.Values, "\n")
	default:
		f.Value = indented(v)
	}
}

func indented(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // it was decoded from JSON
		return ""
	}
	return string(text)
}

// localTime is the form in which browsers send times (HTML, input type=datetime-local).
const localTime = "2006-01-02T15:04"

// read takes the fields from a posted form.
func (f *form) read(posted url.Values) {
	for i := range f.Fields {
		field := &f.Fields[i]
		field.Values = posted["f."+field.Name]
		field.Value = strings.ReplaceAll(posted.Get("f."+field.Name), "\r\n", "\n")
		field.Was = strings.ReplaceAll(posted.Get("was."+field.Name), "\r\n", "\n")
	}
}

// rebase takes what is stored now as the base of the form. Fields that the user did not
// change take the stored value.
func (f *form) rebase(stored resource) {
	for i := range f.Fields {
		field := &f.Fields[i]
		now := field.stored(stored, f.zone)
		if !field.Changed() {
			field.Value, field.Values = now.Value, now.Values
		}
		field.Was = now.text()
	}
}

func (f *field) stored(r resource, zone *time.Location) *field {
	now := &field{Name: f.Name, Kind: f.Kind}
	now.load(r[f.Name], zone)
	return now
}

// members returns the members of the fields that differ from what is stored.
func (f *form) members() (resource, bool) {
	r, ok := resource{}, true
	for i := range f.Fields {
		field := &f.Fields[i]
		if !field.Changed() {
			continue
		}
		value, fault := field.member(f.zone)
		if field.Fault = fault; fault != "" {
			ok = false
			continue
		}
		r[field.Name] = value
	}
	return r, ok
}

// member returns the value in JSON, or what is wrong with it. An empty text is null.
func (f *field) member(zone *time.Location) (value any, fault string) {
	text := f.text()
	switch f.Kind {
	case checkField:
		return text == "true", ""
	case choicesField:
		return slices.Sorted(slices.Values(f.Values)), ""
	case linesField:
		return lines(f.Value), ""
	case textField, passwordField, areaField, choiceField, numberField, jsonField, timeField:
	}
	if text == "" {
		return nil, ""
	}
	switch f.Kind {
	case numberField:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, "must be a whole number"
		}
		return n, ""
	case jsonField:
		var was, now any
		if decodeJSON(text, &now) != nil {
			return nil, "must be JSON"
		}
		_ = decodeJSON(f.Was, &was) // empty: there was nothing
		return mergePatch(was, now), ""
	case timeField:
		t, err := time.ParseInLocation(localTime, text, zone)
		if err != nil {
			return nil, "must be a time such as 2026-01-31T12:00"
		}
		return t.UTC().Format(time.RFC3339), ""
	case textField, passwordField, areaField, choiceField, checkField, choicesField, linesField:
	}
	return text, ""
}

// decodeJSON decodes a text that has one JSON value.
func decodeJSON(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("more than one value")
	}
	return nil
}

// mergePatch returns what makes now of was if it is sent in a merge patch: members that are
// not there any more are null (RFC 7396).
func mergePatch(was, now any) any {
	old, isObject := was.(map[string]any)
	members, stays := now.(map[string]any)
	if !isObject || !stays {
		return now
	}
	patch := make(map[string]any, len(members))
	for name, value := range members {
		patch[name] = mergePatch(old[name], value)
	}
	for name := range old {
		if _, kept := members[name]; !kept {
			patch[name] = nil
		}
	}
	return patch
}

// blame puts the faults that /v1 found at the fields that they are about. Those about no
// field go to the form.
func (f *form) blame(refused *refusal) {
	f.Fault = ""
	for _, e := range refused.Errors {
		message := e.Message
		at := slices.IndexFunc(f.Fields, func(field field) bool { return mentions(e.Data, e.Message, field.Name) })
		if at >= 0 {
			f.Fields[at].Fault = strings.TrimSpace(f.Fields[at].Fault + " " + message)
			continue
		}
		f.Fault = strings.TrimSpace(f.Fault + " " + message)
	}
	if len(refused.Errors) == 0 {
		f.Fault = refused.Error()
	}
}

// mentions reports whether an error of /v1 is about the member.
func mentions(data any, message, member string) bool {
	if d, ok := data.(map[string]any); ok {
		if path, ok := d["Path"].(string); ok {
			rest, found := strings.CutPrefix(path, member)
			return found && (rest == "" || rest[0] == '[' || rest[0] == '.')
		}
	}
	return strings.HasPrefix(message, member+":")
}

// difference is a member that a change gives another value.
type difference struct {
	Field    field
	Old, New string // as shown; empty: nothing
}

// shownValue is a value of a field as the template "value" shows it.
type shownValue struct {
	Kind   fieldKind
	Value  string
	Chosen []shownOption
}

// Show returns a value of the field for the template "value".
func (d difference) Show(form, value string) shownValue {
	f := d.Field.In(form)
	v := shownValue{Kind: f.Kind, Value: value}
	for chosen := range strings.SplitSeq(value, "\n") {
		o := option{Value: chosen}
		if i := slices.IndexFunc(f.Options, func(o option) bool { return o.Value == chosen }); i >= 0 {
			o = f.Options[i]
		}
		v.Chosen = append(v.Chosen, f.Of(o))
	}
	return v
}

// differences returns the fields that differ from what is stored.
func (f *form) differences() []difference {
	var found []difference
	for i := range f.Fields {
		field := f.Fields[i]
		if field.Changed() {
			found = append(found, difference{Field: field, Old: field.Was, New: field.text()})
		}
	}
	return found
}
