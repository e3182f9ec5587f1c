package interop

import "xinglin/internal/kernel/fault"

// Refusals of an import as a whole.
var (
	ErrRefused = fault.Register(fault.Invalid, "interop.refused", "有数据被拒绝，见报告", "Something was refused, see the report")
	ErrTooMany = fault.Register(fault.TooLarge, "interop.too_many", "一次导入的编号过多，请分批导入", "Too many identifiers for one import; import in parts")
)

// Refusals of a file that is sent to the console's door.
var (
	ErrBusy        = fault.Register(fault.Conflict, "interop.busy", "已有同类导入正在进行，请等它结束", "An import of this kind is running; wait for its end")
	ErrNoImport    = fault.Register(fault.NotFound, "interop.not_found", "没有这次导入", "There is no such import")
	ErrUploadCut   = fault.Register(fault.Malformed, "interop.upload_cut", "文件没有传完", "The file did not arrive whole")
	ErrUploadLarge = fault.Register(fault.TooLarge, "interop.upload_too_large", "文件过大：最多 256 MiB，可先压缩", "The file is too large: at most 256 MiB; it may be gzipped")
	ErrUploadType  = fault.Register(fault.Invalid, "interop.upload_type", "文件类型不对：挂号表和编码请用CSV或.xlsx，FHIR请用JSON，均可gzip压缩", "The file is of another sort: a rota and codes are CSV or .xlsx, FHIR is JSON, each may be gzipped")
	ErrKeyTime     = fault.Register(fault.Invalid, "interop.key_time", "请求号的时间不正确，请检查设备时钟", "The key's time is more than a day away; check the device's clock")
	ErrInternal    = fault.Register(fault.Internal, "interop.internal", "导入时发生内部错误，详见服务器日志", "An internal error; the server's log has it")
)

// Refusals of a file. What was read before stays taken.
var (
	ErrNotFHIR   = fault.Register(fault.Malformed, "interop.not_fhir", "不是FHIR R4的JSON文件", "Not a file of FHIR R4 in JSON")
	ErrXML       = fault.Register(fault.Malformed, "interop.xml", "暂不支持XML格式，请导出JSON", "FHIR in XML is not read, export JSON")
	ErrJSON      = fault.Register(fault.Malformed, "interop.json", "JSON格式错误", "The JSON is broken")
	ErrTruncated = fault.Register(fault.Malformed, "interop.truncated", "文件不完整", "The file ends too early")
	ErrGzip      = fault.Register(fault.Malformed, "interop.gzip", "压缩文件损坏", "The compressed file is broken")
	ErrBomb      = fault.Register(fault.TooLarge, "interop.bomb", "解压后过大", "It grows too much when it is decompressed")
	ErrDeep      = fault.Register(fault.Malformed, "interop.too_deep", "JSON嵌套过深", "The JSON is nested too deeply")
	ErrKeyOrder  = fault.Register(fault.Malformed, "interop.key_order", "resourceType和type须位于entry之前", "resourceType and type must come before entry")
	ErrBundle    = fault.Register(fault.Invalid, "interop.bundle_type", "不支持该类型的Bundle", "Bundles of this type are not imported")
)

// Refusals of a resource.
var (
	ErrTooLarge    = fault.Register(fault.TooLarge, "interop.resource_too_large", "单个资源过大", "The resource is too large")
	ErrType        = fault.Register(fault.Invalid, "interop.unknown_type", "不是FHIR R4的资源类型", "Not a resource type of FHIR R4")
	ErrVersion     = fault.Register(fault.Invalid, "interop.fhir_version", "看起来是其他FHIR版本，只接受R4", "It looks like another version of FHIR; R4 is read")
	ErrShape       = fault.Register(fault.Invalid, "interop.wrong_type", "字段类型不正确", "The element has the wrong type")
	ErrValue       = fault.Register(fault.Invalid, "interop.wrong_value", "字段内容不正确", "The element's value is not correct")
	ErrMissing     = fault.Register(fault.Invalid, "interop.missing", "缺少必填字段", "A needed element is missing")
	ErrDate        = fault.Register(fault.Invalid, "interop.birth_date", "出生日期不是完整有效的日期", "The birth date is no whole, valid date")
	ErrNoID        = fault.Register(fault.Invalid, "interop.no_identifier", "没有可识别的编号", "There is no identifier to find it again by")
	ErrTwice       = fault.Register(fault.Conflict, "interop.identifier_twice", "同一编号在本次导入中指向不同内容", "Another resource of this import has the same identifier")
	ErrReference   = fault.Register(fault.Invalid, "interop.reference_missing", "引用的资源不存在", "What it refers to is neither in the files nor known")
	ErrAmbiguous   = fault.Register(fault.Invalid, "interop.reference_ambiguous", "引用指向多个资源", "More than one resource of the files fits the reference")
	ErrContained   = fault.Register(fault.Invalid, "interop.contained", "不支持引用内嵌资源", "References to contained resources are not followed")
	ErrRefusedPart = fault.Register(fault.Conflict, "interop.reference_refused", "引用的资源已被拒绝", "What it refers to was refused or skipped")
	ErrNoRole      = fault.Register(fault.Invalid, "interop.no_role", "没有可用的PractitionerRole，无法确定执业科室", "No PractitionerRole that was taken says where the practitioner works")
)
