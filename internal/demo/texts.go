package demo

import (
	"context"
	"errors"

	"xinglin/internal/privacy"
)

// texts puts into force what a hospital would ask consent for. A text that is there stays.
func (h Hospital) texts(ctx context.Context) error {
	for _, t := range consentTexts {
		if _, err := h.Privacy.Publish(ctx, t); err != nil && !errors.Is(err, privacy.ErrStale) {
			return err
		}
	}
	return nil
}

var consentTexts = []privacy.TextSpec{
	{
		Purpose: privacy.RecordSharing,
		ZH: privacy.Wording{
			Title: "本院科室间共享诊疗记录", Body: "您在本院其他科室就诊时，接诊的医生和护士可以查看您以往的诊疗记录。",
			Necessity: "不看以往记录，医生可能重复检查，或不知道您的过敏和用药。", Effect: "查看人会多于当次接诊的科室；每次查看都有记录。不同意时，只有当次接诊的科室能看到当次记录，就诊不受影响。",
		},
		EN: privacy.Wording{
			Title: "Records shared between departments", Body: "Doctors and nurses of other departments who treat you may see your earlier records.",
			Necessity: "Without them a doctor may repeat an examination, or not know of an allergy or a medicine.", Effect: "More people than one department may look; each look is recorded. Without your consent only the department that treats you sees that visit, and your care is the same.",
		},
	},
	{
		Purpose: privacy.CrossInstitution,
		ZH: privacy.Wording{
			Title: "与协作医院共享诊疗记录", Body: "转诊或会诊时，本院把必要的诊疗记录提供给您同意的协作医院。",
			Necessity: "对方医院需要这些记录才能接着诊治。", Effect: "记录离开本院后由对方医院依法保管。不同意时，您可以自己携带纸质资料。",
		},
		EN: privacy.Wording{
			Title: "Records shared with partner hospitals", Body: "For a referral or a consultation we give the records that are needed to the partner hospital.",
			Necessity: "The other hospital needs them to go on with your care.", Effect: "Outside of this hospital the other one keeps them by law. Without your consent you can take papers with you.",
		},
	},
	{
		Purpose: privacy.Personalisation,
		ZH: privacy.Wording{
			Title: "个性化推荐与智能助手", Body: "搜索、科室推荐和智能助手参考您的就诊记录和健康信息，给出更合适的结果。",
			Necessity: "不使用这些信息，结果对所有人都一样。", Effect: "系统会自动分析您的健康信息；不用于定价。随时可以关闭，关闭后立即生效，显示通用结果。",
		},
		EN: privacy.Wording{
			Title: "Personal recommendations and assistant", Body: "Search, recommended departments and the assistant use your visits and health data for results that fit you.",
			Necessity: "Without them the results are the same for everybody.", Effect: "Your health data is analysed by a program; never for prices. You can switch it off at any time, with effect at once.",
		},
	},
	{
		Purpose: privacy.Research,
		ZH: privacy.Wording{
			Title: "用于医学研究", Body: "去除姓名、证件号和联系方式后，您的诊疗数据可以用于经伦理委员会批准的研究。",
			Necessity: "研究需要真实的诊疗数据。", Effect: "研究人员看不到您是谁。撤回后，您的数据不再进入新的研究。",
		},
		EN: privacy.Wording{
			Title: "Medical research", Body: "Without name, document and contact, your data may be used in research that an ethics committee approved.",
			Necessity: "Research needs real data.", Effect: "Researchers do not see who you are. After a withdrawal your data enters no new study.",
		},
	},
	{
		Purpose: privacy.Marketing,
		ZH:      privacy.Wording{Title: "健康活动与服务信息", Body: "本院可以给您发送体检、讲座等活动信息。不影响就诊相关的通知。"},
		EN:      privacy.Wording{Title: "News of health services", Body: "The hospital may send you news of check-ups and lectures. Messages about your visits come anyway."},
	},
}
