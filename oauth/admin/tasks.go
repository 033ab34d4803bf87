package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/rs/zerolog"

	"latchkey/storage"
)

const (
	// maxOpenTasks is how many tasks of a kind may wait or run, on all servers together.
	maxOpenTasks = 5
	// keepTasks is how long a task and its result can be read.
	keepTasks = 7 * 24 * time.Hour
	// maxListedTasks is how many tasks of a kind are listed.
	maxListedTasks = 100
	// advanceEvery is how often the progress of a task is stored.
	advanceEvery = time.Second
	// repeatEvery is how often a server tries to store the end of a task.
	repeatEvery = 5 * time.Second
)

// TaskStore stores tasks; *gormstore.Store is one, and documents the errors of the methods.
type TaskStore interface {
	AddTask(ctx context.Context, t storage.Task, limit int) error
	ClaimTask(ctx context.Context) (storage.Task, error)
	AdvanceTask(ctx context.Context, id string, read, all int64) error
	FinishTask(ctx context.Context, t storage.Task) error
	Task(ctx context.Context, kind storage.TaskKind, object, id string) (storage.Task, error)
	Tasks(ctx context.Context, kind storage.TaskKind, object string, limit int) ([]storage.Task, error)
}

// Work does a task. It calls progress with how much it has read and how much there is to
// read. If progress returns an error, it stops and returns that. result is stored as JSON.
// outcome is the outcome of the audit event: "success" if nothing is wrong.
type Work func(ctx context.Context, t storage.Task, progress func(read, all int64) error) (result any, outcome string, err error)

// TaskKind says how the tasks of a kind are done, and with which action they are recorded.
type TaskKind struct {
	Work   Work
	Action string
}

// Tasks runs the long work of administrators, one task at a time on each server. The
// results are stored, so any server shows them. A task whose server was killed is done
// again by the first server that is asked for it, or that starts.
type Tasks struct {
	cfg  TasksConfig
	wake chan struct{}
}

// TasksConfig is what Tasks need. All fields are required.
type TasksConfig struct {
	Store    TaskStore
	Kinds    map[storage.TaskKind]TaskKind
	Recorder storage.Recorder
	Now      func() time.Time
	Rand     io.Reader
	Logger   zerolog.Logger
}

// NewTasks returns the tasks. None is done until Run is called.
func NewTasks(cfg TasksConfig) (*Tasks, error) {
	if cfg.Store == nil || cfg.Kinds == nil || cfg.Recorder == nil || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("admin: Store, Kinds, Recorder, Now and Rand are required")
	}
	return &Tasks{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// Start stores a task with its Kind, Object and the fields that say who starts it, and
// returns it. request is stored in JSON. The error is storage.ErrTooMany if five
// tasks of the kind have not ended.
func (s *Tasks) Start(ctx context.Context, t storage.Task, request any) (storage.Task, error) {
	var err error
	if t.Request, err = json.Marshal(request); err != nil {
		return t, err
	}
	if t.ID, err = storage.NewID(s.cfg.Rand, "tsk_"); err != nil {
		return t, err
	}
	t.State, t.CreatedAt = storage.TaskWaiting, s.cfg.Now().UTC()
	t.ExpiresAt = t.CreatedAt.Add(keepTasks)
	if err := s.cfg.Store.AddTask(ctx, t, maxOpenTasks); err != nil {
		return t, err
	}
	s.Wake()
	return t, nil
}

// Get returns a task, or storage.ErrNotFound.
func (s *Tasks) Get(ctx context.Context, kind storage.TaskKind, object, id string) (storage.Task, error) {
	t, err := s.cfg.Store.Task(ctx, kind, object, id)
	if t.State == storage.TaskWaiting {
		s.Wake() // its server may be gone
	}
	return t, err
}

// List returns the newest tasks of a kind and object, up to 100, the newest first.
func (s *Tasks) List(ctx context.Context, kind storage.TaskKind, object string) ([]storage.Task, error) {
	all, err := s.cfg.Store.Tasks(ctx, kind, object, maxListedTasks)
	for i := range all {
		if all[i].State == storage.TaskWaiting {
			s.Wake()
		}
	}
	return all, err
}

// Wake makes Run look for tasks.
func (s *Tasks) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run does tasks until ctx ends, and then returns nil. Another server repeats the task that
// was running.
func (s *Tasks) Run(ctx context.Context) error {
	s.Wake() // a server that was killed may have left one
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
		for ctx.Err() == nil {
			t, err := s.cfg.Store.ClaimTask(ctx)
			if errors.Is(err, storage.ErrNotFound) {
				break
			}
			if err != nil {
				s.cfg.Logger.Warn().Err(err).Msg("tasks cannot be claimed")
				break
			}
			s.do(ctx, t)
		}
	}
}

// do does a task and stores how it ended.
func (s *Tasks) do(ctx context.Context, t storage.Task) {
	kind, known := s.cfg.Kinds[t.Kind]
	if !known { // of a later version
		kind.Work = func(context.Context, storage.Task, func(int64, int64) error) (any, string, error) {
			return nil, "", &TaskFailure{"this server does not know the task"}
		}
	}
	var stored time.Time
	result, outcome, err := kind.Work(ctx, t, func(read, all int64) error {
		t.Read, t.All = read, all
		if now := s.cfg.Now(); now.Sub(stored) >= advanceEvery {
			stored = now
			return s.cfg.Store.AdvanceTask(ctx, t.ID, read, all)
		}
		return ctx.Err()
	})
	if ctx.Err() != nil || errors.Is(err, storage.ErrStale) {
		return // another server does it
	}
	if err == nil {
		t.Result, err = json.Marshal(result)
	}
	t.State, t.EndedAt = storage.TaskDone, s.cfg.Now().UTC()
	if err != nil {
		t.State, outcome, t.Failure = storage.TaskFailed, "failed", "the database did not answer, or the server failed; start it again"
		if failure, ok := errors.AsType[*TaskFailure](err); ok {
			t.Failure = failure.Reason
		}
		s.cfg.Logger.Warn().Err(err).Str("task", t.ID).Str("kind", string(t.Kind)).Msg("a task failed")
	}
	if s.finish(ctx, t) && kind.Action != "" {
		s.cfg.Recorder.Record(ctx, storage.AuditEvent{
			Time: t.EndedAt, Action: kind.Action, Outcome: outcome, Object: t.Object,
			ClientID: t.ClientID, UserUID: t.UserUID, Username: t.Username, TraceID: t.TraceID,
		})
	}
}

// finish stores the end of a task, and tries until the database answers. It reports
// whether this server still had the task.
func (s *Tasks) finish(ctx context.Context, t storage.Task) bool {
	for {
		err := s.cfg.Store.FinishTask(ctx, t)
		if err == nil || errors.Is(err, storage.ErrStale) {
			return err == nil
		}
		s.cfg.Logger.Warn().Err(err).Str("task", t.ID).Msg("the end of a task cannot be stored")
		select {
		case <-ctx.Done():
			return false
		case <-time.After(repeatEvery):
		}
	}
}

// TaskFailure says why a task cannot be done, in a sentence for administrators.
type TaskFailure struct{ Reason string }

// Error implements error.
func (f *TaskFailure) Error() string { return f.Reason }
