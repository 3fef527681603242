#include "seeder/layer_admin.h"

#include <fmt/format.h>

#include <utility>

#include "lib/observe/log.h"

namespace eagle::seeder {

LayerAdmin::Listing LayerAdmin::List(std::string_view digest_prefix, std::size_t limit) {
  constexpr std::string_view kAlgorithm = "sha256:";
  if (digest_prefix.starts_with(kAlgorithm)) digest_prefix.remove_prefix(kAlgorithm.size());
  Listing listing;
  for (StoredLayer& layer : storage_.List()) {
    if (!layer.digest.hex().starts_with(digest_prefix)) continue;
    if (listing.layers.size() == limit) {
      listing.truncated = true;
      break;
    }
    listing.layers.push_back(std::move(layer));
  }
  return listing;
}

absl::Status LayerAdmin::Remove(const base::Digest& digest, From from) {
  if (pins_.Has(digest)) {
    return absl::FailedPreconditionError(fmt::format("{} is pinned; unpin it first", digest.str()));
  }
  bool found = false;
  // From the back end first: otherwise a request in between would bring the layer back.
  if (from == From::kDiskAndBackend && tier_ != nullptr) {
    EAGLE_ASSIGN_OR_RETURN(found, tier_->Forget(digest));
  }
  if (const auto layer = storage_.Find(digest); layer && layer->complete) {
    found = true;
    swarm_.Remove(digest);
    EAGLE_RETURN_IF_ERROR(storage_.Remove(digest));
  }
  if (!found) return absl::NotFoundError(fmt::format("{} is not here", digest.str()));
  observe::Info("layer_removed", "digest", digest.str());
  return absl::OkStatus();
}

std::int64_t LayerAdmin::WaitingCopies() const {
  return tier_ == nullptr ? 0 : tier_->waiting();
}

}  // namespace eagle::seeder
