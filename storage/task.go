package storage

import "time"

// Task is work that takes longer than a request may. An administrator starts it, and one
// server does it. If that server stops or is killed, another one does it again.
type Task struct {
	ID      string
	Kind    TaskKind
	Object  string // the record that it is about, such as "PasswordProfile/default"; empty: none
	Request []byte // in JSON

	ClientID string // through which it was started
	UserUID  string // who started it; empty: the client itself
	Username string
	TraceID  string // of the request that started it

	State     TaskState
	Read, All int64  // progress, in units of the kind; All is 0 before the first
	Result    []byte // in JSON, of a task that is done
	Failure   string // of a task that failed, for administrators

	CreatedAt, EndedAt time.Time
	ExpiresAt          time.Time // when it may be deleted
}

// TaskKind is the kind of work that a task does.
type TaskKind string

// The kinds of tasks.
const (
	TaskAuditVerification TaskKind = "audit_verification"
	TaskPolicyReplay      TaskKind = "policy_replay"
)

// TaskState is the state of a task.
type TaskState string

// The states of a task.
const (
	TaskWaiting TaskState = "waiting" // for a server, also after its server was killed
	TaskRunning TaskState = "running"
	TaskDone    TaskState = "done"
	TaskFailed  TaskState = "failed"
)
