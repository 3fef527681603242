#include "sidecar/metainfo_finder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/base/rendezvous.h"
#include "lib/observe/log.h"
#include "lib/swarm/torrent.h"

namespace eagle::sidecar {
namespace {

std::string UrlOf(const Source& source, const base::Digest& digest) {
  return fmt::format("https://{}/v2/{}/blobs/{}", source.registry, source.repository, digest.str());
}

bool Denies(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
         absl::IsInvalidArgument(status);
}

absl::Status CheckTorrent(const std::string& metainfo, const WantedLayer& layer) {
  EAGLE_ASSIGN_OR_RETURN(const swarm::TorrentSummary torrent, swarm::ParseTorrent(metainfo));
  if (torrent.digest != layer.digest) {
    return absl::InvalidArgumentError(fmt::format("it is of {}", torrent.digest.str()));
  }
  if (torrent.size_bytes != layer.size_bytes) {
    return absl::InvalidArgumentError(fmt::format("it is of {} bytes, the manifest says {}",
                                                  torrent.size_bytes, layer.size_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::size_t> Seeders::Order(const base::Digest& digest) const {
  std::vector<std::size_t> order = base::RendezvousOrder(digest.str(), addresses_);
  const auto now = clock_.Now();
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t seeder) { return retry_at_[seeder] <= now; });
  return order;
}

MetainfoFinder::MetainfoFinder(const WantedLayer& layer, MetainfoClient& client, Seeders& seeders,
                               const base::Clock& clock, SidecarMetrics& metrics, Executor strand,
                               Listener listener)
    : layer_(layer),
      client_(client),
      seeders_(seeders),
      clock_(clock),
      metrics_(metrics),
      strand_(std::move(strand)),
      listener_(std::move(listener)),
      order_(seeders.Order(layer.digest)) {}

MetainfoFinder::~MetainfoFinder() {
  EndCall();
}

void MetainfoFinder::Start() {
  if (layer_.sources.empty()) {
    Fail(FailureReason::kDenied, "no registry is known to have this layer");
    return;
  }
  last_failure_ = "none has answered in the last seconds";
  AskFirstUnspared();
}

void MetainfoFinder::AskFirstUnspared() {
  while (at_seeder_ < order_.size() && seeders_.Spared(seeder(), client_)) ++at_seeder_;
  if (at_seeder_ < order_.size()) {
    Ask();
  } else if (got_foreign_torrent_) {
    Fail(FailureReason::kMismatch,
         fmt::format("no seeder has a fitting torrent; {}", last_failure_));
  } else {
    Fail(FailureReason::kNoSeeder, fmt::format("no seeder can help; {}", last_failure_));
  }
}

void MetainfoFinder::AddSources(const std::vector<Source>& sources) {
  for (const Source& source : sources) {
    if (std::find(layer_.sources.begin(), layer_.sources.end(), source) == layer_.sources.end()) {
      layer_.sources.push_back(source);
    }
  }
}

void MetainfoFinder::Ask() {
  EndCall();
  connected_ = false;
  got_word_ = false;
  last_word_ = clock_.Now();
  const auto mine = [self = weak_from_this(), id = call_id_](auto handle) {
    const auto finder = self.lock();
    if (finder != nullptr && finder->call_id_ == id) handle(*finder);
  };
  const std::string url = UrlOf(layer_.sources[at_source_], layer_.digest);
  call_ = client_.Watch(seeder(), url,
                        {.message =
                             [strand = strand_, mine](MetainfoClient::Message message) {
                               strand([mine, message = std::move(message)] {
                                 mine([&](MetainfoFinder& finder) { finder.OnMessage(message); });
                               });
                             },
                         .end =
                             [strand = strand_, mine](absl::Status status) {
                               strand([mine, status = std::move(status)] {
                                 mine([&](MetainfoFinder& finder) { finder.OnEnd(status); });
                               });
                             }});
}

void MetainfoFinder::EndCall() {
  ++call_id_;
  if (call_ != nullptr) std::exchange(call_, nullptr)->Cancel();
}

void MetainfoFinder::AskNextSeeder(const std::string& why) {
  observe::Warn("seeder_failed", "seeder", seeders_.address(seeder()), "digest",
                layer_.digest.str(), "error", why);
  metrics_.SeederFailed();
  last_failure_ = fmt::format("{}: {}", seeders_.address(seeder()), why);
  ++at_seeder_;
  AskFirstUnspared();
}

void MetainfoFinder::OnMessage(MetainfoClient::Message message) {
  seeders_.Answered(seeder());
  connected_ = true;
  got_word_ = true;
  last_word_ = clock_.Now();
  if (message.metainfo.empty()) {
    listener_.progress(message.bytes_fetched);
    return;
  }
  if (const absl::Status fits = CheckTorrent(message.metainfo, layer_); !fits.ok()) {
    got_foreign_torrent_ = true;
    AskNextSeeder(fmt::format("its torrent is not the layer's: {}", base::Message(fits)));
    return;
  }
  EndCall();
  const auto keep = shared_from_this();
  listener_.found({std::move(message.metainfo), std::move(message.peers)});
}

void MetainfoFinder::OnEnd(const absl::Status& status) {
  if (Denies(status)) {
    seeders_.Answered(seeder());
    if (++at_source_ < layer_.sources.size()) {
      Ask();
    } else {
      Fail(FailureReason::kDenied,
           fmt::format("{}: {}", seeders_.address(seeder()), base::Message(status)));
    }
    return;
  }
  // What was said by a seeder that had begun to answer is about the origin, not about itself.
  if (!got_word_ && (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))) {
    seeders_.DidNotAnswer(seeder());
  }
  AskNextSeeder(status.ok() ? "it ended without a torrent" : std::string(base::Message(status)));
}

void MetainfoFinder::Tick() {
  if (call_ == nullptr) return;
  const auto silent = clock_.Now() - last_word_;
  connected_ = connected_ || call_->Connected();
  const auto patience = got_word_ ? kWordWithin : kFirstWordWithin;
  if (!connected_ && silent >= kConnectWithin) {
    seeders_.WasSilent(seeder(), Seeders::Silence::kNoConnection);
    AskNextSeeder(fmt::format("no connection within {} ms", kConnectWithin.count()));
  } else if (silent >= patience) {
    seeders_.WasSilent(seeder(), Seeders::Silence::kNoWord);
    AskNextSeeder(fmt::format("no word for {} ms", patience.count()));
  }
}

void MetainfoFinder::Fail(FailureReason reason, std::string message) {
  EndCall();
  const auto keep = shared_from_this();
  listener_.failed({reason, std::move(message)});
}

}  // namespace eagle::sidecar
