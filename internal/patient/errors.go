package patient

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrNotFound        = fault.Register(fault.NotFound, "patient.not_found", "没有找到就诊人", "There is no such person")
	ErrDocument        = fault.Register(fault.Invalid, "patient.document_invalid", "证件号码不正确", "The document number is not correct")
	ErrInvalid         = fault.Register(fault.Invalid, "patient.invalid", "就诊人信息不正确", "The person's data is not correct")
	ErrGuardian        = fault.Register(fault.Invalid, "patient.guardian_required", "未满14周岁需由监护人添加并同意", "A child under 14 is added by a guardian, with consent")
	ErrTooMany         = fault.Register(fault.Conflict, "patient.too_many", "就诊人数量已达上限", "The account has as many persons as it may have")
	ErrSelfTwice       = fault.Register(fault.Conflict, "patient.self_exists", "已有本人，请改选与您的关系", "There is a person for yourself already; choose another relationship")
	ErrClaim           = fault.Register(fault.Conflict, "patient.claim_ended", "验证已失效，请重新添加", "The claim is no longer open, add the person again")
	ErrProof           = fault.Register(fault.Invalid, "patient.proof_wrong", "验证码不正确或已失效", "The code is not correct or no longer valid")
	ErrTooOften        = fault.Register(fault.Limited, "patient.too_often", "今日操作次数已达上限，请明天再试", "That was asked for too often today, come back tomorrow")
	ErrIdentifier      = fault.Register(fault.Conflict, "patient.identifier_taken", "编号已属于另一位患者", "The identifier belongs to another person")
	ErrAnother         = fault.Register(fault.Conflict, "patient.another_person", "编号相同但不是同一个人，请人工核对", "The same identifier or document, but another person; somebody must look")
	ErrVerifiedDiffers = fault.Register(fault.Conflict, "patient.verified_differs", "与实名核验结果不一致，未覆盖", "It differs from what was verified by real name, which stays")
	ErrStale           = fault.Register(fault.Stale, "patient.stale", "内容已被修改，请刷新", "It has been changed, reload")
	ErrRealName        = fault.Register(fault.Unavailable, "patient.realname_down", "实名核验暂时不可用，请稍后再试", "The real-name check is not available, try again later")
)
