package simulate

import "xinglin/internal/kernel/fault"

// Refusals of the command.
var (
	ErrFlags      = fault.Register(fault.Invalid, "simulate.flags", "模拟参数不正确", "The simulation's flags do not fit together")
	ErrNoPostgres = fault.Register(fault.Unavailable, "simulate.no_postgres", "没有可用的 PostgreSQL；请安装 postgresql，或用 --db 指定数据库", "There is no PostgreSQL to run; install the package postgresql, or name a database with --db")
	ErrNotEmpty   = fault.Register(fault.Conflict, "simulate.not_empty", "数据库不是空的，模拟只在空的安装上运行", "The database is not empty; a simulation plays on an empty installation only")
	ErrViolated   = fault.Register(fault.Conflict, "simulate.violated", "模拟发现了违反规则的情况", "The simulation found a violation")
)
