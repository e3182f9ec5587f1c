package directory

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrNotFound        = fault.Register(fault.NotFound, "directory.not_found", "没有找到", "Not found")
	ErrInvalid         = fault.Register(fault.Invalid, "directory.invalid", "机构或人员信息不正确", "The directory entry is not correct")
	ErrLicenceTaken    = fault.Register(fault.Conflict, "directory.licence_taken", "执业证号已属于另一位医师", "The licence number belongs to another practitioner")
	ErrStale           = fault.Register(fault.Stale, "directory.stale", "内容已被他人修改，请刷新", "Somebody else has changed it, reload")
	ErrNameTaken       = fault.Register(fault.Conflict, "directory.name_taken", "名称已被另一个院区或机构使用", "Another entry has this name and another identifier")
	ErrIdentifierTaken = fault.Register(fault.Conflict, "directory.identifier_taken", "编号已属于另一个条目", "The identifier belongs to another entry")
	ErrInUse           = fault.Register(fault.Conflict, "directory.in_use", "该院区还有科室，不能删除", "The campus has departments and cannot go")
	ErrLoop            = fault.Register(fault.Invalid, "directory.loop", "科室不能是自己的上级", "A department cannot be above itself")
)
