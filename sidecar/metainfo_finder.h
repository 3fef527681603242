#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/digest.h"
#include "sidecar/layer.h"
#include "sidecar/metainfo_client.h"
#include "sidecar/sidecar_metrics.h"

namespace eagle::sidecar {

/// Runs a task somewhere else, in the order in which they were given. Never runs it inside the
/// call.
using Executor = std::function<void(std::function<void()>)>;

/// The seeders of the configuration and which of them did not answer lately. Of one thread.
class Seeders {
 public:
  /// How long a seeder that did not answer is asked after all others.
  static constexpr std::chrono::seconds kRetryAfter{10};
  /// How long one that somebody waited for in vain is not asked at all: an image is to pay once.
  static constexpr std::chrono::seconds kSpareFor{5};

  Seeders(std::vector<std::string> addresses, const base::Clock& clock)
      : addresses_(std::move(addresses)),
        retry_at_(addresses_.size()),
        spared_(addresses_.size()),
        clock_(clock) {}

  /// Indexes in the order in which they are to be asked: the rendezvous order of the digest, which
  /// all nodes and seeders agree upon, those without an answer last.
  [[nodiscard]] std::vector<std::size_t> Order(const base::Digest& digest) const;
  [[nodiscard]] const std::string& address(std::size_t seeder) const { return addresses_[seeder]; }

  /// It refused, which cost no time.
  void DidNotAnswer(std::size_t seeder) { retry_at_[seeder] = clock_.Now() + kRetryAfter; }
  enum class Silence { kNoConnection, kNoWord };
  void WasSilent(std::size_t seeder, Silence kind) {
    DidNotAnswer(seeder);
    spared_[seeder] = {clock_.Now() + kSpareFor, kind};
  }
  void Answered(std::size_t seeder) {
    retry_at_[seeder] = {};
    spared_[seeder] = {};
  }
  /// Whether it is not worth waiting for now. One that could not be reached is, once it can be.
  [[nodiscard]] bool Spared(std::size_t seeder, MetainfoClient& client) const {
    const Spare& spare = spared_[seeder];
    if (clock_.Now() >= spare.until) return false;
    return spare.kind == Silence::kNoWord || !client.Reachable(seeder);
  }

 private:
  const std::vector<std::string> addresses_;
  std::vector<base::Clock::TimePoint> retry_at_;
  struct Spare {
    base::Clock::TimePoint until;
    Silence kind = Silence::kNoConnection;
  };
  std::vector<Spare> spared_;
  const base::Clock& clock_;
};

/// Gets the torrent of one layer from one of the seeders:
/// - a seeder that cannot be connected to in time, says nothing for too long, or fails: the next;
/// - one that has no such layer at a source, or may not fetch it: the next source;
/// - a torrent that is not the layer's: the next seeder.
/// All of it runs on one thread, `strand`'s. Destroying it cancels the call.
class MetainfoFinder : public std::enable_shared_from_this<MetainfoFinder> {
 public:
  /// Two seeders that are gone without a trace cost less than 2 s together.
  static constexpr std::chrono::milliseconds kConnectWithin{700};
  /// A seeder speaks every 250 ms; the first word takes a connection too.
  static constexpr std::chrono::milliseconds kFirstWordWithin{900};
  static constexpr std::chrono::milliseconds kWordWithin{2000};

  struct Found {
    std::string metainfo;
    std::vector<std::string> peers;
  };
  /// `found` or `failed` is called once and last, and may destroy the finder.
  struct Listener {
    std::function<void(std::int64_t bytes_at_origin)> progress;
    std::function<void(Found)> found;
    std::function<void(Failure)> failed;
  };

  MetainfoFinder(const WantedLayer& layer, MetainfoClient& client, Seeders& seeders,
                 const base::Clock& clock, SidecarMetrics& metrics, Executor strand,
                 Listener listener);
  ~MetainfoFinder();
  MetainfoFinder(const MetainfoFinder&) = delete;
  MetainfoFinder& operator=(const MetainfoFinder&) = delete;

  void Start();
  /// To be called a few times a second.
  void Tick();
  /// Sources that became known later; those known already are ignored.
  void AddSources(const std::vector<Source>& sources);

 private:
  void Ask();
  /// At the seeder at hand or, while nobody is to wait for that one, the next.
  void AskFirstUnspared();
  void AskNextSeeder(const std::string& why);
  void OnMessage(MetainfoClient::Message message);
  void OnEnd(const absl::Status& status);
  void Fail(FailureReason reason, std::string message);
  void EndCall();
  [[nodiscard]] std::size_t seeder() const { return order_[at_seeder_]; }

  WantedLayer layer_;
  MetainfoClient& client_;
  Seeders& seeders_;
  const base::Clock& clock_;
  SidecarMetrics& metrics_;
  const Executor strand_;
  const Listener listener_;

  const std::vector<std::size_t> order_;
  std::size_t at_seeder_ = 0;
  std::size_t at_source_ = 0;
  std::shared_ptr<MetainfoClient::Call> call_;
  /// Of the running call; what earlier calls still say is ignored.
  std::uint64_t call_id_ = 0;
  bool connected_ = false;
  bool got_word_ = false;
  bool got_foreign_torrent_ = false;
  std::string last_failure_;
  base::Clock::TimePoint last_word_;
};

}  // namespace eagle::sidecar
