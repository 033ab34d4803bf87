package operations

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"latchkey/config"
)

// TestDeployFilesNameSettings tests that each variable in the files of deploy is a setting.
func TestDeployFilesNameSettings(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"LATCHKEY_CONFIG": true}
	for _, s := range config.Settings() {
		known[s.Variable], known[s.Variable+"_FILE"] = true, s.FileFlag != ""
		known[s.Variable] = true
	}
	variable := regexp.MustCompile(`\bLATCHKEY_[A-Z_]*[A-Z]\b`)
	found := 0
	err := filepath.WalkDir("../../../deploy", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range variable.FindAllString(string(text), -1) {
			if found++; !known[name] {
				t.Errorf("%s: got the variable %s, which is not a setting", path, name)
			}
		}
		return err
	})
	if err != nil || found < 20 {
		t.Errorf("got %d variables: %v", found, err)
	}
}
