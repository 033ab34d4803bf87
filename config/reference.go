package config

import (
	"fmt"
	"strings"
)

const referenceHead = `# Settings

Written by the test of package config from the settings themselves; do not edit.

Settings come from flags, then variables, then the YAML file that ` + "`--config`" + ` or
` + "`LATCHKEY_CONFIG`" + ` names, then the defaults. An empty value counts as not given. A
flag is the key with hyphens (` + "`ops_listen`" + ` is ` + "`--ops-listen`" + `). A secret may also
be given as the name of a file that holds it: the variable with ` + "`_FILE`" + `, the key
with ` + "`_file`" + `, the flag with ` + "`-file`" + `. White space around the content is removed.
Secrets are marked *; ` + "`master_key`" + ` has no flag of its own, because the arguments
of a process can be read by other users.

An unknown key, an unknown variable beginning with ` + "`LATCHKEY_`" + ` or a bad value stops
the start, and all faults are listed at once. Kubernetes adds such variables for
every service whose name begins with ` + "`latchkey`" + ` unless the pod says ` + "`enableServiceLinks: false`" + `.

| Key | Variable | Default | Meaning |
|---|---|---|---|
`

// Reference returns the description of all settings as a Markdown page:
// docs/CONFIG.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, s := range Settings() {
		key, def := "`"+s.Key+"`", s.Derived
		if s.Secret {
			key += " *"
		}
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		meaning := strings.ReplaceAll(s.Meaning, "|", `\|`)
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", key, s.Variable, def, meaning)
	}
	return b.String()
}
