package interopsvc

import (
	"context"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// watchJob looks at the end of each lease of an import whether its process still lives.
const watchJob = "interop.watch_import"

type watchedImport struct {
	Import id.ID[interop.Import] `json:"import"`
}

func (s *Service) watchImport(ctx context.Context, tx db.Tx, w watchedImport) error {
	until, err := s.store.watch(ctx, tx, w.Import)
	if err != nil || until.IsZero() {
		return err
	}
	return job.Enqueue(ctx, tx, watchSpec(w.Import, until))
}
