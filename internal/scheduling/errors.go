package scheduling

import "xinglin/internal/kernel/fault"

// Refusals of booking and cancelling.
var (
	ErrSlotTaken       = fault.Register(fault.Conflict, "scheduling.slot_taken", "该时段刚刚被约满", "This time has just been taken")
	ErrFull            = fault.Register(fault.Conflict, "scheduling.session_full", "该出诊单元已约满", "This session is full")
	ErrLimitReached    = fault.Register(fault.Conflict, "scheduling.limit_reached", "同一就诊人同一天同一科室只能预约一次", "One booking per person, department and day")
	ErrCapReached      = fault.Register(fault.Conflict, "scheduling.cap_reached", "该就诊人近期预约数已达医院上限", "This person has reached the hospital's number of bookings")
	ErrNotReleased     = fault.Register(fault.Conflict, "scheduling.not_released", "该日号源尚未放出", "These numbers are not released yet")
	ErrWindowClosed    = fault.Register(fault.Conflict, "scheduling.window_closed", "该日线上预约已截止", "Online booking for this day is closed")
	ErrPaused          = fault.Register(fault.Unavailable, "scheduling.paused", "夜间暂停预约，请稍后再来", "Booking pauses at night; come back later")
	ErrSlotPast        = fault.Register(fault.Conflict, "scheduling.slot_past", "该时段已过", "This time is past")
	ErrScheduleStopped = fault.Register(fault.Conflict, "scheduling.schedule_stopped", "该出诊单元已停诊", "This session is stopped")
	ErrStopRunning     = fault.Register(fault.Conflict, "scheduling.stop_running", "停诊退号尚未完成，请稍后再试", "Visits of the stopped session are still being cancelled; try again later")
	ErrStoppedByRota   = fault.Register(fault.Conflict, "scheduling.stopped_by_rota", "该出诊单元因排班变更停诊，请修改排班", "The rota stopped this session; change the rota")
	ErrAge             = fault.Register(fault.Conflict, "scheduling.age_refused", "该就诊人的年龄不符合科室的预约规定", "The person's age does not fit this department's rules")
	ErrSuspended       = fault.Register(fault.Forbidden, "scheduling.suspended", "因多次爽约或频繁退号，线上预约暂停", "Online booking is suspended after missed or repeatedly returned visits")
	ErrHoldExpired     = fault.Register(fault.Conflict, "scheduling.hold_expired", "占号已超时，号源已释放", "The hold has expired and the seat is free again")
	ErrCancelTooLate   = fault.Register(fault.Conflict, "scheduling.cancel_too_late", "已超过退号截止时间", "It is too late to cancel")
	ErrState           = fault.Register(fault.Conflict, "scheduling.state", "当前状态不能进行此操作", "The appointment's state does not allow this")
	ErrPatientNotYours = fault.Register(fault.NotFound, "scheduling.patient_not_yours", "没有找到该就诊人", "No such person")
	ErrNotFound        = fault.Register(fault.NotFound, "scheduling.not_found", "没有找到", "Not found")
	ErrKeyReused       = fault.Register(fault.Invalid, "scheduling.key_reused", "同一请求编号用于不同的内容", "The idempotency key was used for another request")
	ErrKeyClock        = fault.Register(fault.Invalid, "scheduling.key_clock", "请求编号的时间与服务器相差过大", "The idempotency key's time is too far from the server's")
	ErrStale           = fault.Register(fault.Stale, "scheduling.stale", "内容已被更新，请刷新后再试", "It was changed meanwhile; reload and try again")
	ErrLiveBusy        = fault.Register(fault.Unavailable, "scheduling.live_busy", "实时余号连接过多，请稍后再试", "Too many live streams; try again later")
	ErrCalendarBehind  = fault.Register(fault.Unavailable, "scheduling.calendar_behind", "号源日历正在更新，请稍后再试", "The calendar is being brought up to date; try again")
	ErrInput           = fault.Register(fault.Invalid, "scheduling.input", "输入内容不符合要求", "The input breaks a rule")
)

// Refusals of rotas, rules and imports.
var (
	ErrRotaInvalid      = fault.Register(fault.Invalid, "scheduling.rota_invalid", "排班规则不符合要求", "The rota rule is not valid")
	ErrRotaOverlap      = fault.Register(fault.Conflict, "scheduling.rota_overlap", "该医生在同一时间已有排班", "The doctor is already planned at this time")
	ErrRulesInvalid     = fault.Register(fault.Invalid, "scheduling.rules_invalid", "预约规则不符合要求", "The booking rules are not valid")
	ErrImportTooLarge   = fault.Register(fault.TooLarge, "scheduling.import_too_large", "排班文件过大：最多 16 MiB、50000 行", "The rota file is too large: at most 16 MiB and 50,000 rows")
	ErrImportUnreadable = fault.Register(fault.Malformed, "scheduling.import_unreadable", "无法读取排班文件", "The rota file cannot be read")
	ErrImportStops      = fault.Register(fault.Conflict, "scheduling.import_stops", "导入会停掉已有人预约的班次，未导入任何内容；同意退号、退款并通知后可导入", "The import would stop sessions that people have booked; nothing was imported, since their visits need consent")
	ErrImportRows       = fault.Register(fault.Invalid, "scheduling.import_rows", "排班文件有错误行，未导入任何内容", "The rota file has bad rows; nothing was imported")
)

// Refusals of lotteries (internal/scheduling/lottery).
var (
	ErrLotteryOpen     = fault.Register(fault.Conflict, "scheduling.lottery_open", "该号源正在抽签放号，抽签结束后可预约剩余号源", "These numbers are released by lottery; what is left can be booked after the draw")
	ErrLotteryClosed   = fault.Register(fault.Conflict, "scheduling.lottery_closed", "抽签报名已结束", "The lottery takes no more entries")
	ErrLotteryLate     = fault.Register(fault.Conflict, "scheduling.lottery_late", "放号前一分钟内或放号后不能再改为抽签", "A lottery is announced at least a minute before the release")
	ErrLotteryExists   = fault.Register(fault.Conflict, "scheduling.lottery_exists", "该号源已设置为抽签，且规则不同", "There is a lottery with other rules for this schedule")
	ErrLotteryFull     = fault.Register(fault.Conflict, "scheduling.lottery_full", "抽签报名人数已达上限", "The lottery has reached its number of entries")
	ErrLotteryEntered  = fault.Register(fault.Conflict, "scheduling.lottery_entered", "该就诊人或该账号已报名", "This person, or this account, has entered already")
	ErrLotteryNotDrawn = fault.Register(fault.Conflict, "scheduling.lottery_not_drawn", "抽签尚未结束", "The lottery is not over yet")
)
