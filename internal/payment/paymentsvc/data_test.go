package paymentsvc

import (
	"encoding/json"
	"testing"

	"xinglin/internal/platform/mask"
	"xinglin/internal/platform/wechatpay"
)

// The channel's number is another one in a copy, the same at the payment and in what the channel told of it.
func TestMaskChannelNumbers(t *testing.T) {
	c := &mask.Copy{}
	was := told{Transaction: &wechatpay.Transaction{OutTradeNo: "A", TransactionID: "4200001", State: wechatpay.StatePaid, Attach: "张三", TotalFen: 2500}}
	b, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	notice := mask.NewRow("notification", map[string]any{"content": string(b)})
	pay := mask.NewRow("payment", map[string]any{"channel_transaction": "4200001", "pay_url": "https://pay.example/x"})
	open := mask.NewRow("payment", map[string]any{"channel_transaction": nil, "pay_url": ""})
	for _, err := range []error{maskNotification(t.Context(), c, notice), maskPayment(t.Context(), c, pay), maskPayment(t.Context(), c, open)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got told
	if err := json.Unmarshal([]byte(notice.Text("content")), &got); err != nil {
		t.Fatal(err)
	}
	n := pay.Text("channel_transaction")
	if x := got.Transaction; x == nil || x.TransactionID != n || n == "4200001" || n == "" || x.Attach != "" || x.TotalFen != 2500 || x.OutTradeNo != "A" || x.State != wechatpay.StatePaid {
		t.Errorf("%+v, the payment has %s", got.Transaction, n)
	}
	if pay.Text("pay_url") != "" || !open.Null("channel_transaction") {
		t.Error("what an open payment has")
	}
}
