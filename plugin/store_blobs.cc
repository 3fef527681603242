#include "plugin/store_blobs.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "lib/base/file.h"
#include "plugin/blob_name.h"

namespace eagle::plugin {

absl::StatusOr<base::UniqueFd> StoreBlobs::OpenBlob(const std::string& digest) {
  EAGLE_ASSIGN_OR_RETURN(const BlobName name, BlobName::Parse(digest));
  auto fd = base::OpenFile(store_.PathOf(name), O_RDONLY | O_NOFOLLOW);
  if (absl::IsNotFound(fd.status())) {
    return absl::NotFoundError(fmt::format("content {}: not found", name.str()));
  }
  return fd;
}

}  // namespace eagle::plugin
