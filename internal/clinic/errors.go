package clinic

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrNotFound      = fault.Register(fault.NotFound, "clinic.not_found", "没有找到", "Not found")
	ErrNobodyWaiting = fault.Register(fault.Conflict, "clinic.nobody_waiting", "没有候诊患者", "Nobody is waiting")
	ErrStale         = fault.Register(fault.Conflict, "clinic.stale", "队列已被他人操作，请刷新", "Somebody else moved the line; look again")
	ErrNotRunning    = fault.Register(fault.Conflict, "clinic.not_running", "该出诊单元未在进行：尚未开始、已结束或已停诊", "The session is not running: not begun, over, or stopped")
	ErrState         = fault.Register(fault.Conflict, "clinic.state", "当前状态不能进行此操作", "The state of the turn does not allow this")
	ErrTooEarly      = fault.Register(fault.Conflict, "clinic.too_early", "还没到签到时间", "It is too early to check in")
	ErrTooLate       = fault.Register(fault.Conflict, "clinic.too_late", "已过自助签到时间，请到窗口签到", "It is too late to check in here; please go to the desk")
	ErrTooOften      = fault.Register(fault.Conflict, "clinic.too_often", "已多次过号，请到窗口办理", "Called and missed too often; please go to the desk")
	ErrInput         = fault.Register(fault.Invalid, "clinic.input", "输入内容不符合要求", "The input breaks a rule")
	ErrDisplay       = fault.Register(fault.Unauthenticated, "clinic.display_unknown", "显示屏未授权或已停用", "The display is unknown, expired or revoked")
	ErrTooMany       = fault.Register(fault.Conflict, "clinic.too_many_displays", "显示屏数量已达上限", "There are as many displays as there may be")
	ErrDisplayName   = fault.Register(fault.Conflict, "clinic.display_exists", "已有同名显示屏，请先停用或换一个名称", "There is a display of this name; end it or choose another name")
	ErrLiveBusy      = fault.Register(fault.Unavailable, "clinic.live_busy", "实时连接过多，请稍后再试", "Too many live streams; try again later")
	ErrRulesStale    = fault.Register(fault.Stale, "clinic.rules_stale", "规则已被他人修改，请刷新", "Somebody else has changed the rules, reload")
)
