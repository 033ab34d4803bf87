package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// configVariable is the variable with the name of the YAML file.
const configVariable = prefix + "CONFIG"

// maxFileSize is the largest size of a configuration or secret file, in bytes.
const maxFileSize = 1 << 20

// Sources are the sources of settings, strongest first: flags, environment, file.
type Sources struct {
	Flags    map[string]string                 // text by flag name, only of flags that were given
	Environ  []string                          // NAME=value, as from os.Environ
	File     string                            // name of the YAML file; empty: the value of LATCHKEY_CONFIG
	Default  string                            // name of a YAML file that is read if no other is named and it exists
	ReadFile func(name string) ([]byte, error) // default: reads the file system
}

// Load reads the sources over the defaults and validates the result. The error is
// Faults with the faults of all sources, also of values that a stronger source
// replaces. The Config is empty if there is an error.
func Load(src Sources) (Config, error) {
	if src.ReadFile == nil {
		src.ReadFile = readFile
	}
	var c Config
	var faults Faults
	layers := []layer{defaultLayer(), src.fileLayer(&faults), src.environLayer(&faults), src.flagLayer(&faults)}
	for _, l := range layers {
		l.readSecrets(src.ReadFile, &faults)
		faults = append(faults, l.apply(&c)...)
	}
	c.derive()
	faults = append(faults, c.faults().without(faults)...)
	if len(faults) > 0 {
		return Config{}, faults
	}
	return c, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFileSize)
	}
	return text, err
}

func defaultLayer() layer {
	l := newLayer()
	for _, s := range Settings() {
		l.put(s.Variable, s.Default, "default")
	}
	l.put(prefix+"HASH_CONCURRENCY", strconv.Itoa(runtime.NumCPU()), "default")
	return l
}

const (
	databaseVariable       = prefix + "DATABASE_URL"
	directDatabaseVariable = prefix + "DATABASE_DIRECT_URL"

	// passwordInFlag is the fault of a flag that contains a database password.
	passwordInFlag = "holds a password, which everybody on the machine can see in the list of processes; use the variable, " +
		"such as " + databaseVariable + ", or a file, as in --database-url-file"
)

func (src Sources) flagLayer(faults *Faults) layer {
	l := newLayer()
	variables := map[string]string{}
	for _, s := range Settings() {
		if s.Flag != "" {
			variables[s.Flag] = s.Variable
		}
		if s.FileFlag != "" {
			variables[s.FileFlag] = s.fileVariable()
		}
	}
	for flag, text := range src.Flags {
		variable, ok := variables[flag]
		switch {
		case !ok:
			*faults = append(*faults, Fault{Setting: "--" + flag, Problem: "unknown flag"})
		case isDatabaseURL(variable) && NewDatabaseURL(text).hasPassword():
			*faults = append(*faults, Fault{strings.ReplaceAll(flag, "-", "_"), "--" + flag, passwordInFlag})
		default:
			l.put(variable, text, "--"+flag)
		}
	}
	return l
}

func isDatabaseURL(variable string) bool {
	return variable == databaseVariable || variable == directDatabaseVariable
}

func (src Sources) environLayer(faults *Faults) layer {
	l := newLayer()
	known := map[string]bool{configVariable: true}
	for _, s := range Settings() {
		known[s.Variable] = true
		known[s.fileVariable()] = s.Secret
	}
	for _, entry := range slices.Sorted(slices.Values(src.Environ)) {
		name, text, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, prefix) || name == configVariable:
		case known[name]:
			l.put(name, text, name)
		default:
			*faults = append(*faults, Fault{Setting: printable(name), Problem: unknownVariable(name)})
		}
	}
	return l
}

// serviceLink matches the variables that Kubernetes sets in every container of a
// namespace for a service whose name begins with "latchkey", such as
// "latchkey-db": NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_SERVICE_PORT_PORTNAME
// for each named port, NAME_PORT, and NAME_PORT_NUMBER_PROTOCOL for each port,
// also with the endings _PROTO, _PORT and _ADDR.
var serviceLink = regexp.MustCompile(`^LATCHKEY(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func unknownVariable(name string) string {
	if serviceLink.MatchString(name) {
		return "unknown variable; it looks like a Kubernetes service link, which enableServiceLinks: false turns off"
	}
	return "unknown variable"
}

func (src Sources) fileLayer(faults *Faults) layer {
	name := src.File
	for _, entry := range src.Environ {
		if text, ok := strings.CutPrefix(entry, configVariable+"="); ok && name == "" {
			name = text
		}
	}
	named := name != ""
	if !named {
		name = src.Default
	}
	if name == "" {
		return newLayer()
	}
	text, err := src.ReadFile(name)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return newLayer()
	}
	if err != nil {
		*faults = append(*faults, Fault{Setting: "config", Source: printable(name), Problem: "cannot be read: " + cause(err)})
		return newLayer()
	}
	l, found := parseYAML(text, printable(name))
	*faults = append(*faults, found...)
	return l
}

// cause returns why a file cannot be read, without the name of the file.
func cause(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return printable(err.Error())
}

// printable returns foreign text for output. It quotes text with control
// characters or quotes.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
