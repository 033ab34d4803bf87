package gormstore

import (
	"context"

	"latchkey/storage"
)

type taskRow struct {
	ID        string `gorm:"column:id"`
	Kind      string `gorm:"column:kind"`
	Object    string `gorm:"column:object"`
	Request   blob   `gorm:"column:request"`
	ClientID  string `gorm:"column:client_id"`
	UserUID   string `gorm:"column:user_uid"`
	Username  string `gorm:"column:username"`
	TraceID   string `gorm:"column:trace_id"`
	Owner     string `gorm:"column:owner"`
	State     string `gorm:"column:state"`
	Events    int64  `gorm:"column:events"`
	AllEvents int64  `gorm:"column:all_events"`
	Result    blob   `gorm:"column:result"`
	Failure   string `gorm:"column:failure"`
	CreatedAt int64  `gorm:"column:created_at"`
	EndedAt   int64  `gorm:"column:ended_at"`
	ExpiresAt int64  `gorm:"column:expires_at"`
}

func (*taskRow) TableName() string { return "tasks" }

func (r *taskRow) record() storage.Task {
	return storage.Task{
		ID: r.ID, Kind: storage.TaskKind(r.Kind), Object: r.Object, Request: r.Request,
		ClientID: r.ClientID, UserUID: r.UserUID, Username: r.Username, TraceID: r.TraceID,
		State: storage.TaskState(r.State), Read: r.Events, All: r.AllEvents, Result: r.Result, Failure: r.Failure,
		CreatedAt: instant(r.CreatedAt), EndedAt: instant(r.EndedAt), ExpiresAt: instant(r.ExpiresAt),
	}
}

// orphanTask is the condition that no running server works on a task: no server has claimed
// it, or its server is no longer in the list.
const orphanTask = "(owner = '' OR NOT EXISTS (SELECT 1 FROM servers WHERE servers.id = tasks.owner))"

// AddTask stores a task that waits for a server. The error is storage.ErrTooMany if limit
// tasks of its kind have not ended yet.
func (s *Store) AddTask(ctx context.Context, t storage.Task, limit int) error {
	row := taskRow{
		ID: t.ID, Kind: string(t.Kind), Object: t.Object, Request: t.Request,
		ClientID: t.ClientID, UserUID: t.UserUID, Username: storage.StorableText(t.Username), TraceID: t.TraceID,
		State: string(storage.TaskWaiting), CreatedAt: micros(t.CreatedAt), ExpiresAt: micros(t.ExpiresAt),
	}
	all := columnsOf[taskRow]()
	n, err := s.exec(ctx, "add task", "INSERT INTO tasks ("+all.list()+") SELECT "+all.marks()+
		" WHERE (SELECT count(*) FROM tasks WHERE ended_at = 0 AND kind = ?) < ?", append(valuesOf(&row), row.Kind, limit)...)
	return affected(n, err, s.wrap(ctx, "add task", storage.ErrTooMany))
}

// ClaimTask claims the oldest task that no server works on, or returns storage.ErrNotFound.
// It alternates between the kinds: the kind whose last task ended first is next. No two
// servers work on a task at the same time; see RegisterServer.
func (s *Store) ClaimTask(ctx context.Context) (storage.Task, error) {
	rows, err := returning[taskRow](ctx, s, "claim task", `UPDATE tasks SET owner = ?, state = ?, events = 0, all_events = 0
		WHERE ended_at = 0 AND `+orphanTask+` AND id = (SELECT id FROM tasks WHERE ended_at = 0 AND `+orphanTask+`
			ORDER BY (SELECT max(e.ended_at) FROM tasks e WHERE e.kind = tasks.kind), created_at, id LIMIT 1)
		RETURNING `+columnsOf[taskRow]().list(), s.leaseOwner(), string(storage.TaskRunning))
	if err == nil && len(rows) == 0 {
		err = s.wrap(ctx, "claim task", storage.ErrNotFound)
	}
	if err != nil {
		return storage.Task{}, err
	}
	return rows[0].record(), nil
}

// AdvanceTask stores the progress of a task. The error is storage.ErrStale if the task is
// no longer claimed by this server.
func (s *Store) AdvanceTask(ctx context.Context, id string, read, all int64) error {
	n, err := s.exec(ctx, "advance task", "UPDATE tasks SET events = ?, all_events = ? WHERE id = ? AND owner = ? AND ended_at = 0", read, all, id, s.leaseOwner())
	return affected(n, err, s.wrap(ctx, "advance task", storage.ErrStale))
}

// FinishTask stores how a task ended: State, Result, Failure, Read, All and EndedAt. The
// error is storage.ErrStale if the task is no longer claimed by this server.
func (s *Store) FinishTask(ctx context.Context, t storage.Task) error {
	n, err := s.exec(ctx, "finish task", `UPDATE tasks SET state = ?, result = ?, failure = ?, events = ?, all_events = ?, ended_at = ?
		WHERE id = ? AND owner = ? AND ended_at = 0`,
		string(t.State), blob(t.Result), t.Failure, t.Read, t.All, micros(t.EndedAt), t.ID, s.leaseOwner())
	return affected(n, err, s.wrap(ctx, "finish task", storage.ErrStale))
}

// taskColumns shows a task whose server is gone as one that waits.
func (s *Store) taskColumns() string {
	return columnsOf[taskRow]().list() + ", CASE WHEN ended_at = 0 AND owner <> '' AND " + orphanTask + " THEN 1 ELSE 0 END AS orphan"
}

type shownTaskRow struct {
	Task   taskRow `gorm:"embedded"`
	Orphan int64   `gorm:"column:orphan"`
}

func (r *shownTaskRow) record() storage.Task {
	t := r.Task.record()
	if r.Orphan != 0 {
		t.State = storage.TaskWaiting
	}
	return t
}

// Task returns a task of that kind and object, or storage.ErrNotFound.
func (s *Store) Task(ctx context.Context, kind storage.TaskKind, object, id string) (storage.Task, error) {
	row, err := get[shownTaskRow](ctx, s, "task", "SELECT "+s.taskColumns()+" FROM tasks WHERE id = ? AND kind = ? AND object = ?", id, string(kind), object)
	return row.record(), err
}

// Tasks returns the tasks of that kind and object, the newest first.
func (s *Store) Tasks(ctx context.Context, kind storage.TaskKind, object string, limit int) ([]storage.Task, error) {
	rows, err := query[shownTaskRow](ctx, s, "tasks", "SELECT "+s.taskColumns()+
		" FROM tasks WHERE kind = ? AND object = ? ORDER BY created_at DESC, id DESC LIMIT CAST(? AS BIGINT)", string(kind), object, limit)
	return recordsOf(rows, (*shownTaskRow).record), err
}
