#pragma once

#include <string>

#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "plugin/apply/diff_service.h"
#include "plugin/content_store.h"

namespace eagle::plugin {

/// The store as the applier sees it. Each call opens the file anew: an Apply reads at an offset of
/// its own. The store must outlive it.
class StoreBlobs final : public apply::BlobOpener {
 public:
  explicit StoreBlobs(const ContentStore& store) : store_(store) {}

  absl::StatusOr<base::UniqueFd> OpenBlob(const std::string& digest) override;

 private:
  const ContentStore& store_;
};

}  // namespace eagle::plugin
