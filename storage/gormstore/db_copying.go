package gormstore

// copying is the SQL with which a dialect copies whole databases.
type copying struct {
	// patient are statements that let a transaction take as long as it needs.
	patient []string
	// tables selects the names of all tables.
	tables string
	// references selects pairs of tables: the first one refers to the second one.
	references string
	// columns selects the name and the type of each column of a table.
	columns string
	// continueSequences are statements that continue the sequences behind the numbers
	// that are in use.
	continueSequences []string
}

// numbersInUse selects the highest number that a request for a code, or the code or
// verification code of a login, has from the sequence of requests.
const numbersInUse = `SELECT max(used) FROM (SELECT max(seq) AS used FROM code_requests
	UNION ALL SELECT max(code_seq) FROM logins UNION ALL SELECT max(verification_seq) FROM logins) AS numbers`

func (d *sqlite) copying() copying {
	return copying{
		tables: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
		references: `SELECT m.name, f."table" FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
			WHERE m.type = 'table' AND m.name <> f."table"`,
		columns: "SELECT name, lower(type) FROM pragma_table_info(?)",
		continueSequences: []string{
			"DELETE FROM sqlite_sequence WHERE name = 'code_requests'",
			"INSERT INTO sqlite_sequence (name, seq) SELECT 'code_requests', coalesce((" + numbersInUse + "), 0)",
		},
	}
}

func (p *postgres) copying() copying {
	const here = "relnamespace = current_schema()::regnamespace"
	return copying{
		patient: []string{"SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"},
		tables:  "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND " + here,
		references: `SELECT c.relname, f.relname FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
			JOIN pg_class AS f ON f.oid = k.confrelid WHERE k.contype = 'f' AND c.oid <> f.oid AND c.` + here,
		columns: `SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
			WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
		continueSequences: []string{"SELECT setval('code_requests_seq', greatest(1, (" + numbersInUse + ")))"},
	}
}
