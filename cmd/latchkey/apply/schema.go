package apply

import (
	_ "embed" // for the schema
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of a document. "make docs" generates it from Document.
func Schema() []byte { return schema }
