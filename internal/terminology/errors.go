package terminology

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrRows       = fault.Register(fault.Invalid, "terminology.rows", "有编码行未导入，见报告", "Some rows were not taken, see the report")
	ErrUnreadable = fault.Register(fault.Malformed, "terminology.import_unreadable", "无法读取编码文件", "The file of codes cannot be read")
	ErrTooLarge   = fault.Register(fault.TooLarge, "terminology.import_too_large", "编码文件过大：最多 16 MiB、200000 行", "The file of codes is too large: at most 16 MiB and 200,000 rows")
	ErrBusy       = fault.Register(fault.Conflict, "terminology.busy", "另一次导入正在更新该编码，请稍后重试", "Another import is changing this code system; try again")
	ErrSystem     = fault.Register(fault.NotFound, "terminology.unknown_system", "没有该编码体系", "There is no such code system")
)
