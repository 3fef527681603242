#include "seeder/image_fetch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"

namespace eagle::seeder {
namespace {

using registry::ImageName;
using registry::Manifest;
using registry::ManifestLayer;
using registry::Platform;

constexpr int kLayersAtOnce = 4;
constexpr std::size_t kMaxPlatformManifests = 64;

// What the observers of an image's layers know together. They share it, as one may be called when
// the image is done with.
class Board {
 public:
  explicit Board(const std::vector<ManifestLayer>& layers) {
    now_.layers_total = static_cast<std::int64_t>(layers.size());
    for (const ManifestLayer& layer : layers) now_.bytes_total += layer.size_bytes;
    bytes_.resize(layers.size());
  }

  void Begin() {
    const absl::MutexLock held(&mutex_);
    ++running_;
  }
  void Arrived(std::size_t layer, std::int64_t bytes) {
    const absl::MutexLock held(&mutex_);
    if (bytes <= bytes_[layer]) return;
    now_.bytes_done += bytes - bytes_[layer];
    bytes_[layer] = bytes;
    ++version_;
  }
  void Ended(const absl::Status& status) {
    const absl::MutexLock held(&mutex_);
    --running_;
    ++version_;
    if (status.ok()) ++now_.layers_done;
    if (failure_.ok()) failure_ = status;
  }
  void Stop() {
    const absl::MutexLock held(&mutex_);
    stopped_ = true;
  }

  /// Waits for something new or for room for one more layer.
  void Wait(std::uint64_t* seen, int room_below) {
    const absl::MutexLock held(&mutex_);
    const auto awake = [&] { return stopped_ || version_ != *seen || running_ < room_below; };
    mutex_.Await(absl::Condition(&awake));
    *seen = version_;
  }
  struct View {
    ImageProgress progress;
    int running = 0;
    bool stopped = false;
    absl::Status failure;
  };
  View Look() {
    const absl::MutexLock held(&mutex_);
    return {now_, running_, stopped_, failure_};
  }

 private:
  absl::Mutex mutex_;
  ImageProgress now_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::int64_t> bytes_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

class LayerOnItsWay final : public FetchObserver {
 public:
  LayerOnItsWay(std::shared_ptr<Board> board, std::size_t layer, std::int64_t size_bytes)
      : board_(std::move(board)), layer_(layer), size_bytes_(size_bytes) {}

  void OnProgress(std::int64_t bytes_fetched, std::int64_t) override {
    board_->Arrived(layer_, std::min(bytes_fetched, size_bytes_));
  }
  void OnDone(const absl::StatusOr<LayerAnswer>& answer) override {
    if (answer.ok()) board_->Arrived(layer_, size_bytes_);
    board_->Ended(answer.status());
  }

 private:
  const std::shared_ptr<Board> board_;
  const std::size_t layer_;
  const std::int64_t size_bytes_;
};

void AddNew(const std::vector<ManifestLayer>& more, std::vector<ManifestLayer>* layers) {
  for (const ManifestLayer& layer : more) {
    const bool known = std::any_of(layers->begin(), layers->end(), [&](const ManifestLayer& other) {
      return other.digest == layer.digest;
    });
    if (!known) layers->push_back(layer);
  }
}

std::vector<base::Digest> Chosen(const Manifest& index, const std::vector<Platform>& platforms) {
  std::vector<base::Digest> chosen;
  for (const Manifest::Entry& entry : index.entries) {
    const bool wanted = std::any_of(platforms.begin(), platforms.end(), [&](const Platform& one) {
      return one.Matches(entry.platform);
    });
    const bool known = std::find(chosen.begin(), chosen.end(), entry.digest) != chosen.end();
    if (wanted && !known && chosen.size() < kMaxPlatformManifests) chosen.push_back(entry.digest);
  }
  return chosen;
}

}  // namespace

absl::StatusOr<std::vector<ManifestLayer>> ImageFetch::LayersOf(
    const ImageName& image, const std::vector<Platform>& platforms,
    registry::Cancellation& cancellation) {
  EAGLE_ASSIGN_OR_RETURN(const std::string text, origins_.FetchManifest(image, cancellation));
  EAGLE_ASSIGN_OR_RETURN(const Manifest manifest, Manifest::Parse(text));
  if (!manifest.is_index) return manifest.layers;
  const std::vector<base::Digest> chosen = Chosen(manifest, platforms);
  if (chosen.empty()) {
    std::vector<std::string> names;
    for (const Platform& platform : platforms) names.push_back(platform.str());
    return absl::NotFoundError(fmt::format("the image is not made for {}", fmt::join(names, ", ")));
  }
  std::vector<ManifestLayer> layers;
  for (const base::Digest& digest : chosen) {
    ImageName one = image;
    one.digest = digest;
    EAGLE_ASSIGN_OR_RETURN(const std::string one_text, origins_.FetchManifest(one, cancellation));
    EAGLE_ASSIGN_OR_RETURN(const Manifest one_manifest, Manifest::Parse(one_text));
    if (one_manifest.is_index) return absl::InvalidArgumentError("an index holds another index");
    AddNew(one_manifest.layers, &layers);
  }
  return layers;
}

absl::Status ImageFetch::FetchLayers(const ImageName& image,
                                     const std::vector<ManifestLayer>& layers,
                                     const ImageProgressCallback& progress,
                                     registry::Cancellation& cancellation) {
  const auto board = std::make_shared<Board>(layers);
  cancellation.SetWake([board] { board->Stop(); });
  std::vector<std::shared_ptr<FetchObserver>> observers;
  std::uint64_t seen = 0;
  Board::View view = board->Look();
  while (!view.stopped && (observers.size() < layers.size() || view.running > 0)) {
    if (observers.size() < layers.size() && view.running < kLayersAtOnce) {
      const ManifestLayer& layer = layers[observers.size()];
      board->Begin();
      observers.push_back(
          std::make_shared<LayerOnItsWay>(board, observers.size(), layer.size_bytes));
      fetches_.Watch({image.registry, {image.repository}, layer.digest, layer.size_bytes},
                     Hop::kFromNode, observers.back());
    } else {
      board->Wait(&seen, observers.size() < layers.size() ? kLayersAtOnce : 0);
    }
    view = board->Look();
    progress(view.progress);
  }
  cancellation.SetWake(nullptr);
  if (!view.stopped) return view.failure;
  for (std::size_t i = 0; i < observers.size(); ++i) {
    fetches_.Leave(layers[i].digest, observers[i]);
  }
  return absl::CancelledError("the seeder is shutting down");
}

absl::Status ImageFetch::Run(const ImageName& image, const std::vector<Platform>& platforms,
                             const ImageProgressCallback& progress,
                             registry::Cancellation& cancellation) {
  EAGLE_ASSIGN_OR_RETURN(const std::vector<ManifestLayer> layers,
                         LayersOf(image, platforms, cancellation));
  return FetchLayers(image, layers, progress, cancellation);
}

}  // namespace eagle::seeder
