package tenant

import "xinglin/internal/kernel/fault"

// Refusals.
var (
	ErrUnknownHost = fault.Register(fault.NotFound, "tenant.unknown_host", "没有这个站点", "There is no such site")
	ErrHostTaken   = fault.Register(fault.Conflict, "tenant.host_taken", "域名已被其他机构使用", "The host name belongs to another tenant")
	ErrHostNeeded  = fault.Register(fault.Conflict, "tenant.host_needed", "有多个机构时，每个机构都要有域名", "Of several tenants each needs a host name: give one to those that have none first")
	ErrInvalid     = fault.Register(fault.Invalid, "tenant.invalid", "机构信息不完整", "The tenant's data is not complete")
	ErrDemoMixed   = fault.Register(fault.Conflict, "tenant.demo_mixed", "演示数据与正式数据不能混用", "Demo data and real data do not mix")

	ErrBundle      = fault.Register(fault.NotFound, "tenant.no_bundle", "没有这个配置包", "There is no such bundle")
	ErrOtherTenant = fault.Register(fault.Invalid, "tenant.other_tenant", "这个配置包属于其他机构", "The bundle is for another tenant")
	ErrStaleBase   = fault.Register(fault.Conflict, "tenant.stale_base", "配置在制作此包之后已被修改，请重新导出", "What lives was changed after the bundle was made: export again")
	ErrBundleBusy  = fault.Register(fault.Conflict, "tenant.bundle_busy", "另一个配置包正在应用", "Another bundle is being applied")
	ErrBundleState = fault.Register(fault.Conflict, "tenant.bundle_state", "配置包的状态不允许此操作", "The bundle's state does not allow it")
	ErrTwoPeople   = fault.Register(fault.Forbidden, "tenant.two_people", "提交人和应用人不能是同一人", "Another person than the one who staged it has to apply it")
	ErrWhy         = fault.Register(fault.Invalid, "tenant.why_needed", "请填写原因", "Say why")
	ErrStagedMost  = fault.Register(fault.Conflict, "tenant.too_many_staged", "待应用的配置包过多", "Too many bundles wait to be applied")
	ErrBrand       = fault.Register(fault.Invalid, "tenant.brand_invalid", "品牌信息不正确", "The brand is not correct")
	ErrContrast    = fault.Register(fault.Invalid, "tenant.low_contrast", "主题色与白色的对比度不足 4.5", "The accent colour's contrast with white is below 4.5")
	ErrLogo        = fault.Register(fault.Invalid, "tenant.bad_logo", "标志须为不超过 64 KB 的 PNG 图片", "The logo has to be a PNG image of at most 64 KB")
	ErrNoLogo      = fault.Register(fault.NotFound, "tenant.no_logo", "没有上传标志", "There is no logo")
)
