package gormstore

import (
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// sqliteDialector is how GORM writes configuration records to SQLite. It does not
// migrate: the migrations are SQL files.
type sqliteDialector struct{ pool gorm.ConnPool }

var _ gorm.Dialector = sqliteDialector{}

// Name implements gorm.Dialector.
func (sqliteDialector) Name() string { return "sqlite" }

// Initialize implements gorm.Dialector.
func (d sqliteDialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	return nil
}

// Migrator implements gorm.Dialector. Nothing calls it.
func (sqliteDialector) Migrator(*gorm.DB) gorm.Migrator { return nil }

// DataTypeOf implements gorm.Dialector. Only a migrator needs types.
func (sqliteDialector) DataTypeOf(*schema.Field) string { return "" }

// DefaultValueOf implements gorm.Dialector. Rows name each of their columns.
func (sqliteDialector) DefaultValueOf(*schema.Field) clause.Expression {
	return clause.Expr{SQL: "NULL"}
}

// BindVarTo implements gorm.Dialector.
func (sqliteDialector) BindVarTo(writer clause.Writer, _ *gorm.Statement, _ any) {
	_ = writer.WriteByte('?')
}

// QuoteTo implements gorm.Dialector. SQLite takes a double-quoted name that it does
// not know for a string, therefore backquotes.
func (sqliteDialector) QuoteTo(writer clause.Writer, name string) {
	for {
		part, rest, more := strings.Cut(name, ".")
		_ = writer.WriteByte('`')
		_, _ = writer.WriteString(strings.ReplaceAll(part, "`", "``"))
		_ = writer.WriteByte('`')
		if name = rest; !more {
			return
		}
		_ = writer.WriteByte('.')
	}
}

// Explain implements gorm.Dialector.
func (sqliteDialector) Explain(sql string, vars ...any) string {
	return logger.ExplainSQL(sql, nil, `"`, vars...)
}
