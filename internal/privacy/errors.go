package privacy

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrNotFound     = fault.Register(fault.NotFound, "privacy.not_found", "没有找到", "There is no such thing")
	ErrText         = fault.Register(fault.Invalid, "privacy.text_invalid", "告知文本不完整", "The text is not complete")
	ErrTextOutdated = fault.Register(fault.Conflict, "privacy.text_outdated", "告知内容已更新，请重新阅读后再决定", "The text has changed, read it again and decide then")
	ErrNotOwn       = fault.Register(fault.Forbidden, "privacy.not_own", "需由本人决定；未满14周岁由监护人决定", "The person decides, or under 14 the guardian")
	ErrStale        = fault.Register(fault.Stale, "privacy.stale", "内容已被他人修改，请刷新", "Somebody else has changed it, reload")
	ErrOpen         = fault.Register(fault.Conflict, "privacy.request_open", "同类申请正在处理中", "A request of this kind is being handled")
	ErrTooOften     = fault.Register(fault.Limited, "privacy.too_often", "申请太频繁，请明天再试", "Too many requests, come back tomorrow")
	ErrRequest      = fault.Register(fault.Invalid, "privacy.request_invalid", "申请内容不完整", "The request is not complete")
	ErrState        = fault.Register(fault.Conflict, "privacy.request_state", "申请已处理，不能再操作", "The request is past that")
	ErrBusiness     = fault.Register(fault.Conflict, "privacy.business_open", "还有未完成的挂号、就诊或支付，请完成或取消后再申请注销", "There are appointments, visits or payments that have not ended; finish or cancel them first")
	ErrTaken        = fault.Register(fault.Gone, "privacy.copy_taken", "副本已下载过或已过期，请重新申请", "The copy was taken or has expired, ask for another one")
	ErrRecord       = fault.Register(fault.Invalid, "privacy.record_invalid", "登记内容不完整", "The entry is not complete")
	ErrClosed       = fault.Register(fault.Conflict, "privacy.breach_closed", "事件已结案", "The breach is closed")
)
