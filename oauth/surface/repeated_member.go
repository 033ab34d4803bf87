package surface

import (
	"bytes"
	"encoding/json"
	"strings"
)

// RepeatedMember returns the path, such as data.name, of the first member that
// occurs twice in an object of the document, or "". Letter case is ignored, because
// encoding/json ignores it: of two such members it takes the last, where a proxy or
// another parser may take the first (RFC 8259 §4). The document must be valid JSON.
func RepeatedMember(document []byte) string {
	in := json.NewDecoder(bytes.NewReader(document))
	in.UseNumber()
	return repeatedMember(in)
}

// repeatedMember reads one value. The path starts at that value.
func repeatedMember(in *json.Decoder) string {
	token, err := in.Token()
	delim, composite := token.(json.Delim)
	if err != nil || !composite {
		return ""
	}
	seen := map[string]bool{}
	for in.More() {
		name := ""
		if delim == '{' {
			token, _ := in.Token()
			name, _ = token.(string)
			folded := strings.ToLower(strings.ToUpper(name)) // as encoding/json folds: U+017F is an s
			if seen[folded] {
				return name
			}
			seen[folded] = true
		}
		if repeated := repeatedMember(in); repeated != "" {
			return strings.TrimPrefix(name+"."+repeated, ".")
		}
	}
	_, _ = in.Token() // the closing delimiter
	return ""
}
