#include "seeder/layer_pins.h"

#include <fmt/format.h>

#include <sstream>
#include <utility>

#include "lib/base/file.h"
#include "lib/observe/log.h"

namespace eagle::seeder {

absl::StatusOr<std::unique_ptr<LayerPins>> LayerPins::Open(Storage& storage, std::string path) {
  std::unique_ptr<LayerPins> pins(new LayerPins(storage, std::move(path)));
  const auto text = base::ReadFile(pins->path_);
  if (absl::IsNotFound(text.status())) return pins;
  if (!text.ok()) return base::Annotate(text.status(), "read the pinned layers");
  const absl::MutexLock held(&pins->mutex_);
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto digest = base::Digest::Parse(line);
    if (!digest.ok()) {
      return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is no digest; delete that line",
                                                    pins->path_, line.substr(0, 80)));
    }
    auto pin = storage.Pin(*digest);
    if (pin.ok()) {
      pins->pins_[*digest] = *std::move(pin);
    } else {
      observe::Warn("pinned_layer_gone", "digest", digest->str());
    }
  }
  return pins;
}

absl::Status LayerPins::Write() {
  std::string text;
  for (const auto& [digest, pin] : pins_) text += digest.str() + "\n";
  return base::Annotate(base::WriteFileAtomic(path_, text), "write down the pinned layers");
}

absl::Status LayerPins::Pin(const base::Digest& digest) {
  const auto layer = storage_.Find(digest);
  if (!layer || !layer->complete) {
    return absl::NotFoundError(
        fmt::format("{} is not here as a whole; preheat its image, or wait until it has come from "
                    "the swarm",
                    digest.str()));
  }
  EAGLE_ASSIGN_OR_RETURN(auto pin, storage_.Pin(digest));
  const absl::MutexLock held(&mutex_);
  std::unique_ptr<LayerPin>& known = pins_[digest];
  const bool is_new = known == nullptr;
  known = std::move(pin);
  absl::Status status = is_new ? Write() : absl::OkStatus();
  if (!status.ok()) pins_.erase(digest);
  return status;
}

absl::Status LayerPins::Unpin(const base::Digest& digest) {
  const absl::MutexLock held(&mutex_);
  auto node = pins_.extract(digest);
  if (node.empty()) return absl::NotFoundError(fmt::format("{} is not pinned", digest.str()));
  absl::Status status = Write();
  if (!status.ok()) pins_.insert(std::move(node));
  return status;
}

bool LayerPins::Has(const base::Digest& digest) const {
  const absl::MutexLock held(&mutex_);
  return pins_.contains(digest);
}

}  // namespace eagle::seeder
