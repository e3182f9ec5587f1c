package tenant

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrUnknownHost = fault.Register(fault.NotFound, "tenant.unknown_host", "没有这个站点", "There is no such site")
	ErrHostTaken   = fault.Register(fault.Conflict, "tenant.host_taken", "域名已被其他机构使用", "The host name belongs to another tenant")
	ErrInvalid     = fault.Register(fault.Invalid, "tenant.invalid", "机构信息不完整", "The tenant's data is not complete")
	ErrDemoMixed   = fault.Register(fault.Conflict, "tenant.demo_mixed", "演示数据与正式数据不能混用", "Demo data and real data do not mix")
)
