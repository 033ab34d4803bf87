package config

import (
	"fmt"
	"reflect"
	"strings"
)

const prefix = "LATCHKEY_"

// Setting describes one setting. It comes from the tags of a field of Config.
type Setting struct {
	Key      string // in the YAML file, such as "ops_listen"
	Variable string // in the environment, such as "LATCHKEY_OPS_LISTEN"
	Flag     string // on the command line, without leading hyphens, such as "ops-listen"; empty: none
	FileFlag string // flag for the name of a file that contains the secret; empty: not a secret
	Default  string // as text; empty: see Derived, or none
	Derived  string // what the default is computed from
	Meaning  string
	Secret   bool

	field int // index in Config
	wants string
}

// Settings returns all settings in the order of Config's fields.
func Settings() []Setting {
	t := reflect.TypeFor[Config]()
	all := make([]Setting, 0, t.NumField())
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("env") != "" {
			all = append(all, newSetting(i, t.Field(i)))
		}
	}
	return all
}

func newSetting(i int, f reflect.StructField) Setting {
	name, secret := f.Tag.Get("env"), f.Tag.Get("secret")
	s := Setting{
		Key:      strings.ToLower(name),
		Variable: prefix + name,
		Default:  f.Tag.Get("default"),
		Derived:  f.Tag.Get("derived"),
		Meaning:  f.Tag.Get("meaning"),
		Secret:   secret != "",
		field:    i,
		wants:    wants[f.Type.String()],
	}
	flag := strings.ReplaceAll(s.Key, "_", "-")
	if secret != "only" {
		s.Flag = flag
	}
	if s.Secret {
		s.FileFlag = flag + "-file"
	}
	return s
}

// wants maps the type of a field to the message for a text that does not have this type.
var wants = map[string]string{
	"int":               "must be a whole number",
	"bool":              "must be true or false",
	"float64":           "must be a number such as 1e-5",
	"time.Duration":     "must be a duration such as 10s or 1h",
	"zerolog.Level":     "must be trace, debug, info, warn, error or disabled",
	"config.Rate":       errRate.Error(),
	"*config.Rate":      errRate.Error(),
	"config.Rates":      wantsRates,
	"[]config.Resource": "must be a comma-separated list of absolute URIs such as https://api.example/orders, without a fragment",
	"[]config.Origin":   "must be a comma-separated list of origins such as https://shop.example, without a path",
	"[]netip.Prefix":    "must be a comma-separated list of CIDR blocks such as 10.0.0.0/8",
	// The message never contains the text.
	"config.MasterKey": errMasterKey.Error(),
}

func (s Setting) fileVariable() string { return s.Variable + "_FILE" }

// Show returns the value of the setting as text. Secrets are redacted.
func (c Config) Show(s Setting) string {
	v := reflect.ValueOf(c).Field(s.field)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return "" // not given; see Derived
	}
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, ",")
}
