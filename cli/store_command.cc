#include "cli/store_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/time/time.h"
#include "cli/exit_code.h"
#include "cli/store_scan.h"

namespace eagle::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string TimeText(std::chrono::system_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

void Print(const Json& json) {
  std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

int Failed(const absl::Status& status) {
  std::cerr << "eaglectl: " << base::Message(status)
            << (absl::IsNotFound(status) ? "; name the content root with --store" : "") << '\n';
  return kFailed;
}

}  // namespace

int StoreLs(const StoreCall& call) {
  std::vector<StoredBlob> blobs;
  const absl::Status status =
      ForEachBlob(call.root, [&](const StoredBlob& blob) { blobs.push_back(blob); });
  if (!status.ok()) return Failed(status);
  std::sort(blobs.begin(), blobs.end(),
            [](const auto& a, const auto& b) { return a.digest < b.digest; });
  if (call.json) {
    Json all = Json::array();
    for (const StoredBlob& blob : blobs) {
      all.push_back({{"digest", blob.digest},
                     {"size", blob.size_bytes},
                     {"created", TimeText(blob.created_at)},
                     {"shared_with_cache", blob.links > 1}});
    }
    Print(all);
    return kDone;
  }
  std::cout << fmt::format("{:<71}  {:>12}  {:<20}  {}\n", "DIGEST", "SIZE", "CREATED", "SHARED");
  for (const StoredBlob& blob : blobs) {
    std::cout << fmt::format("{:<71}  {:>12}  {:<20}  {}\n", blob.digest, blob.size_bytes,
                             TimeText(blob.created_at), blob.links > 1 ? "cache" : "-");
  }
  return kDone;
}

int StoreDu(const StoreCall& call) {
  std::int64_t blobs = 0;
  std::int64_t bytes = 0;
  std::int64_t disk = 0;
  std::int64_t shared = 0;
  const absl::Status status = ForEachBlob(call.root, [&](const StoredBlob& blob) {
    ++blobs;
    bytes += blob.size_bytes;
    disk += blob.disk_bytes;
    if (blob.links > 1) shared += blob.disk_bytes;
  });
  if (!status.ok()) return Failed(status);
  const auto ingests = ListIngests(call.root);
  if (!ingests.ok()) return Failed(ingests.status());
  std::int64_t unfinished = 0;
  for (const StoredIngest& ingest : *ingests) unfinished += ingest.size_bytes;
  if (call.json) {
    Print({{"blobs", blobs},
           {"bytes", bytes},
           {"disk_bytes", disk},
           {"shared_with_cache_bytes", shared},
           {"ingests", ingests->size()},
           {"ingest_bytes", unfinished}});
    return kDone;
  }
  std::cout << fmt::format(
      "blobs                {:>6}  {:>15} bytes, {} on disk\n"
      "shared with cache            {:>15} on disk: free only when the cache drops them, too\n"
      "unfinished uploads   {:>6}  {:>15} bytes\n",
      blobs, bytes, disk, shared, ingests->size(), unfinished);
  return kDone;
}

int StoreVerify(const StoreCall& call, base::ByteRate rate) {
  const auto result = VerifyStore(call.root, rate);
  if (!result.ok()) return Failed(result.status());
  if (call.json) {
    Json bad = Json::array();
    for (const BadBlob& one : result->bad) {
      bad.push_back({{"blob", one.blob.digest},
                     {"path", one.blob.path},
                     {"problem", one.problem},
                     {"shared_with_cache", one.blob.links > 1}});
    }
    Print({{"blobs", result->blobs},
           {"bytes", result->bytes},
           {"unchecked", result->unchecked},
           {"bad", std::move(bad)}});
  } else {
    for (const BadBlob& one : result->bad) {
      std::cout << fmt::format("BAD {}: {}{}\n", one.blob.digest, one.problem,
                               one.blob.links > 1 ? " (the cache has the same file)" : "");
    }
    std::cout << fmt::format("{} blobs, {} bytes, {} bad, {} not checked (no SHA-256)\n",
                             result->blobs, result->bytes, result->bad.size(), result->unchecked);
    if (!result->bad.empty()) {
      std::cout
          << "To mend: remove the images that use a bad blob (crictl rmi, ctr images rm --sync) "
             "and pull them again.\n";
    }
  }
  return result->bad.empty() ? kDone : kFailed;
}

}  // namespace eagle::cli
