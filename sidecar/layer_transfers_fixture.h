#pragma once

// Transfers over a real cache, with everything else faked; see sidecar_fakes.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/file.h"
#include "lib/testing/fake_clock.h"
#include "lib/testing/temp_dir.h"
#include "sidecar/layer_transfers.h"
#include "sidecar/sidecar_fakes.h"

namespace eagle::sidecar {

class LayerTransfersTest : public ::testing::Test {
 protected:
  LayerTransfersTest() { Open(base::MiB(100)); }

  void Open(base::ByteSize limit) {
    transfers_.reset();
    cache_.reset();
    auto opened = blob::BlobCache::Open(
        {.directory = dir_.path(), .limit = limit, .free_bytes = nullptr}, clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    cache_ = std::move(*opened);
    cache_->SetEvictionHook([this](const base::Digest& digest) { swarm_.Remove(digest); });
    transfers_ = std::make_unique<LayerTransfers>(
        LayerTransfers::Options{.seeders = {"a:1", "b:1"},
                                .stall_timeout = std::chrono::seconds(5),
                                .max_transfers = 2},
        LayerTransfers::Parts{.cache = *cache_,
                              .swarm = swarm_,
                              .client = client_,
                              .clock = clock_,
                              .metrics = metrics_,
                              .strand = tasks_.executor(),
                              .disk = tasks_.executor()});
  }

  std::shared_ptr<RecordingListener> Fetch(const WantedLayer& layer) {
    auto listener = std::make_shared<RecordingListener>();
    last_waiter_ = transfers_->Fetch(layer, listener);
    tasks_.RunAll();
    return listener;
  }
  void Prefetch(std::vector<WantedLayer> layers) {
    transfers_->Prefetch(std::move(layers));
    tasks_.RunAll();
  }
  void Cancel(LayerTransfers::WaiterId waiter) {
    transfers_->Cancel(waiter);
    tasks_.RunAll();
  }
  /// Seeders answer every question with the layer's torrent.
  void SeedersHave(const std::vector<TestLayer>& layers) {
    client_.answer = [layers](FakeMetainfoClient::FakeCall& call) {
      for (const TestLayer& layer : layers) {
        if (call.url.find(layer.digest.hex()) == std::string::npos) continue;
        call.listener.message(
            {.bytes_fetched = 0, .metainfo = layer.metainfo, .peers = {"10.0.0.1:61008"}});
      }
    };
  }
  void Arrive(const TestLayer& layer, std::int64_t bytes) {
    transfers_->OnProgress(layer.digest, {.bytes_done = bytes,
                                          .bytes_contiguous = bytes / 2,
                                          .bytes_from_peers = bytes,
                                          .bytes_from_seeders = 0,
                                          .peers = 3});
    tasks_.RunAll();
  }
  void Complete(const TestLayer& layer) {
    ASSERT_TRUE(base::WriteFileAtomic(cache_->PathOf(layer.digest), layer.data, 0444).ok());
    const auto size = static_cast<std::int64_t>(layer.data.size());
    transfers_->OnComplete(layer.digest, {.bytes_done = size,
                                          .bytes_contiguous = size,
                                          .bytes_from_peers = size - 2,
                                          .bytes_from_seeders = 2,
                                          .complete = true});
    tasks_.RunAll();
  }
  void Wait(std::chrono::milliseconds time) {
    for (std::chrono::milliseconds waited{0}; waited < time; waited += LayerTransfers::kTickEvery) {
      clock_.Advance(LayerTransfers::kTickEvery);
      transfers_->Tick();
      tasks_.RunAll();
    }
  }
  std::vector<TransferStatus> Status() {
    std::vector<TransferStatus> all;
    transfers_->GetTransfers([&](std::vector<TransferStatus> found) { all = std::move(found); });
    tasks_.RunAll();
    return all;
  }
  /// A layer of some MiB, so that a few fill the cache.
  static TestLayer Big(char byte) { return MakeTestLayer(std::string(40 << 20, byte)); }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  observe::MetricsRegistry registry_;
  SidecarMetrics metrics_{registry_, base::MiB(100)};
  ManualExecutor tasks_;
  FakeMetainfoClient client_;
  FakeSwarm swarm_;
  std::unique_ptr<blob::BlobCache> cache_;
  std::unique_ptr<LayerTransfers> transfers_;
  LayerTransfers::WaiterId last_waiter_ = 0;
  const TestLayer layer_ = MakeTestLayer("a layer");
  const TestLayer other_ = MakeTestLayer("another layer");
  const TestLayer third_ = MakeTestLayer("a third layer");
};

}  // namespace eagle::sidecar
