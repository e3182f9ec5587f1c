package interopsvc

import (
	"context"

	"xinglin/internal/interop"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
)

// watchJob looks each minute whether the process of an import still lives.
const watchJob = "interop.watch_import"

type watchedImport struct {
	Import id.ID[interop.Import] `json:"import"`
}

func (s *Service) watchImport(ctx context.Context, tx db.Tx, w watchedImport) error {
	ended, err := s.store.watch(ctx, tx, w.Import)
	if err != nil || ended {
		return err
	}
	return job.Enqueue(ctx, tx, watchSpec(w.Import, tx.Now().Add(watchEach)))
}
